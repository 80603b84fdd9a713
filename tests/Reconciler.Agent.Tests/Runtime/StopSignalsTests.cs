using Reconciler.Agent.Runtime;

namespace Reconciler.Agent.Tests.Runtime;

public sealed class StopSignalsTests
{
    [Theory]
    [InlineData("", 15)]
    [InlineData("SIGTERM", 15)]
    [InlineData("SIGQUIT", 3)]
    [InlineData("quit", 3)]
    [InlineData("SIGWINCH", 28)]
    [InlineData("9", 9)]
    [InlineData("SIGRTMIN+3", 37)]
    [InlineData("RTMAX-1", 63)]
    [InlineData("SIGRTMIN+99", 15)]
    [InlineData("0", 15)]
    [InlineData("nonsense", 15)]
    public void Signals_are_read_as_images_write_them(string text, int number) => Assert.Equal(number, StopSignals.Parse(text));
}

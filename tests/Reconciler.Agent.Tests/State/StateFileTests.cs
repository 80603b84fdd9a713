using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.State;

public sealed class StateFileTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void What_was_written_is_read_again()
    {
        var state = Sample("näme \"quoted\" </script>");

        StateFile.Write(_folder["state.json"], state);

        var read = StateFile.Read(_folder["state.json"])!;
        Assert.Equal(state.Agent!.Manifests, read.Agent!.Manifests);
        Assert.Equal(state.Agent with { Manifests = [] }, read.Agent with { Manifests = [] });
        Assert.Equal(state.Keys[0].Events, read.Keys[0].Events);
        Assert.Equal(state.Keys[0] with { Events = [] }, read.Keys[0] with { Events = [] });
        Assert.Equal(state.Pulls[0].Layers, read.Pulls[0].Layers);
        Assert.Equal(state.Problems, read.Problems);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder["state.json"]));
    }

    [Fact]
    public void A_missing_file_is_no_error() => Assert.Null(StateFile.Read(_folder["none/state.json"]));

    [Fact]
    public void What_a_killed_writer_left_changes_nothing()
    {
        StateFile.Write(_folder["state.json"], Sample("old"));
        File.WriteAllText(_folder["state.json.tmp"], "{\"checksum\":\"sha256:12\",\"sta");
        File.SetUnixFileMode(_folder["state.json.tmp"], UnixFileMode.UserRead | UnixFileMode.OtherRead);

        Assert.Equal("old", StateFile.Read(_folder["state.json"])!.Keys[0].Reason);
        StateFile.Write(_folder["state.json"], Sample("new"));

        Assert.Equal("new", StateFile.Read(_folder["state.json"])!.Keys[0].Reason);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder["state.json"]));
        Assert.False(File.Exists(_folder["state.json.tmp"]));
    }

    [Fact]
    public void Every_truncation_and_every_flipped_byte_is_noticed()
    {
        StateFile.Write(_folder["state.json"], Sample("Running"));
        var good = File.ReadAllBytes(_folder["state.json"]);
        for (var length = 0; length < good.Length - 1; length += 7) // the last byte is a line feed
        {
            File.WriteAllBytes(_folder["cut"], good[..length]);
            Assert.Throws<InvalidDataException>(() => StateFile.Read(_folder["cut"]));
        }
        for (var at = 0; at < good.Length - 2; at += 5)
        {
            var bad = (byte[])good.Clone();
            bad[at] ^= 0x01;
            File.WriteAllBytes(_folder["flipped"], bad);
            Assert.Throws<InvalidDataException>(() => StateFile.Read(_folder["flipped"]));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"checksum\":1,\"state\":{}}")]
    [InlineData("{\"checksum\":\"sha256:00\",\"state\":{}}")]
    public void A_foreign_file_is_told_apart(string text)
    {
        File.WriteAllText(_folder["state.json"], text);

        Assert.Throws<InvalidDataException>(() => StateFile.Read(_folder["state.json"]));
    }

    [Fact]
    public void A_file_of_another_version_is_not_guessed_at()
    {
        StateFile.Write(_folder["state.json"], Sample("x") with { Version = 2 });

        var error = Assert.Throws<InvalidDataException>(() => StateFile.Read(_folder["state.json"]));
        Assert.Contains("version 2", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Readers_beside_a_writer_always_see_a_whole_file()
    {
        StateFile.Write(_folder["state.json"], Sample("0"));
        using var done = new CancellationTokenSource();
        var readers = Enumerable.Range(0, 2).Select(_ => Task.Run(
            () =>
            {
                var seen = 0;
                while (!done.IsCancellationRequested) seen += StateFile.Read(_folder["state.json"])!.Keys.Count;
                return seen;
            },
            TestContext.Current.CancellationToken)).ToList();

        for (var i = 1; i <= 200; i++) StateFile.Write(_folder["state.json"], Sample(i.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        await done.CancelAsync();

        foreach (var seen in await Task.WhenAll(readers)) Assert.True(seen >= 0);
        Assert.Equal("200", StateFile.Read(_folder["state.json"])!.Keys[0].Reason);
    }

    [Fact]
    public void A_running_process_is_told_from_one_that_ended()
    {
        var self = new AgentProcess { Pid = Environment.ProcessId, StartTicks = AgentLiveness.StartTicks(Environment.ProcessId)!.Value, PidNamespace = AgentLiveness.PidNamespace() };

        Assert.True(AgentLiveness.IsAlive(self, Noon, Noon.AddDays(1)));
        Assert.False(AgentLiveness.IsAlive(self with { Phase = "Stopped" }, Noon, Noon));
        Assert.False(AgentLiveness.IsAlive(self with { StartTicks = self.StartTicks + 1 }, Noon, Noon)); // the pid is another process's now
        var elsewhere = self with { PidNamespace = "pid:[1]" };
        Assert.True(AgentLiveness.IsAlive(elsewhere, Noon, Noon.AddSeconds(29)));
        Assert.False(AgentLiveness.IsAlive(elsewhere, Noon, Noon.AddSeconds(31)));
    }

    private static AgentState Sample(string reason) => new()
    {
        Agent = new AgentProcess { Version = "0.1.0", Pid = 7, StartTicks = 9, PidNamespace = "pid:[4]", StartedAt = Noon, Node = "n", Manifests = ["./a", "/b"], Phase = "Running" },
        Keys =
        [
            new KeyState
            {
                Kind = ResourceKind.Container, Namespace = "default", Name = "web/server", Reason = reason, Message = "m", Since = Noon, At = Noon.AddSeconds(1),
                Attempt = 3, NextTry = Noon.AddSeconds(9), SpecHash = "v1-x", Image = "i", Events = [new KeyEvent(Noon, true, "text", 2), new KeyEvent(Noon, false, "more")],
            },
        ],
        Pulls = [new PullState("docker.io/library/busybox:1", Noon, [new LayerState("sha256:1", "downloading", 5, 10)])],
        Problems = ["a.yaml:1: wrong"],
    };
}

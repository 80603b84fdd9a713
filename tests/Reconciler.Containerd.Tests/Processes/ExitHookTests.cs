using System.Collections.Concurrent;
using Reconciler.Containerd.Tests.Containers;

namespace Reconciler.Containerd.Tests.Processes;

public sealed class ExitHookTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Exit_hooks_are_told_once_per_process_in_order_and_replaced_as_a_whole()
    {
        await using var client = await shared.ConnectAsync();
        var order = new ConcurrentQueue<string>();
        var last = new HookLog { OnTold = () => order.Enqueue("third") };
        var containers = new HookLog();
        client.SetStopHooks(containers.TellAsync);
        client.SetExitHooks((_, _, _) => throw new InvalidOperationException("replaced as a whole"));
        client.SetExitHooks(
            async (_, _, _) =>
            {
                await Task.Yield();
                order.Enqueue("first");
            },
            (_, _, _) =>
            {
                order.Enqueue("second");
                throw new InvalidOperationException("a hook fails");
            },
            last.TellAsync);
        var (id, _) = await Scripts.HeldAsync(client, 0);

        await client.ExecContainerAsync(Sh(id, "nine", "exit 9"), Stop);
        await last.FirstAsync("nine");
        Assert.Equal(["first", "second", "third"], order);
        client.SetExitHooks(last.TellAsync);
        await client.ExecContainerAsync(Sh(id, "four", "exit 4"), Stop);
        await last.FirstAsync("four");

        Assert.Equal(4, order.Count);
        Assert.Equal([("nine", 9), ("four", 4)], last.Told.Select(told => (told.Id, told.Exit.ExitCode!.Value)));
        Assert.Empty(containers.Told);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    private static ExecProcess Sh(string id, string execId, string script) =>
        new() { ContainerId = id, ExecId = execId, Process = new OciProcess { Args = ["sh", "-c", script] } };
}

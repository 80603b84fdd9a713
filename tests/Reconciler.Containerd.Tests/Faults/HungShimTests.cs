using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;
using Reconciler.Containerd.Tests.Containers;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>A shim that is stopped answers nobody; what is asked of it meanwhile it may do once it goes on.</summary>
public sealed class HungShimTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Calls_end_at_their_limit_and_work_again_once_the_shim_does()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon, TestImages.Busybox(), SharedDaemon.Busybox);
        using var fifos = new TempFolder();
        var limit = TimeSpan.FromSeconds(5);
        await using var client = await ContainerdClient.ConnectAsync(
            SharedDaemon.OptionsFor(daemon) with { CallTimeout = limit, FifoDirectory = fifos.Path, Limits = new CallLimits { Rollback = limit, Kill = limit, Delete = limit } }, Stop);
        await using var patient = await SharedDaemon.ConnectAsync(daemon);
        var (id, _) = await Scripts.HeldAsync(patient, 0);
        var shim = Assert.Single(Leftovers.ShimsOf(daemon.Address));

        Testing.Signals.Send(shim, Testing.Signals.Stop);
        try
        {
            await TimesOutAsync(client.ExecContainerAsync(Echo(id, "e1"), Stop));
            await TimesOutAsync(client.MetricsAsync(id, Stop));
            await TimesOutAsync(client.PauseAsync(id, Stop));
            await TimesOutAsync(client.ContainerPidsAsync(id, Stop));
            Assert.True((await client.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(1), Stop)).Error!.IsNotfound);
            Assert.True((await patient.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(1), Stop)).Error!.IsTimeout);
        }
        finally
        {
            Testing.Signals.Send(shim, Testing.Signals.Continue);
        }

        // What was asked of it before may still take effect, a pause included.
        await Eventually.UntilAsync(() => AnswersAsync(patient, id), "the shim works again");
        await patient.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
        await Leftover.NothingAsync(patient, daemon, id);
        Assert.Empty(Directory.EnumerateFileSystemEntries(fifos.Path));
    }

    private static async Task<bool> AnswersAsync(ContainerdClient client, string id)
    {
        try
        {
            await client.ResumeAsync(id, Stop);
            var exec = await client.ExecContainerAsync(Echo(id, "e" + Names.Unique()), Stop);
            Assert.Equal(0, (await exec.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
            return (await client.MetricsAsync(id, Stop)).Pids > 0 && (await client.ContainerPidsAsync(id, Stop)).Count > 0;
        }
        catch (ContainerdException)
        {
            return false;
        }
    }

    private static async Task TimesOutAsync(Task call)
    {
        var error = await Assert.ThrowsAsync<ContainerdException>(() => call.WaitAsync(Scripts.Long, Stop));
        Assert.True(error.IsTimeout, error.ToString());
    }

    private static ExecProcess Echo(string container, string id) => new()
    {
        ContainerId = container,
        ExecId = id,
        Process = new OciProcess { Args = ["true"] },
        IO = ContainerIO.Streams(stdout: Stream.Null),
    };
}

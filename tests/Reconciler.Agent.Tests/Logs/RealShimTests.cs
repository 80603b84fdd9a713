using System.Globalization;
using Reconciler.Agent.Logs;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Logs;

/// <summary>Logs as a real shim writes them.</summary>
public sealed class RealShimTests
{
    private const string Image = "docker.io/library/busybox:test";

    [Fact]
    public async Task Cuts_while_a_shim_writes_lose_and_double_nothing()
    {
        using var folder = new TempFolder();
        if (!LogReserve.CanCollapse(folder.Path)) return; // nothing of the kind on this file system
        await using var daemon = await StartAsync(folder);
        const int Last = 100_000;
        var log = new LogFiles(folder["logs"], TimeProvider.System).Create("default", "web", "main", 1).Out;
        await daemon.CtrAsync(
            "run", "-d", "--log-uri", "file://" + log, Image, "web", "/bin/sh", "-c",
            $"i=1; while [ $i -le {Last} ]; do echo \"line $i of a log that is cut while it is written\"; i=$((i+1)); done; exec sleep 100000");
        var lines = new LineChecker();
        await Eventually.UntilAsync(
            () =>
            {
                if (new LogCut(log).Run(true, long.MaxValue / 2, 0, CancellationToken.None) > 0) lines.Add(File.ReadAllBytes(LogPaths.PieceOf(log)));
                return File.ReadAllText(log).EndsWith(LineWriter.Line(Last), StringComparison.Ordinal);
            },
            "the last line is there");
        lines.Add(await File.ReadAllBytesAsync(log, TestContext.Current.CancellationToken));

        Assert.Equal(Last + 1, lines.Next);
        Assert.True(LogJournal.Read(log).Base > 0);
    }

    [Fact]
    public async Task A_container_that_a_full_log_disk_blocked_is_found_and_no_other()
    {
        using var folder = new TempFolder();
        await using var daemon = await StartAsync(folder);
        var disk = Directory.CreateDirectory(folder["disk"]).FullName;
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=256k", "logs", disk);
        var files = new LogFiles(disk, TimeProvider.System);
        var go = Directory.CreateDirectory(folder["go"]).FullName;
        // One writes more than the disk holds once told to, one has closed its output, one is merely quiet.
        var loud = await RunAsync("loud", "until [ -e /go/now ]; do usleep 20000; done; yes");
        var closed = await RunAsync("closed", "exec sleep 100000 >/dev/null 2>&1");
        var quiet = await RunAsync("quiet", "exec sleep 100000");
        RunningLog[] running = [loud, closed, quiet];
        await Eventually.UntilAsync(
            () => File.ReadAllText($"/proc/{closed.Pid}/comm") == "sleep\n" && File.ReadAllText($"/proc/{quiet.Pid}/comm") == "sleep\n",
            "the programs run");
        Assert.Empty(files.FindBroken(running, force: true));

        await File.WriteAllTextAsync(Path.Combine(go, "now"), "", TestContext.Current.CancellationToken);
        await Eventually.UntilAsync(() => files.FindBroken(running, force: true).Count > 0, "the shim let go of its log");
        Assert.Equal(["loud"], files.FindBroken(running, force: true));

        async Task<RunningLog> RunAsync(string id, string script)
        {
            var log = files.Create("default", id, "main", 1).Out;
            await daemon.CtrAsync(
                "run", "-d", "--log-uri", "file://" + log, "--mount", $"type=bind,src={folder["go"]},dst=/go,options=rbind:ro",
                Image, id, "/bin/sh", "-c", script);
            var task = (await daemon.CtrAsync("tasks", "ls")).Split('\n').Select(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).First(f => f[0] == id);
            return new RunningLog(id, int.Parse(task[1], CultureInfo.InvariantCulture), new LogPaths(log, log));
        }
    }

    private static async Task<ContainerdDaemon> StartAsync(TempFolder folder)
    {
        var daemon = await ContainerdDaemon.StartAsync();
        await File.WriteAllBytesAsync(folder["image.tar"], TestImages.Busybox().ToArchive(Image), TestContext.Current.CancellationToken);
        await daemon.CtrAsync("images", "import", folder["image.tar"]);
        return daemon;
    }
}

using System.Globalization;
using Reconciler.Agent.Logs;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Logs;

/// <summary>What a real shim does when the log disk is full.</summary>
public sealed class FullDiskTests
{
    [Fact]
    public async Task A_container_that_a_full_log_disk_blocked_is_found_and_no_other()
    {
        using var folder = new TempFolder();
        await using var daemon = await ContainerdDaemon.StartAsync();
        var disk = Directory.CreateDirectory(folder["disk"]).FullName;
        await Shell.OutputAsync("mount", "-t", "tmpfs", "-o", "size=256k", "logs", disk);
        await File.WriteAllBytesAsync(folder["image.tar"], TestImages.Busybox().ToArchive("docker.io/library/busybox:test"), TestContext.Current.CancellationToken);
        await daemon.CtrAsync("images", "import", folder["image.tar"]);
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
                "docker.io/library/busybox:test", id, "/bin/sh", "-c", script);
            var task = (await daemon.CtrAsync("tasks", "ls")).Split('\n').Select(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).First(f => f[0] == id);
            return new RunningLog(id, int.Parse(task[1], CultureInfo.InvariantCulture), new LogPaths(log, log));
        }
    }
}

using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Hosting;
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

    /// <summary>RECONCILER_LOG_ROUNDS: how often the container writes 64 MiB, as fast as it can; RECONCILER_LOG_PAUSE: microseconds between two of them.</summary>
    [Fact]
    public async Task What_stays_of_a_flood_is_its_end_byte_for_byte()
    {
        const int Block = 64 << 20;
        using var folder = new TempFolder();
        if (!LogReserve.CanCollapse(folder.Path)) return; // nothing of the kind on this file system
        var rounds = int.Parse(Environment.GetEnvironmentVariable("RECONCILER_LOG_ROUNDS") ?? "8", CultureInfo.InvariantCulture);
        var pause = int.Parse(Environment.GetEnvironmentVariable("RECONCILER_LOG_PAUSE") ?? "0", CultureInfo.InvariantCulture);
        await using var daemon = await StartAsync(folder);
        var block = NumberedBlock(Block);
        Directory.CreateDirectory(folder["data"]);
        await File.WriteAllBytesAsync(folder["data/block"], block, TestContext.Current.CancellationToken);
        var files = new LogFiles(folder["logs"], TimeProvider.System);
        var options = new NodeOptions { NodeName = "n", LogMaxBytes = 10 << 20, LogMaxFiles = 3, LogReserve = 0 };
        var cutter = new LogCutter(files, options, TimeProvider.System, NullLogger<LogCutter>.Instance);
        using var stop = new CancellationTokenSource();
        var cutting = Task.Run(() => cutter.RunAsync(stop.Token), TestContext.Current.CancellationToken);
        var log = files.Create("default", "web", "main", 1).Out;

        await daemon.CtrAsync(
            "run", "-d", "--log-uri", "file://" + log, "--mount", $"type=bind,src={folder["data"]},dst=/data,options=rbind:ro",
            Image, "web", "/bin/sh", "-c", $"i=0; while [ $i -lt {rounds} ]; do printf '%08d' $i; cat /data/block; usleep {pause}; i=$((i+1)); done; exec sleep 100000");
        using var view = LogView.Open(log)!;
        var end = rounds * (8L + Block);
        await Eventually.UntilAsync(() => cutting.IsCompleted || view.Range().End >= end, "all is written", TimeSpan.FromMinutes(5));
        await Eventually.UntilAsync(() => cutting.IsCompleted || new FileInfo(log).Length <= options.LogMaxBytes, "the last cut is done");
        await stop.CancelAsync();
        await cutting;

        var kept = LogCutTests.ReadAll(view);
        Assert.Equal((end - kept.Length, end), view.Range());
        Assert.InRange(kept.Length, 20 << 20, 30 << 20);
        Assert.True(block.AsSpan().EndsWith(kept), "what stayed is not the end of what was written");
        Assert.Equal(2, LogPaths.PiecesOf(log).Count);
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
        await Eventually.UntilAsync(() => !files.Holders.Look()!.Holds(loud.Logs.Out), "the shim let go of its log");
        Assert.Empty(files.FindBroken(running, force: true)); // as long as the successor's log would be closed as well
        await Shell.OutputAsync("mount", "-o", "remount,size=4m", disk);
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

    /// <summary>Lines of 64 bytes, each with its number.</summary>
    private static byte[] NumberedBlock(int size)
    {
        var block = new byte[size];
        for (var line = 0; line < size / 64; line++)
        {
            var at = block.AsSpan(line * 64, 64);
            at.Fill((byte)'.');
            at[63] = (byte)'\n';
            _ = line.TryFormat(at, out _, default, CultureInfo.InvariantCulture);
        }
        return block;
    }

    private static async Task<ContainerdDaemon> StartAsync(TempFolder folder)
    {
        var daemon = await ContainerdDaemon.StartAsync();
        await File.WriteAllBytesAsync(folder["image.tar"], TestImages.Busybox().ToArchive(Image), TestContext.Current.CancellationToken);
        await daemon.CtrAsync("images", "import", folder["image.tar"]);
        return daemon;
    }
}

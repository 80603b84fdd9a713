using System.Diagnostics;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Logs;
using Reconciler.Core.Model;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Logs;

public sealed class LogFilesTests : IDisposable
{
    private readonly TempFolder _folder = new();
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    [Fact]
    public void Files_are_made_where_design_says_empty_and_not_for_everyone()
    {
        var paths = Files().Create("prod", "web", "main", 3);

        Assert.Equal(new LogPaths(_folder["prod/web/main/3.out"], _folder["prod/web/main/3.err"]), paths);
        foreach (var path in new[] { paths.Out, paths.Err })
        {
            Assert.Equal(0, new FileInfo(path).Length);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead, File.GetUnixFileMode(path));
        }
        Assert.Equal([3], Files().Incarnations("prod", "web", "main"));
        Assert.Equal(["main"], Files().Containers("prod", "web"));
        Assert.Empty(Files().Incarnations("prod", "web", "other"));
    }

    [Theory]
    [InlineData("..", "web", "main")]
    [InlineData("prod", "a/b", "main")]
    [InlineData("prod", "web", "")]
    public void Names_cannot_leave_the_folder(string ns, string workload, string container) =>
        Assert.Throws<ArgumentException>(() => Files().Create(ns, workload, container, 1));

    [Fact]
    public void A_creation_that_is_tried_again_starts_empty_and_keeps_the_others()
    {
        var files = Files();
        File.WriteAllText(files.Create("prod", "web", "main", 4).Out, "four");
        File.WriteAllText(files.Create("prod", "web", "main", 5).Out, "failed start");
        Assert.Equal("", File.ReadAllText(files.Create("prod", "web", "main", 5).Out));
        Assert.Equal([4, 5], files.Incarnations("prod", "web", "main"));
        Assert.Equal("four", File.ReadAllText(files.PathsOf("prod", "web", "main", 4).Out));
    }

    [Fact]
    public void Another_life_keeps_the_last_incarnation_of_the_one_before()
    {
        var files = Files();
        File.WriteAllText(files.Create("prod", "web", "main", 8).Out, "eight");
        File.WriteAllText(files.Create("prod", "web", "main", 9).Out, "nine");
        files.Create("prod", "web", "main", 1);

        Assert.Equal([0, 1], files.Incarnations("prod", "web", "main"));
        Assert.Equal("nine", File.ReadAllText(files.PathsOf("prod", "web", "main", 0).Out));
    }

    [Fact]
    public void A_log_whose_shim_let_go_of_it_is_found()
    {
        var files = Files();
        var held = files.Create("prod", "held", "main", 1);
        var closed = files.Create("prod", "closed", "main", 1);
        var quiet = files.Create("prod", "quiet", "main", 1);
        using var shims = new Pipes(_folder.Path, held, closed);
        // Its program closed its own output: nothing is blocked.
        using var program = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec sleep 1000 >/dev/null 2>&1 </dev/null"]))!;
        try
        {
            RunningLog[] running = [new("held", shims.HeldPid, held), new("closed", shims.ClosedPid, closed), new("quiet", program.Id, quiet)];

            Assert.Equal(["closed"], files.FindBroken(running, force: true));
            shims.Dispose();
            Assert.Equal(["closed"], files.FindBroken(running)); // not looked again within the pause
        }
        finally
        {
            program.Kill();
        }
    }

    [Fact]
    public void Nothing_is_called_broken_where_no_shim_can_be_seen()
    {
        Directory.CreateDirectory(_folder["host/proc"]);
        var files = new LogFiles(_folder["logs"], _time, _folder["host"]);
        var paths = files.Create("prod", "web", "main", 1);
        Assert.Empty(files.FindBroken([new RunningLog("web", Environment.ProcessId, paths)], force: true));
    }

    [Fact]
    public void A_removed_container_is_marked_once_and_unmarked_when_it_is_back()
    {
        var files = Files();
        files.Create("prod", "web", "main", 1);
        var directory = _folder["prod/web/main"];
        var key = ResourceKey.Container("prod", "web", "main");
        files.Present(new HashSet<ResourceKey> { key });
        Assert.Null(LogFiles.RemovedSince(directory));

        files.Present(new HashSet<ResourceKey>());
        var since = _time.GetUtcNow();
        _time.Advance(TimeSpan.FromHours(1));
        files.Present(new HashSet<ResourceKey>());
        Assert.Equal(since, LogFiles.RemovedSince(directory));

        files.Present(new HashSet<ResourceKey> { key });
        Assert.Null(LogFiles.RemovedSince(directory));
        files.Present(new HashSet<ResourceKey>());
        files.Create("prod", "web", "main", 2);
        Assert.Null(LogFiles.RemovedSince(directory));
    }

    public void Dispose() => _folder.Dispose();

    private LogFiles Files() => new(_folder.Path, _time);

    /// <summary>Two processes that look like shims to the kernel, each reading the pipe of a program; only one has the log open.</summary>
    private sealed class Pipes : IDisposable
    {
        private readonly List<Process> _processes = [];

        public Pipes(string folder, LogPaths held, LogPaths closed)
        {
            // A program that was started by this name, not a script: the kernel takes comm from the file.
            var shim = Path.Combine(folder, "containerd-shim-test");
            // By another process: what this one has open for writing may be inherited by what another test starts right now, and cannot be run meanwhile.
            using (var copy = Process.Start("cp", ["/bin/sleep", shim])) copy.WaitForExit();
            HeldPid = Start($"sleep 1000 | exec '{shim}' 1000 >>'{held.Out}' 2>>'{held.Err}'", shim, folder + "/held");
            ClosedPid = Start($"sleep 1000 | exec '{shim}' 1000 >/dev/null 2>>'{closed.Err}'", shim, folder + "/closed");
        }

        public int HeldPid { get; }

        public int ClosedPid { get; }

        public void Dispose()
        {
            foreach (var process in _processes)
            {
                if (process.HasExited) continue;
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
            }
        }

        private int Start(string script, string shim, string pidFile)
        {
            // The program's standard error is the pipe's too, so both streams are like a container's.
            var program = script.Replace("sleep 1000 |", $"sh -c 'echo $$ >\"{pidFile}.new\"; mv \"{pidFile}.new\" \"{pidFile}\"; exec sleep 1000 2>&1' |", StringComparison.Ordinal);
            var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", program + "; exit 0"]))!;
            _processes.Add(process);
            Eventually.UntilAsync(() => File.Exists(pidFile), "the program runs").GetAwaiter().GetResult();
            var pid = int.Parse(File.ReadAllText(pidFile), System.Globalization.CultureInfo.InvariantCulture);
            Eventually.UntilAsync(() => ShimReads(shim, pid), "the shim reads its pipe").GetAwaiter().GetResult();
            return pid;
        }

        private static bool ShimReads(string shim, int pid)
        {
            var pipe = new FileInfo($"/proc/{pid}/fd/1").LinkTarget;
            return File.ReadAllText($"/proc/{pid}/comm") == "sleep\n" && Directory.GetDirectories("/proc").Any(process =>
            {
                try
                {
                    return new FileInfo(process + "/exe").LinkTarget == shim && new FileInfo(process + "/fd/0").LinkTarget == pipe;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    return false;
                }
            });
        }
    }
}

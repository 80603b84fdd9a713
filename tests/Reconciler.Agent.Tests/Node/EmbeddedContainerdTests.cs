using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Node;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Node;

public sealed class EmbeddedContainerdTests : IAsyncLifetime
{
    private readonly TempFolder _folder = new();

    private string PidFile => _folder["containerd/pid"];

    [Fact]
    public async Task It_starts_outlives_the_agent_and_is_adopted()
    {
        int pid;
        await using (var first = new Agent(_folder.Path))
        {
            pid = await AnsweringAsync(first);
            Assert.Equal(pid, SessionOf(pid));
        }
        Assert.True(ProcessIdentity.Read(PidFile)!.IsAlive());

        await using var second = new Agent(_folder.Path);
        await using var third = new Agent(_folder.Path);
        Assert.Equal(pid, await AnsweringAsync(second));
        Assert.Equal([pid], DaemonsOf(_folder.Path));
    }

    [Fact]
    public async Task A_dead_one_is_started_again_also_when_its_pid_went_to_another_process()
    {
        int second;
        await using (var agent = new Agent(_folder.Path))
        {
            var first = await AnsweringAsync(agent);
            Signals.Send(first, Signals.Kill);
            second = await AnsweringAsync(agent, not: first);
            Assert.NotEqual(first, second);
        }
        Signals.Send(second, Signals.Kill); // while no agent is there to start a third
        await Eventually.UntilAsync(() => DaemonsOf(_folder.Path).Count == 0, "it is dead");
        await File.WriteAllTextAsync(PidFile, $"{Environment.ProcessId} 1 {ProcessIdentity.CurrentBoot}\n", TestContext.Current.CancellationToken);

        await using var next = new Agent(_folder.Path);
        await AnsweringAsync(next, not: Environment.ProcessId);
    }

    [Fact]
    public async Task One_that_never_answers_is_stopped_and_replaced()
    {
        using var mute = Process.Start("/bin/sleep", "100000");
        var start = (await File.ReadAllTextAsync($"/proc/{mute.Id}/stat", TestContext.Current.CancellationToken)).Split(") ")[^1].Split(' ')[19];
        Directory.CreateDirectory(_folder["containerd"]);
        await File.WriteAllTextAsync(PidFile, $"{mute.Id} {start} {ProcessIdentity.CurrentBoot}\n", TestContext.Current.CancellationToken);
        var time = new FakeTimeProvider();
        await using var agent = new Agent(_folder.Path, time);
        await Eventually.UntilAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(1));
                return mute.HasExited;
            },
            "the mute process is stopped");
        await using var ticking = new Timer(_ => time.Advance(TimeSpan.FromMilliseconds(20)), null, TimeSpan.Zero, TimeSpan.FromMilliseconds(20));
        await AnsweringAsync(agent, not: mute.Id);
    }

    [Fact]
    public void A_socket_too_deep_and_a_host_elsewhere_are_refused()
    {
        var deep = "/var/lib/" + new string('x', 100);
        Assert.Contains("shorter --state-dir", EmbeddedContainerd.Refusal(deep, "/"), StringComparison.Ordinal);
        Assert.Contains("--host-root is /host", EmbeddedContainerd.Refusal(_folder.Path, "/host"), StringComparison.Ordinal);
        Assert.Equal(_folder["containerd/c.sock"], EmbeddedContainerd.SocketOf(_folder.Path));
    }

    [Fact]
    public void A_container_is_told_by_its_pid_namespace_or_by_its_root()
    {
        Directory.CreateDirectory(_folder["proc/self/ns"]);
        Directory.CreateDirectory(_folder["proc/1"]);
        File.CreateSymbolicLink(_folder["proc/1/root"], "/");
        File.CreateSymbolicLink(_folder["proc/self/ns/pid"], "pid:[4026531836]");
        Assert.Null(ContainerCheck.Refusal("/", _folder["proc"]));

        File.Delete(_folder["proc/1/root"]);
        File.CreateSymbolicLink(_folder["proc/1/root"], _folder.Path);
        Assert.Contains("another root", ContainerCheck.Refusal("/", _folder["proc"]), StringComparison.Ordinal);

        File.Delete(_folder["proc/self/ns/pid"]);
        File.CreateSymbolicLink(_folder["proc/self/ns/pid"], "pid:[4026532201]");
        Assert.Contains("PID namespace", ContainerCheck.Refusal("/", _folder["proc"]), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("overlay", true)]
    [InlineData("ext4", false)]
    public void Where_the_first_process_is_hidden_the_kind_of_root_tells(string type, bool refused)
    {
        Directory.CreateDirectory(_folder["proc/self/ns"]);
        File.CreateSymbolicLink(_folder["proc/self/ns/pid"], "pid:[4026531836]");
        Directory.CreateDirectory(_folder["proc/1"]);
        File.CreateSymbolicLink(_folder["proc/1/root"], _folder["proc/1/root"]); // a loop: it cannot be followed
        File.WriteAllText(_folder["proc/self/mountinfo"], $"22 27 0:21 / /proc rw - proc proc rw\n27 1 254:0 / / rw shared:1 - {type} {type} rw\n");

        Assert.Equal(refused, ContainerCheck.Refusal("/", _folder["proc"]) is not null);
    }

    public ValueTask InitializeAsync() => default;

    public async ValueTask DisposeAsync()
    {
        await Eventually.UntilAsync(
            () =>
            {
                var alive = DaemonsOf(_folder.Path);
                foreach (var pid in alive) Signals.Send(pid, Signals.Kill);
                return alive.Count == 0;
            },
            "the daemons end");
        _folder.Dispose();
    }

    private async Task<int> AnsweringAsync(Agent agent, int not = 0)
    {
        var pid = 0;
        await Eventually.UntilAsync(
            async () =>
            {
                if (agent.Running.IsCompleted) await agent.Running;
                if (ProcessIdentity.Read(PidFile) is not { } daemon || daemon.Pid == not || !daemon.IsAlive()) return false;
                pid = daemon.Pid;
                return (await Shell.RunAsync("ctr", ["-a", EmbeddedContainerd.SocketOf(_folder.Path), "version"])).ExitCode == 0;
            },
            "containerd answers");
        return pid;
    }

    private static int SessionOf(int pid)
    {
        var stat = File.ReadAllText($"/proc/{pid}/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[3], CultureInfo.InvariantCulture);
    }

    /// <summary>Daemons with this state dir as their working folder.</summary>
    private static List<int> DaemonsOf(string stateDir) => [.. Directory.GetDirectories("/proc")
        .Select(path => int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? pid : 0)
        .Where(pid => pid > 0 && Works(pid, stateDir))];

    private static bool Works(int pid, string stateDir)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/comm") == "containerd\n" && new FileInfo($"/proc/{pid}/cwd").LinkTarget == Path.Combine(stateDir, "containerd");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private sealed class Agent : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();

        public Agent(string stateDir, TimeProvider? time = null)
        {
            var embedded = new EmbeddedContainerd(stateDir, "/", time ?? TimeProvider.System, NullLogger<EmbeddedContainerd>.Instance);
            Running = Task.Run(() => embedded.RunAsync(_stop.Token));
        }

        public Task Running { get; }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await Running.ContinueWith(_ => { }, TaskScheduler.Default);
            _stop.Dispose();
        }
    }
}

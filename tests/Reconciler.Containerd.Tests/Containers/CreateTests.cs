using System.Text;
using System.Text.Json;
using Reconciler.Containerd.Api.Tasks;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Containers;

public sealed class CreateTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Create_makes_record_snapshot_and_running_task_in_the_one_order()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var id = SharedDaemon.NewId();

        var pid = await client.CreateContainerAsync(SharedDaemon.Sh(id, "exec sleep 1000"), Stop);

        var changes = recorder.Methods.Where(method => method is not ("Version.Version" or "Images.Get" or "Content.Read" or "Content.Info" or "Containers.Update"));
        Assert.Equal(["Containers.Create", "Snapshots.Prepare", "Tasks.Create", "Tasks.Wait", "Tasks.Start"], changes);
        var task = await client.GetTaskAsync(id, Stop);
        Assert.Equal((TaskStatus.Running, pid), (task!.Status, task.Pid));
        await Eventually.UntilAsync(() => File.ReadAllText($"/proc/{pid}/cmdline") == "sleep\0" + "1000\0", "the command runs");
        var record = await client.GetContainerAsync(id, Stop);
        Assert.Equal((id, "overlayfs", SharedDaemon.Busybox), (record.SnapshotKey, record.Snapshotter, record.Image));
        var snapshot = Assert.Single(await client.ListSnapshotsAsync(Stop), snapshot => snapshot.Key == id);
        var image = await client.ResolveImageAsync(SharedDaemon.Busybox, Stop);
        Assert.Equal((image.ChainId, SnapshotKind.Active), (snapshot.Parent, snapshot.Kind));
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    [Fact]
    public async Task Labels_extensions_and_the_stop_signal_are_kept_with_the_record()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        var container = SharedDaemon.Sh(id, "sleep 1000") with
        {
            Labels = new Dictionary<string, string> { ["example.test/a.b"] = "1" },
            Extensions = new Dictionary<string, TypedValue> { ["x"] = new("example.test/type", [1, 2, 0]) },
            StopSignal = "SIGUSR1",
        };
        await client.CreateContainerAsync(container, Stop);

        await client.UpdateLabelsAsync(id, new Dictionary<string, string> { ["example.test/c"] = "2" }, Stop);
        var first = await client.GetContainerAsync(id, Stop);
        await client.UpdateLabelsAsync(id, new Dictionary<string, string> { ["example.test/a.b"] = "" }, Stop);
        var second = Assert.Single(await client.ListContainersAsync([$"labels.\"example.test/c\"==2,id=={id}"], Stop));

        Assert.Equal(("1", "2", "SIGUSR1"), (first.Labels["example.test/a.b"], first.Labels["example.test/c"], first.Labels["io.containerd.image.config.stop-signal"]));
        Assert.False(second.Labels.ContainsKey("example.test/a.b"));
        Assert.Equal("example.test/type", second.Extensions["x"].TypeUrl);
        Assert.Equal([1, 2, 0], second.Extensions["x"].Value);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    [Fact]
    public async Task Without_its_image_nothing_is_made()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();

        var error = await Assert.ThrowsAsync<ContainerdException>(
            () => client.CreateContainerAsync(SharedDaemon.Sh(id, "true") with { Image = "example.test/none:1" }, Stop));

        Assert.Equal(ContainerdError.ImageNotfound, error.Code);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task A_missing_program_is_told_and_rolled_back()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();

        var error = await Assert.ThrowsAsync<ContainerdException>(
            () => client.CreateContainerAsync(SharedDaemon.Sh(id, "true") with { Command = ["/bin/no-such-program"] }, Stop));

        Assert.Contains("no-such-program", error.Message, StringComparison.Ordinal);
        Assert.True((await client.ProbeContainerAsync(id, TimeSpan.Zero, Stop)).Error!.IsNotfound);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Theory]
    [InlineData("Containers.Create")]
    [InlineData("Snapshots.Prepare")]
    [InlineData("Containers.Update")]
    [InlineData("Tasks.Create")]
    [InlineData("Tasks.Start")]
    public async Task A_failure_at_any_call_is_rolled_back(string method)
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var id = SharedDaemon.NewId();
        var told = 0;
        client.SetStopHooks((_, _, _) => Task.FromResult(Interlocked.Increment(ref told)));
        recorder.Fail(method);

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "sleep 1000"), Stop));

        Assert.Contains("injected", error.Message, StringComparison.Ordinal);
        await Leftover.NothingAsync(client, shared.Daemon, id);
        Assert.Equal(0, told);
    }

    [Theory]
    [InlineData("Containers.Create")]
    [InlineData("Snapshots.Prepare")]
    [InlineData("Tasks.Create")]
    public async Task A_cancel_at_any_call_cuts_none_and_is_rolled_back(string method)
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var id = SharedDaemon.NewId();
        using var cancel = new CancellationTokenSource();
        recorder.Before = name =>
        {
            if (name == method) cancel.Cancel();
        };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "sleep 1000"), cancel.Token));

        Assert.Contains(method, recorder.Answered);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task A_used_id_is_refused_and_its_owner_unharmed()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        var pid = await client.CreateContainerAsync(SharedDaemon.Sh(id, "exec sleep 1000"), Stop);

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "true"), Stop));

        Assert.Equal("AlreadyExists", error.RpcStatus);
        var task = await client.GetTaskAsync(id, Stop);
        Assert.Equal((TaskStatus.Running, pid), (task!.Status, task.Pid));
        Assert.Single(await client.ListSnapshotsAsync(Stop), snapshot => snapshot.Key == id);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    [Fact]
    public async Task Image_and_spec_are_joined_and_the_callers_spec_is_unchanged()
    {
        await using var client = await shared.ConnectAsync();
        var spec = DefaultSpec.Create("x", shared.Daemon.Namespace);
        spec.Process!.Env = ["A=1"];
        spec.Process.Cwd = "/tmp";
        var before = JsonSerializer.Serialize(spec, OciJson.Default.OciSpec);

        var output = await RunAsync(client, id =>
        {
            var own = spec with { Linux = spec.Linux! with { CgroupsPath = $"/{shared.Daemon.Namespace}/{id}" } };
            return SharedDaemon.Sh(id, "echo $A $PATH; pwd; id; grep -c . /proc/self/mounts >/dev/null; echo err >&2") with { Spec = own, User = "worker" };
        });

        var lines = output.Out.Split('\n');
        Assert.Equal("1 /bin", lines[0]);
        Assert.Equal("/tmp", lines[1]);
        Assert.Equal("uid=1500(worker) gid=1600(worker) groups=1600(worker),1700(extra)", lines[2]);
        Assert.Equal("err\n", output.Error);
        Assert.Equal(before, JsonSerializer.Serialize(spec, OciJson.Default.OciSpec));
    }

    [Theory]
    [InlineData("", "uid=0(root) gid=0(root)")]
    [InlineData("1500", "uid=1500(worker) gid=1600(worker) groups=1600(worker),1700(extra)")]
    [InlineData("4000000:70000", "uid=4000000 gid=70000")]
    [InlineData("worker:root", "uid=1500(worker) gid=0(root) groups=0(root),1700(extra)")]
    public async Task Users_are_looked_up_in_the_image(string user, string expected)
    {
        await using var client = await shared.ConnectAsync();

        var first = await RunAsync(client, id => SharedDaemon.Sh(id, "id") with { User = user });
        var second = await RunAsync(client, id => SharedDaemon.Sh(id, "id") with { User = user });

        Assert.StartsWith(expected, first.Out, StringComparison.Ordinal);
        Assert.Equal(first.Out, second.Out);
    }

    [Fact]
    public async Task An_unknown_user_is_told_and_rolled_back()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "id") with { User = "nobody-here" }, Stop));

        Assert.Contains("unable to find user nobody-here", error.Message, StringComparison.Ordinal);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task The_default_spec_runs_with_its_capabilities_mounts_and_masks()
    {
        await using var client = await shared.ConnectAsync();

        var output = await RunAsync(client, id => SharedDaemon.Sh(
            id, "grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; grep Seccomp: /proc/self/status; awk '{print $2}' /proc/self/mounts; wc -c < /proc/keys; echo $$; ulimit -n")
            with
        {
            Spec = WithSeccomp(id),
        });

        Assert.Contains("CapEff:\t00000000a80425fb\n", output.Out, StringComparison.Ordinal);
        Assert.Contains("NoNewPrivs:\t1\n", output.Out, StringComparison.Ordinal);
        Assert.Contains("Seccomp:\t2\n", output.Out, StringComparison.Ordinal);
        foreach (var mount in new[] { "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/run", "/proc/sys" })
            Assert.Contains($"\n{mount}\n", output.Out, StringComparison.Ordinal);
        Assert.EndsWith("\n0\n1\n1024\n", output.Out, StringComparison.Ordinal);

        OciSpec WithSeccomp(string id)
        {
            var spec = DefaultSpec.Create(id, shared.Daemon.Namespace);
            spec.Linux!.Seccomp = DefaultSeccomp.Create([.. spec.Process!.Capabilities!.Bounding!]);
            return spec;
        }
    }

    [Theory]
    [InlineData("a b")]
    [InlineData("a--b")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123456789012345678")]
    public async Task A_bad_id_is_refused_before_any_call(string id)
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);

        await Assert.ThrowsAnyAsync<ArgumentException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "true"), Stop));

        Assert.Equal(["Version.Version"], recorder.Methods);
    }

    [Fact]
    public async Task A_task_request_never_has_one_stream_only()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);

        await RunAsync(client, id => SharedDaemon.Sh(id, "true"));

        Assert.All(recorder.Requests<CreateTaskRequest>(), request => Assert.Equal(request.Stdout.Length > 0, request.Stderr.Length > 0));
        Assert.NotEmpty(recorder.Requests<CreateTaskRequest>());
    }

    private async Task<(string Out, string Error)> RunAsync(ContainerdClient client, Func<string, Container> make)
    {
        using var folder = new TempFolder();
        var id = SharedDaemon.NewId();
        var (stdout, stderr) = ($"{folder.Path}/logs/out", $"{folder.Path}/logs/err");
        await client.CreateContainerAsync(make(id) with { IO = ContainerIO.Files(stdout, stderr) }, Stop);
        var exit = await client.ProbeContainerAsync(id, TimeSpan.FromMinutes(2), Stop);
        await client.DestroyContainerAsync(id, null, Stop);
        Assert.False(exit.HasError, exit.Error?.Message);
        await Leftover.NothingAsync(client, shared.Daemon, id);
        return (await File.ReadAllTextAsync(stdout, Encoding.UTF8, Stop), await File.ReadAllTextAsync(stderr, Encoding.UTF8, Stop));
    }
}

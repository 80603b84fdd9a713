using Reconciler.Containerd.Api.Containers;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Processes;

public sealed class ResourceTests(SharedDaemon shared)
{
    private static readonly StopOptions AtOnce = new() { Grace = TimeSpan.Zero };

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Limits_of_a_running_container_change_at_once_and_in_its_record()
    {
        await using var client = await shared.ConnectAsync();
        var (id, _) = await Scripts.HeldAsync(client, 0);
        var before = await SpecAsync(client, id);

        await client.UpdateResourcesAsync(id, new OciResources { Pids = new OciPids { Limit = 77 } }, Stop);
        await client.UpdateResourcesAsync(id, new OciResources { Memory = new OciMemory { Limit = 64 << 20 } }, Stop);

        var metrics = await client.MetricsAsync(id, Stop);
        Assert.Equal((77UL, 64UL << 20), (metrics.PidsLimit, metrics.MemoryLimit));
        var after = await SpecAsync(client, id);
        Assert.Equal((77L, 64L << 20), (after.Linux!.Resources!.Pids!.Limit, after.Linux.Resources.Memory!.Limit));
        Assert.Equal(before.Linux!.Resources!.Devices, after.Linux.Resources.Devices);
        Assert.Equal(before.Process!.Args, after.Process!.Args);
        Assert.Equal(before.Linux.CgroupsPath, after.Linux.CgroupsPath);
        await client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task A_value_that_the_runtime_refuses_changes_nothing()
    {
        await using var client = await shared.ConnectAsync();
        var (id, _) = await Scripts.HeldAsync(client, 0);
        var before = await SpecBytesAsync(client, id);

        var error = await Assert.ThrowsAsync<ContainerdException>(
            () => client.UpdateResourcesAsync(id, new OciResources { Cpu = new OciCpu { Cpus = "100000" } }, Stop));

        Assert.False(error.IsUnavailable || error.IsTimeout || error.IsNotfound, error.Message);
        Assert.Equal(before, await SpecBytesAsync(client, id));
        await client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task Limits_without_a_live_task_change_in_the_record_alone()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var (id, pid) = await Scripts.HeldAsync(client, 0);
        Scripts.Let(pid);
        await client.ProbeContainerAsync(id, Scripts.Long, Stop);

        await client.UpdateResourcesAsync(id, new OciResources { Cpu = new OciCpu { Shares = 512 } }, Stop);
        await client.UpdateResourcesAsync(id, new OciResources { Cpu = new OciCpu { Quota = 50_000, Period = 100_000 } }, Stop);

        Assert.DoesNotContain("Tasks.Update", recorder.Methods);
        var cpu = (await SpecAsync(client, id)).Linux!.Resources!.Cpu!;
        Assert.Equal((512UL, 50_000L, 100_000UL), (cpu.Shares, cpu.Quota, cpu.Period));
        await client.DestroyContainerAsync(id, AtOnce, Stop);
        var gone = await Assert.ThrowsAsync<ContainerdException>(
            () => client.UpdateResourcesAsync(id, new OciResources { Cpu = new OciCpu { Shares = 512 } }, Stop));
        Assert.Equal(ContainerdError.ContainerNotfound, gone.Code);
    }

    [Fact]
    public async Task Empty_updates_and_device_rules_are_refused_before_any_call()
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var calls = recorder.Methods.Count;

        await Assert.ThrowsAsync<ArgumentException>(() => client.UpdateResourcesAsync("x", new OciResources(), Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => client.UpdateResourcesAsync("x", new OciResources { Devices = [] }, Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => client.UpdateResourcesAsync("a b", new OciResources { Pids = new OciPids { Limit = 1 } }, Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => client.PauseAsync("a b", Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => client.MetricsAsync("a b", Stop));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => client.KillAsync("x", 65, cancellation: Stop));

        Assert.Equal(calls, recorder.Methods.Count);
    }

    [Fact]
    public async Task A_paused_container_is_frozen_until_it_is_resumed()
    {
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 5);

        await Eventually.UntilAsync(() => IsPausedAsync(client, id), "it is frozen");
        await client.PauseAsync(id, Stop);
        Assert.Equal(TaskStatus.Paused, (await client.GetTaskAsync(id, Stop))!.Status);
        Scripts.Let(pid);
        Assert.True((await client.ProbeContainerAsync(id, TimeSpan.FromMilliseconds(300), Stop)).Error!.IsTimeout);
        await client.ResumeAsync(id, Stop);

        Assert.Equal(5, (await client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        var ended = await Assert.ThrowsAsync<ContainerdException>(() => client.PauseAsync(id, Stop));
        Assert.False(ended.IsUnavailable, ended.Message);
        await client.DestroyContainerAsync(id, null, Stop);
        var gone = await Assert.ThrowsAsync<ContainerdException>(() => client.PauseAsync(id, Stop));
        Assert.Equal(ContainerdError.TaskNotfound, gone.Code);
    }

    [Fact]
    public async Task Kill_reaches_the_first_process_and_an_ended_one_is_no_error()
    {
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 0);

        await client.KillAsync(id, 10, cancellation: Stop); // unhandled by a first process: ignored by the kernel
        Assert.True(LiveProcess.Is(pid));
        await client.KillAsync(id, 9, all: true, Stop);
        Assert.Equal(137, (await client.WaitAsync(id, Stop))!.ExitCode);
        await client.KillAsync(id, 9, cancellation: Stop);

        await client.DestroyContainerAsync(id, null, Stop);
        var gone = await Assert.ThrowsAsync<ContainerdException>(() => client.KillAsync(id, 9, cancellation: Stop));
        Assert.Equal(ContainerdError.TaskNotfound, gone.Code);
    }

    [Fact]
    public async Task Kill_reaches_a_further_process_alone()
    {
        await using var client = await shared.ConnectAsync();
        var (id, pid) = await Scripts.HeldAsync(client, 0);
        var exec = await client.ExecContainerAsync(new ExecProcess { ContainerId = id, ExecId = "e", Process = new OciProcess { Args = ["sleep", "1000"] } }, Stop);

        await client.KillAsync(id, "e", 15, Stop);

        Assert.Equal(143, (await exec.Exit.WaitAsync(Stop)).ExitCode);
        Assert.True(LiveProcess.Is(pid));
        var gone = await Assert.ThrowsAsync<ContainerdException>(() => client.KillAsync(id, "e", 15, Stop));
        Assert.Equal(ContainerdError.TaskNotfound, gone.Code);
        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);
    }

    /// <summary>runc gives up freezing on cgroup v1 where processes fork all the while.</summary>
    private static async Task<bool> IsPausedAsync(ContainerdClient client, string id)
    {
        try
        {
            await client.PauseAsync(id, Stop);
            return true;
        }
        catch (ContainerdException e) when (e.Message.Contains("unable to freeze", StringComparison.Ordinal))
        {
            return false;
        }
    }

    private static async Task<OciSpec> SpecAsync(ContainerdClient client, string id) => OciJson.Read(await AnyAsync(client, id))!;

    private static async Task<byte[]> SpecBytesAsync(ContainerdClient client, string id) => (await AnyAsync(client, id)).Value.ToByteArray();

    private static async Task<Google.Protobuf.WellKnownTypes.Any> AnyAsync(ContainerdClient client, string id) =>
        (await client.Services.Containers.GetAsync(new GetContainerRequest { Id = id }, client.Call(Stop))).Container.Spec;
}

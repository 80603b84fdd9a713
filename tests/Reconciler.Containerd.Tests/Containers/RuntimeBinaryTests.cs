using Reconciler.Containerd.Api.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Containers;

/// <summary>Another OCI runtime than the shim's default, and systemd's cgroups; the latter work only where systemd does (tests/vm).</summary>
public sealed class RuntimeBinaryTests(SharedDaemon shared) : IDisposable
{
    private readonly TempFolder _folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_named_binary_makes_starts_and_deletes_the_container()
    {
        var binary = await RecordingAsync();
        await using var client = await ConnectAsync(options => options with { RuntimeBinary = binary });
        var id = SharedDaemon.NewId();

        await client.CreateContainerAsync(SharedDaemon.Sh(id, "exit 7"), Stop);
        var exit = await client.ProbeContainerAsync(id, TimeSpan.FromMinutes(2), Stop);
        await client.DestroyContainerAsync(id, null, Stop);

        Assert.Equal(7, exit.ExitCode);
        Assert.Superset(new HashSet<string> { "create", "start", "delete" }, Commands().ToHashSet());
        Assert.DoesNotContain("--systemd-cgroup", Calls(), StringComparison.Ordinal);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task A_client_with_other_settings_destroys_it_with_the_binary_that_made_it()
    {
        var binary = await RecordingAsync();
        await using var maker = await ConnectAsync(options => options with { RuntimeBinary = binary });
        await using var other = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        await maker.CreateContainerAsync(SharedDaemon.Sh(id, "exec sleep 1000"), Stop);

        await other.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, Stop);

        Assert.Contains("delete", Commands());
        await Leftover.NothingAsync(other, shared.Daemon, id);
    }

    [Fact]
    public async Task A_binary_that_is_not_there_is_named_and_nothing_is_left()
    {
        await using var client = await ConnectAsync(options => options with { RuntimeBinary = "no-such-runtime" });
        var id = SharedDaemon.NewId();

        var error = await Assert.ThrowsAsync<ContainerdException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "true"), Stop));

        Assert.Contains("no-such-runtime", error.Message, StringComparison.Ordinal);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Fact]
    public async Task Systemds_cgroups_are_asked_for_by_flag_and_by_the_path_of_the_spec()
    {
        var recorder = new RpcRecorder();
        await using var client = await ContainerdClient.OpenAsync(
            SharedDaemon.OptionsFor(shared.Daemon) with { RuntimeBinary = await RecordingAsync("exit 1"), SystemdCgroup = true }, recorder, Stop);
        var id = SharedDaemon.NewId();

        // It refuses, so that the test is the same with a systemd and without.
        await Assert.ThrowsAsync<ContainerdException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "true"), Stop));

        var record = Assert.Single(recorder.Requests<CreateContainerRequest>()).Container;
        Assert.Equal("containerd.runc.v1.Options", record.Runtime.Options.TypeUrl);
        Assert.Equal($"system.slice:{shared.Daemon.Namespace}:{id}", OciJson.Read(record.Spec)!.Linux!.CgroupsPath);
        Assert.Contains("--systemd-cgroup", Calls(), StringComparison.Ordinal);
        await Leftover.NothingAsync(client, shared.Daemon, id);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("/ns/id")]
    [InlineData("web:a:b")]
    [InlineData("system.slice:a:")]
    public async Task A_spec_whose_cgroup_systemd_cannot_make_is_refused_before_any_call(string? path)
    {
        var recorder = new RpcRecorder();
        await using var client = await ContainerdClient.OpenAsync(SharedDaemon.OptionsFor(shared.Daemon) with { SystemdCgroup = true }, recorder, Stop);
        var id = SharedDaemon.NewId();
        var spec = DefaultSpec.Create(id);
        spec.Linux!.CgroupsPath = path;

        var error = await Assert.ThrowsAnyAsync<ArgumentException>(() => client.CreateContainerAsync(SharedDaemon.Sh(id, "true") with { Spec = spec }, Stop));

        Assert.Contains("slice:prefix:name", error.Message, StringComparison.Ordinal);
        Assert.Equal(["Version.Version"], recorder.Methods);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("bin/crun")]
    public async Task A_binary_that_is_neither_name_nor_path_is_refused(string binary) =>
        await Assert.ThrowsAnyAsync<ArgumentException>(() => ConnectAsync(options => options with { RuntimeBinary = binary }));

    private Task<ContainerdClient> ConnectAsync(Func<ContainerdClientOptions, ContainerdClientOptions> with) =>
        ContainerdClient.ConnectAsync(with(SharedDaemon.OptionsFor(shared.Daemon)), Stop);

    /// <summary>An OCI runtime that writes down how it is called, and then is runc.</summary>
    private async Task<string> RecordingAsync(string then = "exec runc \"$@\"")
    {
        await File.WriteAllTextAsync(_folder["text"], $"#!/bin/sh\necho \"$@\" >>{_folder["calls"]}\n{then}\n", Stop);
        // By another process: while any child of ours inherits the file open for writing it cannot be run.
        await Shell.OutputAsync("install", "-m", "0700", _folder["text"], _folder["recording"]);
        return _folder["recording"];
    }

    private string Calls() => File.ReadAllText(_folder["calls"]);

    private IEnumerable<string> Commands() =>
        File.ReadLines(_folder["calls"]).SelectMany(line => line.Split(' ')).Where(word => word is "create" or "start" or "delete" or "kill");
}

using Reconciler.Agent.Runtime;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Agent.Tests.Runtime;

/// <summary>What a declared field does to a real container.</summary>
[Collection(nameof(SharedDaemon))]
public sealed class SpecTests(SharedDaemon shared)
{
    private static readonly string[] UsualDevices = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];

    private const string Status = "cat /proc/self/status";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Command_args_env_and_folder()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var output = await node.RunAsync(RuntimeNode.Spec(["sh", "-c", "echo $0 $1; echo $GREETING; pwd; echo $PATH; hostname; cat /etc/hostname"], process => process with
        {
            Args = ["one", "two"],
            Env = [new EnvVar("GREETING", "hello world")],
            WorkingDir = "/tmp",
        }, workload: "spec-" + "command"));
        Assert.Equal("one two\nhello world\n/tmp\n/bin\nspec-command\nspec-command\n", output);
    }

    [Fact]
    public async Task How_soon_the_kernel_kills_it_for_memory_is_not_inherited_from_containerd()
    {
        await using var daemon = await ContainerdDaemon.StartAsync();
        await SharedDaemon.ImportAsync(daemon);
        await File.WriteAllTextAsync($"/proc/{daemon.Pid}/oom_score_adj", "300", Cancellation); // a service has -999, which takes a right to set
        await using var node = await RuntimeNode.StartAsync(daemon);
        Assert.Equal("0\n", await node.RunAsync(RuntimeNode.Spec("cat /proc/self/oom_score_adj")));
    }

    [Fact]
    public async Task Defaults_are_seccomp_fourteen_capabilities_and_a_writable_root()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var output = await node.RunAsync(RuntimeNode.Spec($"touch /written && {Status}"));
        Assert.Equal("2", Field(output, "Seccomp:"));
        Assert.Equal("0", Field(output, "NoNewPrivs:"));
        Assert.Equal("00000000a80425fb", Field(output, "CapEff:"));
        Assert.Equal("00000000a80425fb", Field(output, "CapBnd:"));
    }

    [Fact]
    public async Task Restricted_settings_take_away()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var output = await node.RunAsync(RuntimeNode.Spec($"if touch /written; then echo writable; fi; {Status}; id", process => process with
        {
            Security = new SecuritySettings
            {
                DropCapabilities = ["ALL"],
                AddCapabilities = ["NET_BIND_SERVICE"],
                AllowPrivilegeEscalation = false,
                ReadOnlyRootFilesystem = true,
                SeccompUnconfined = true,
                RunAsUser = 1234,
                RunAsGroup = 5678,
            },
        }));
        Assert.DoesNotContain("writable", output, StringComparison.Ordinal);
        Assert.Equal("0", Field(output, "Seccomp:"));
        Assert.Equal("1", Field(output, "NoNewPrivs:"));
        Assert.Equal("0000000000000400", Field(output, "CapBnd:"));
        Assert.Contains("uid=1234 gid=5678", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Privileged_has_what_we_have()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var device = Directory.EnumerateFiles("/dev").First(path => HostRoot.LookAt(path).Kind == HostFileKind.CharDevice && !UsualDevices.Contains(Path.GetFileName(path)));
        var output = await node.RunAsync(RuntimeNode.Spec($"{Status}; ls -l {device}; ls /proc/timer_list; grep sysfs /proc/mounts", process => process with
        {
            Security = new SecuritySettings { Privileged = true },
        }));
        Assert.Equal("0", Field(output, "Seccomp:"));
        Assert.Equal(Field(await File.ReadAllTextAsync("/proc/self/status", Cancellation), "CapEff:"), Field(output, "CapEff:"));
        Assert.Contains(device, output, StringComparison.Ordinal);
        Assert.Contains("sysfs /sys sysfs rw", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Limits_are_in_the_cgroup()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("sleep 1000", process => process with { Limits = new ResourceLimits(MilliCpu: 250, MemoryBytes: 64 << 20, Pids: 33) });
        var container = await node.CreateAsync(spec);
        var values = Leftovers.CgroupsOf(shared.Daemon.Namespace)
            .Select(folder => $"{folder}/{container.Id}")
            .SelectMany(folder => new[] { "cpu.cfs_quota_us", "cpu.max", "memory.limit_in_bytes", "memory.max", "pids.max" }.Select(file => $"{folder}/{file}"))
            .Where(File.Exists)
            .ToDictionary(file => Path.GetFileName(file), file => File.ReadAllText(file).Trim());
        Assert.Equal("33", values["pids.max"]);
        Assert.Equal((64 << 20).ToString(System.Globalization.CultureInfo.InvariantCulture), values.GetValueOrDefault("memory.max") ?? values["memory.limit_in_bytes"]);
        Assert.Equal("25000", (values.GetValueOrDefault("cpu.max") ?? values["cpu.cfs_quota_us"]).Split(' ')[0]);
        await node.RemoveAsync(spec);
    }

    [Fact]
    public async Task The_images_user_is_looked_up_by_name()
    {
        var name = $"registry.test/{Names.Unique()}:1";
        await SharedDaemon.ImportAsync(shared.Daemon, Testing.Images.TestImages.Busybox(new System.Text.Json.Nodes.JsonObject
        {
            ["User"] = "worker",
            ["Env"] = new System.Text.Json.Nodes.JsonArray("PATH=/bin"),
        }), name);
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var output = await node.RunAsync(RuntimeNode.Spec("id -u; id -g; id -G", process => process with { Image = name }));
        var lines = output.Split('\n');
        Assert.Equal(["1500", "1600"], lines[..2]);
        Assert.Contains("1700", lines[2], StringComparison.Ordinal);

        var other = await node.RunAsync(RuntimeNode.Spec("id -u; id -g", process => process with { Image = name, Security = new SecuritySettings { RunAsGroup = 42 } }));
        Assert.Equal("1500\n42\n", other);
        var number = await node.RunAsync(RuntimeNode.Spec("id -u; id -g", process => process with { Security = new SecuritySettings { RunAsUser = 1500 } }));
        Assert.Equal("1500\n1600\n", number);
    }

    [Fact]
    public async Task A_network_of_its_own_has_loopback_up_and_nothing_else()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("readlink /proc/self/ns/net; ip -o link; cat /etc/hosts");
        var output = await node.RunAsync(spec);
        Assert.DoesNotContain(new FileInfo("/proc/self/ns/net").LinkTarget!, output, StringComparison.Ordinal);
        var link = Assert.Single(output.Split('\n'), line => line.Contains("mtu", StringComparison.Ordinal) && line.Contains(",UP", StringComparison.Ordinal));
        Assert.Contains(": lo:", link, StringComparison.Ordinal);
        Assert.Contains($"127.0.1.1\t{spec.Workload}", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_hosts_network_and_processes_are_shared_on_demand()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var output = await node.RunAsync(RuntimeNode.Spec(
            "readlink /proc/self/ns/net; readlink /proc/self/ns/pid; cat /etc/resolv.conf",
            process => process with { HostNetwork = true, HostPid = true }));
        Assert.Contains(new FileInfo("/proc/self/ns/net").LinkTarget!, output, StringComparison.Ordinal);
        Assert.Contains(new FileInfo("/proc/self/ns/pid").LinkTarget!, output, StringComparison.Ordinal);
        if (File.Exists("/etc/resolv.conf")) Assert.EndsWith(await File.ReadAllTextAsync("/etc/resolv.conf", Cancellation), output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/no/such/command", "CommandNotFound")]
    [InlineData("no-such-command", "CommandNotFound")]
    public async Task A_missing_command_is_named_and_leaves_nothing(string command, string reason)
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec([command]);
        var refused = await Assert.ThrowsAsync<RuntimeException>(() => node.CreateAsync(spec));
        Assert.Equal((RuntimeErrorKind.Refused, reason), (refused.Kind, refused.Reason));
        Assert.Empty(await node.ObserveAsync(spec));
        foreach (var list in new[] { "containers", "tasks", "snapshots" })
            Assert.DoesNotContain(spec.Workload, await shared.Daemon.CtrAsync(list, "ls"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_image_is_a_conflict()
    {
        await using var node = await RuntimeNode.StartAsync(shared.Daemon);
        var spec = RuntimeNode.Spec("true", process => process with { Image = "registry.test/nothing:1" });
        var missing = await Assert.ThrowsAsync<RuntimeException>(() => node.CreateAsync(spec));
        Assert.Equal((RuntimeErrorKind.Conflict, "ImageMissing"), (missing.Kind, missing.Reason));
    }

    private static string Field(string status, string name) =>
        status.Split('\n').First(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..].Trim();
}

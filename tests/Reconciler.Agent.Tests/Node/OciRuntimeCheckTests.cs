using Reconciler.Agent.Hosting;
using Reconciler.Agent.Node;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Node;

public sealed class OciRuntimeCheckTests : IDisposable
{
    private readonly TempFolder _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Systemd_must_run_on_the_host()
    {
        var options = new NodeOptions { NodeName = "n", HostRoot = _host.Path, SystemdCgroup = true };
        Assert.Contains("not booted with systemd", OciRuntimeCheck.Refusal(options), StringComparison.Ordinal);

        Directory.CreateDirectory(_host["run/systemd/system"]);
        Assert.Null(OciRuntimeCheck.Refusal(options));
    }

    [Fact]
    public void A_path_must_be_a_program_of_the_host_and_a_name_is_containerds_to_find()
    {
        var options = new NodeOptions { NodeName = "n", HostRoot = _host.Path, OciRuntime = "/usr/bin/crun" };
        Assert.Contains("no such program", OciRuntimeCheck.Refusal(options), StringComparison.Ordinal);
        Assert.Null(OciRuntimeCheck.Refusal(options with { OciRuntime = "crun" }));

        Directory.CreateDirectory(_host["opt"]);
        Directory.CreateDirectory(_host["usr"]);
        File.CreateSymbolicLink(_host["usr/bin"], "/opt");
        File.WriteAllText(_host["opt/crun"], "");
        File.SetUnixFileMode(_host["opt/crun"], UnixFileMode.UserRead);
        Assert.Contains("no such program", OciRuntimeCheck.Refusal(options), StringComparison.Ordinal);
        File.SetUnixFileMode(_host["opt/crun"], UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.Null(OciRuntimeCheck.Refusal(options));
    }
}

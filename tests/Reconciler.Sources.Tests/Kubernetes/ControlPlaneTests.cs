using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>Which programs the test server is made of, with and without <c>KUBEBUILDER_ASSETS</c>.</summary>
public sealed class ControlPlaneTests
{
    [Theory]
    [InlineData(null, EtcdVersion.V35, true, "/b/controlplane /b/etcd-3.5 /b/kubectl False")]
    [InlineData("", EtcdVersion.V35, true, "/b/controlplane /b/etcd-3.5 /b/kubectl False")]
    [InlineData(null, EtcdVersion.V34, true, "/b/controlplane /b/etcd-3.4 /b/kubectl False")]
    [InlineData("/a", EtcdVersion.V35, false, "/a/kube-apiserver /a/etcd /a/kubectl True")]
    [InlineData("/a", EtcdVersion.V34, true, "/a/kube-apiserver /b/etcd-3.4 /a/kubectl True")]
    public void The_folder_of_the_variable_is_used_where_it_is_set(string? assets, EtcdVersion etcd, bool build, string expected)
    {
        var programs = ControlPlane.At(assets, "/b", etcd);

        Assert.Equal(expected, $"{programs.ApiServer} {programs.Etcd} {programs.Kubectl} {programs.IsKubernetes}");
        Assert.Equal(build, ControlPlane.NeedsBuild(assets, etcd));
    }

    [Fact]
    public async Task A_folder_without_the_programs_is_named()
    {
        var error = await Assert.ThrowsAsync<FileNotFoundException>(() => ControlPlane.GetAsync("/no-such-folder", EtcdVersion.V35));

        Assert.StartsWith("/no-such-folder/kube-apiserver is missing; KUBEBUILDER_ASSETS names a folder with", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Its kube-apiserver is ours behind a script.</summary>
    [Fact]
    public async Task A_server_starts_from_a_folder_of_that_shape()
    {
        using var folder = new TempFolder();
        var built = await ControlPlane.GetAsync(assets: null, EtcdVersion.V35);
        File.CreateSymbolicLink(folder["etcd"], built.Etcd);
        File.CreateSymbolicLink(folder["kubectl"], built.Kubectl);
        File.CreateSymbolicLink(folder["kube-apiserver"], Path.Combine(Checkout.Root, "tests/control-plane/kube-apiserver.sh"));

        await using var server = await ApiServer.StartAsync(await ControlPlane.GetAsync(folder.Path, EtcdVersion.V35));

        Assert.Equal("namespace/default\n", await server.KubectlAsync("get", "namespace", "default", "-o", "name"));
    }
}

using System.Text;
using Reconciler.Core.Model;
using Reconciler.Sources.Manifests;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Manifests;

/// <summary>The samples of the repository and what they become.</summary>
public sealed class SampleTests : IDisposable
{
    private readonly TempFolder _folder = new();

    /// <summary>Those for a folder, as scripts/demo.sh takes them; the ones below are for clusters.</summary>
    public SampleTests()
    {
        foreach (var file in Directory.GetFiles(Path.Combine(Checkout.Root, "samples"))) File.Copy(file, _folder[Path.GetFileName(file)]);
    }

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> Golden => new()
    {
        { "default/web/server", """{"image":"127.0.0.1:5055/demo/busybox:1","command":["httpd","-f","-v","-p","127.0.0.1:8085","-h","/www"],"limits":{"milliCpu":500,"memory":67108864,"pids":50},"security":{"drop":["ALL"],"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false},"hostNetwork":true}""" },
        { "default/job/main", """{"image":"127.0.0.1:5055/demo/busybox:1","command":["sh","-c"],"args":["echo started on $NODE; date \u003E/scratch/when; cat /scratch/when; echo done"],"env":[{"name":"NODE","value":"this node"}],"mounts":[{"mountPath":"/scratch","volume":"scratch"}]}""" },
        { "default/heartbeat/beat", """{"image":"127.0.0.1:5055/demo/busybox:1","command":["sh","-c","while true; do date; sleep 5; done"]}""" },
        { "monitoring/watcher/look", """{"image":"127.0.0.1:5055/demo/busybox:1","command":["sh","-c","cat /host/etc/hostname; while true; do cat /proc/1/comm /proc/loadavg; sleep 10; done"],"mounts":[{"mountPath":"/host/etc","readOnly":true,"volume":"etc","hostPath":"/etc","type":"Directory"}],"hostNetwork":true,"hostPID":true}""" },
    };

    [Theory]
    [MemberData(nameof(Golden))]
    public void A_sample_becomes_this_process(string name, string canonical)
    {
        var container = Read().Resources.Values.OfType<ContainerSpec>().Single(item => item.Key.ToString() == name);
        Assert.Equal(canonical, Encoding.UTF8.GetString(SpecHash.Canonical(container.Process)));
    }

    [Fact]
    public void The_samples_have_no_problems_but_the_remark_on_the_network()
    {
        var folder = Read();

        Assert.All(folder.Problems, problem => Assert.Equal((true, "spec.hostNetwork"), (problem.Warning, problem.Field.Replace("template.spec.", "", StringComparison.Ordinal))));
        Assert.Equal(
            ["default/heartbeat", "default/job", "default/keep", "default/web", "monitoring/watcher"],
            folder.Documents.Select(document => document.Identity!).Order(StringComparer.Ordinal));
        Assert.Equal(
            (ImagePullPolicy.IfNotPresent, $"file:{_folder.Path}/images.yaml"),
            folder.Resources[ResourceKey.Image("127.0.0.1:5055/demo/busybox:1")] is ImageSpec image ? (image.PullPolicy, image.Source) : default);
        Assert.Equal(RestartPolicy.OnFailure, ((ContainerSpec)folder.Resources[ResourceKey.Container("default", "job", "main")]).RestartPolicy);
    }

    private Reconciler.Sources.Files.ManifestFolder Read() => ManifestReader.ReadFolder(_folder.Path, Given.Options);
}

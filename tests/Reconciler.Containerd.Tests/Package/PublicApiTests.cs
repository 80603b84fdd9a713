using PublicApiGenerator;

namespace Reconciler.Containerd.Tests.Package;

[Trait("containerd", "none")]
public sealed class PublicApiTests
{
    [Fact]
    public async Task The_public_surface_is_the_approved_one()
    {
        var approved = Path.Combine(Repository.Root, "tests/Reconciler.Containerd.Tests/Package/PublicApi.txt");
        var surface = typeof(ContainerdClient).Assembly.GeneratePublicApi(new ApiGeneratorOptions
        {
            ExcludeAttributes = ["System.Runtime.Versioning.TargetFrameworkAttribute", "System.Runtime.CompilerServices.InternalsVisibleToAttribute"],
        });
        if (Environment.GetEnvironmentVariable("RECONCILER_APPROVE") == "1") await File.WriteAllTextAsync(approved, surface, TestContext.Current.CancellationToken);
        Assert.True(
            surface == await File.ReadAllTextAsync(approved, TestContext.Current.CancellationToken),
            $"The public API differs from {approved}. Meant? Run this test with RECONCILER_APPROVE=1 and commit the file.");
    }

    [Fact]
    public void Nothing_of_containerds_wire_types_is_public() =>
        Assert.DoesNotContain(typeof(ContainerdClient).Assembly.GetExportedTypes(), type => type.Namespace != "Reconciler.Containerd");
}

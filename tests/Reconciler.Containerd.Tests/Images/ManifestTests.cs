using System.Text;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd.Tests.Images;

[Trait("containerd", "none")]
public sealed class ManifestTests
{
    private const string Sha = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [Theory]
    [InlineData("linux/amd64", "linux/amd64", 0)]
    [InlineData("linux/amd64", "linux/x86_64", 0)]
    [InlineData("linux/amd64", "linux/386", 100)]
    [InlineData("linux/amd64", "linux/arm64", null)]
    [InlineData("linux/amd64", "windows/amd64", null)]
    [InlineData("linux/amd64", "linux/amd64/v3", null)]
    [InlineData("linux/amd64/v3", "linux/amd64", 2)]
    [InlineData("linux/arm64", "linux/arm64/v8", 0)]
    [InlineData("linux/arm64", "linux/aarch64", 0)]
    [InlineData("linux/arm64", "linux/arm/v7", 101)]
    [InlineData("linux/arm/v7", "linux/arm", 0)]
    [InlineData("linux/arm/v7", "linux/arm/v6", 1)]
    [InlineData("linux/arm/v6", "linux/arm/v7", null)]
    [InlineData("linux/s390x", "linux/s390x", 0)]
    public void A_platform_serves_another(string wanted, string offered, int? distance) =>
        Assert.Equal(distance, Platform.Parse(wanted).Distance(Platform.Parse(offered)));

    [Theory]
    [InlineData("")]
    [InlineData("linux")]
    [InlineData("linux/")]
    [InlineData("linux/a/b/c")]
    [InlineData("linux/a b")]
    public void A_bad_platform_is_refused(string text) => Assert.Throws<ArgumentException>(() => Platform.Parse(text));

    [Fact]
    public void The_best_child_comes_first_attestations_never_and_unknown_ones_last()
    {
        var index = Assert.IsType<ManifestDocument.Index>(Parse($$"""
            {"schemaVersion":2,"manifests":[
              {{Child(1, """ "platform":{"os":"unknown","architecture":"unknown"},""")}},
              {{Child(2, "")}},
              {{Child(3, """ "platform":{"os":"linux","architecture":"arm","variant":"v6"},""")}},
              {{Child(4, """ "platform":{"os":"linux","architecture":"arm","variant":"v7"},""")}},
              {{Child(5, """ "platform":{"os":"linux","architecture":"arm","variant":"v7"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"},""")}}]}
            """));

        Assert.Equal([4, 3, 2], index.For(Platform.Parse("linux/arm/v7")).Select(child => child.Size));
        Assert.Equal([2], index.For(Platform.Parse("linux/amd64")).Select(child => child.Size));
    }

    [Theory]
    [InlineData("{", "JSON")]
    [InlineData("[]", "object")]
    [InlineData("""{"schemaVersion":1,"fsLayers":[]}""", "schema 1")]
    [InlineData("{}", "no config")]
    [InlineData("""{"manifests":[],"layers":[]}""", "at once")]
    [InlineData("""{"manifests":{}}""", "list")]
    [InlineData("""{"manifests":[1]}""", "descriptor")]
    [InlineData("""{"manifests":[{"digest":"sha256:zz","size":1}]}""", "digest")]
    [InlineData("""{"manifests":[{"digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","size":-1}]}""", "size")]
    public void What_is_no_manifest_is_refused(string json, string reason) =>
        Assert.Contains(reason, Assert.Throws<FormatException>(() => Parse(json)).Message, StringComparison.Ordinal);

    [Fact]
    public void Schema_1_is_refused_by_its_type() =>
        Assert.Contains("schema 1", Assert.Throws<FormatException>(() => ManifestDocument.Parse(default, "application/vnd.docker.distribution.manifest.v1+prettyjws")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_config_is_read()
    {
        var config = ImageConfig.Parse(Encoding.UTF8.GetBytes($$"""
            {"created":"2026-01-02T03:04:05Z","architecture":"arm64","os":"linux","variant":"v8","rootfs":{"type":"layers","diff_ids":["{{Sha}}"]},
             "config":{"Env":["A=b"],"Entrypoint":["/e"],"Cmd":["c","d"],"WorkingDir":"/w","User":"1:2","StopSignal":"SIGINT","Unknown":{} } }
            """));

        Assert.Equal(["A=b"], config.Env);
        Assert.Equal(["/e"], config.Entrypoint);
        Assert.Equal(["c", "d"], config.Cmd);
        Assert.Equal(("/w", "1:2", "SIGINT", "arm64", "linux"), (config.WorkingDir, config.User, config.StopSignal, config.Architecture, config.Os));
        Assert.Equal(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), config.Created);
        Assert.Equal(Sha, config.ChainId);
    }

    [Theory]
    [InlineData("""{"config":null,"rootfs":null}""")]
    [InlineData("""{"config":{"Env":null,"Cmd":null}}""")]
    public void An_empty_config_is_one(string json) => Assert.Equal("", ImageConfig.Parse(Encoding.UTF8.GetBytes(json)).ChainId);

    [Theory]
    [InlineData("x")]
    [InlineData("[]")]
    [InlineData("""{"config":{"Env":[1]}}""")]
    [InlineData("""{"rootfs":{"diff_ids":["../x"]}}""")]
    public void A_broken_config_is_refused(string json) => Assert.Throws<FormatException>(() => ImageConfig.Parse(Encoding.UTF8.GetBytes(json)));

    [Fact]
    public void Chain_ids_are_of_the_chain_below_and_the_diff_id()
    {
        var chain = ImageConfig.ChainIds([Sha, Sha]);

        Assert.Equal(Sha, chain[0]);
        Assert.Equal("sha256:" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.ASCII.GetBytes($"{Sha} {Sha}"))), chain[1]);
    }

    [Theory]
    [InlineData("", "a/b", "a/b")]
    [InlineData("a/b", "a/b", "a/b")]
    [InlineData("z", "a", "a,z")]
    public void Sources_add_up(string known, string added, string expected) => Assert.Equal(expected, ContentLabels.Sources(known, added));

    private static string Child(int size, string more) => $$"""{"mediaType":"application/vnd.oci.image.manifest.v1+json",{{more}}"digest":"{{Sha}}","size":{{size}}}""";

    private static ManifestDocument Parse(string json) => ManifestDocument.Parse(Encoding.UTF8.GetBytes(json), "");
}

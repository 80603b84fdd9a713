namespace Reconciler.Containerd.Tests.Images;

[Trait("containerd", "none")]
public sealed class ImageReferenceTests
{
    private const string Sha = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    [Theory]
    [InlineData("busybox", "docker.io/library/busybox:latest")]
    [InlineData("busybox:1", "docker.io/library/busybox:1")]
    [InlineData("org/app", "docker.io/org/app:latest")]
    [InlineData("docker.io/busybox", "docker.io/library/busybox:latest")]
    [InlineData("index.docker.io/org/app", "docker.io/org/app:latest")]
    [InlineData("quay.io/org/app:v1.2-rc_3", "quay.io/org/app:v1.2-rc_3")]
    [InlineData("localhost/app", "localhost/app:latest")]
    [InlineData("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest")]
    [InlineData("host:80/app:tag", "host:80/app:tag")]
    [InlineData("[::1]:5000/app", "[::1]:5000/app:latest")]
    [InlineData("quay.io/app@" + Sha, "quay.io/app@" + Sha)]
    [InlineData("quay.io/app:1@" + Sha, "quay.io/app:1@" + Sha)]
    [InlineData("a.b/c__d/e--f.g", "a.b/c__d/e--f.g:latest")]
    [InlineData("Host.example/app", "Host.example/app:latest")]
    public void A_reference_is_normalised_and_stays_so(string text, string expected)
    {
        var reference = ImageReference.Parse(text);

        Assert.Equal(expected, reference.Name);
        Assert.Equal(expected, reference.ToString());
        Assert.Equal(reference, ImageReference.Parse(reference.Name));
    }

    [Fact]
    public void The_parts_are_told()
    {
        var reference = ImageReference.Parse("127.0.0.1:5000/a/b:1@" + Sha);

        Assert.Equal(("127.0.0.1:5000", "a/b", "1", Sha), (reference.Domain, reference.Path, reference.Tag, reference.Digest));
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData(" busybox", "white space")]
    [InlineData("https://quay.io/app", "scheme")]
    [InlineData("Busybox", "repository")]
    [InlineData("quay.io/App", "repository")]
    [InlineData("quay.io/a//b", "repository")]
    [InlineData("quay.io/", "repository")]
    [InlineData("a/b/", "repository")]
    [InlineData("-a", "repository")]
    [InlineData("a..b", "repository")]
    [InlineData("a___b", "repository")]
    [InlineData("app:", "tag")]
    [InlineData("app:-x", "tag")]
    [InlineData("app:a b", "white space")]
    [InlineData("app@", "digest")]
    [InlineData("app@sha256:12", "digest")]
    [InlineData("app@md5:0123456789abcdef0123456789abcdef", "digest")]
    [InlineData("host:99999/app", "port")]
    [InlineData("host:x/app", "port")]
    [InlineData("-h.io/app", "host")]
    [InlineData("[zz]/app", "IPv6")]
    [InlineData("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "id")]
    public void What_is_no_reference_is_refused_by_a_named_rule(string text, string rule)
    {
        Assert.Contains(rule, Assert.Throws<ArgumentException>(() => ImageReference.Parse(text)).Message, StringComparison.Ordinal);
        Assert.False(ImageReference.TryParse(text, out _));
    }

    [Fact]
    public void Length_is_limited()
    {
        Assert.True(ImageReference.TryParse("q.io/" + new string('a', 250), out _));
        Assert.False(ImageReference.TryParse("q.io/" + new string('a', 251), out _));
        Assert.True(ImageReference.TryParse("a:" + new string('t', 128), out _));
        Assert.False(ImageReference.TryParse("a:" + new string('t', 129), out _));
    }

    [Fact]
    public void Any_text_is_parsed_or_refused() => CsCheck.Check.Sample(
        CsCheck.Gen.String[CsCheck.Gen.Char["aZ0.:/@_-[] "], 0, 30],
        text => !ImageReference.TryParse(text, out var reference) || ImageReference.Parse(reference.Name) == reference,
        iter: 5000);
}

using System.Text;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Tests.Manifests;

/// <summary>Whatever a file holds, reading it ends with documents and problems.</summary>
public sealed class HostileInputTests
{
    // Fixed, so that a run tells the same every time; other seeds found nothing more.
    private const int Seed = 20261128;

    [Fact]
    public void An_alias_bomb_is_refused()
    {
        var bomb = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for (var i = 1; i < 30; i++) bomb.Append($"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 9))}]\n");

        Assert.Contains("stands for more than", Assert.Single(Given.Read(bomb.ToString()).Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bomb_of_merge_keys_is_refused()
    {
        var bomb = new StringBuilder("a0: &a0 {" + string.Join(", ", Enumerable.Range(0, 100).Select(i => $"k{i}: v")) + "}\n");
        for (var i = 1; i < 2000; i++) bomb.Append($"a{i}: &a{i} {{<<: *a{i - 1}, n{i}: v}}\n");

        Assert.True(Assert.Single(Given.Read(bomb.ToString()).Documents).Refused);
    }

    [Theory]
    [InlineData("[")]
    [InlineData("{a: ")]
    [InlineData("- ")]
    public void Deep_nesting_is_refused(string level) => Assert.True(Given.Read(string.Concat(Enumerable.Repeat(level, 5000))).Documents[0].Refused);

    [Fact]
    public void Size_and_number_of_documents_are_bounded()
    {
        var large = ManifestReader.ReadFile("f.yaml", new byte[ManifestReader.MaxFileSize + 1], "file:f.yaml", Given.Options);
        Assert.Contains("is larger than", Assert.Single(large.Problems).Message, StringComparison.Ordinal);

        var many = Given.Read(string.Concat(Enumerable.Range(0, 1500).Select(i => $"---\na: {i}\n")));
        Assert.Equal(ManifestReader.MaxDocuments + 1, many.Documents.Length);
        Assert.Contains(many.Problems, problem => problem.Message.Contains("more than 1000 documents", StringComparison.Ordinal));

        var unknown = Given.Read(Given.Spec(string.Concat(Enumerable.Range(0, 9000).Select(i => $"f{i}: x\n"))));
        Assert.InRange(unknown.Problems.Length, 50, 60);
    }

    [Fact]
    public void Text_that_is_not_UTF8_is_refused() =>
        Assert.Equal("is not UTF-8 text", Assert.Single(ManifestReader.ReadFile("f.yaml", [0xff, 0xfe, 0x41, 0x00], "file:f.yaml", Given.Options).Problems).Message);

    [Fact]
    public void Random_bytes_never_throw()
    {
        var random = new Random(Seed);
        for (var i = 0; i < 3000; i++)
        {
            var bytes = new byte[random.Next(400)];
            random.NextBytes(bytes);
            Check(ManifestReader.ReadFile("f.yaml", bytes, "file:f.yaml", Given.Options));
        }
    }

    [Fact]
    public void Random_text_of_YAML_parts_never_throws()
    {
        string[] parts =
        [
            "a", "1", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", "&a ", "*a ", "<<: ", "|", ">", "\"", "'", "#", "!!str ", "!", "%",
            "---\n", "...\n", "\t", ",", "? ", "~", "\0", "é", "apiVersion: reconciler.dev/v1alpha1\n", "kind: NodeWorkload\n", "spec: ",
        ];
        var random = new Random(Seed);
        for (var i = 0; i < 10_000; i++)
            Check(Given.Read(string.Concat(Enumerable.Range(0, random.Next(60)).Select(_ => parts[random.Next(parts.Length)]))));
    }

    [Fact]
    public void A_damaged_document_never_throws_and_never_half_applies()
    {
        var good = Given.Container("command: [sleep, \"9\"]\nenv: [{name: A, value: b}]\nvolumeMounts: [{name: v, mountPath: /v}]", "volumes: [{name: v, emptyDir: {}}]\n");
        var random = new Random(Seed);
        for (var i = 0; i < 5000; i++)
        {
            var at = random.Next(good.Length);
            var end = Math.Min(good.Length, at + random.Next(20));
            var text = string.Concat(Enumerable.Range(0, random.Next(5)).Select(_ => (char)random.Next(' ', '~')));
            Check(Given.Read(good[..at] + text + good[end..]));
        }
    }

    private static void Check(ManifestFile file)
    {
        foreach (var document in file.Documents)
        {
            if (document.Refused) Assert.Empty(document.Resources);
            else Assert.NotNull(document.Identity);
        }
        if (file.Documents.Any(document => document.Refused)) Assert.Contains(file.Problems, problem => !problem.Warning);
    }
}

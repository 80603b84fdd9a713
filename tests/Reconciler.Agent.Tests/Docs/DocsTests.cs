using System.CommandLine;
using System.Text.RegularExpressions;
using Reconciler.Agent.Commands;
using Reconciler.Agent.Hosting;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Docs;

/// <summary>What the pages link to is there, and what they tell to type is understood.</summary>
public sealed partial class DocsTests
{
    public static TheoryData<string> Pages() =>
        [.. Directory.GetFiles(Checkout.Root, "*.md", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Checkout.Root, path))
            .Where(path => !path.StartsWith("artifacts/", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Pages))]
    public void Links_lead_somewhere(string page)
    {
        var folder = Path.GetDirectoryName(Path.Combine(Checkout.Root, page))!;
        foreach (Match link in Link().Matches(Prose(page)))
        {
            var target = link.Groups[1].Value;
            if (target.Contains("://", StringComparison.Ordinal)) continue;
            var parts = target.Split('#');
            var file = parts[0].Length == 0 ? Path.Combine(Checkout.Root, page) : Path.GetFullPath(Path.Combine(folder, parts[0]));
            Assert.True(File.Exists(file) || Directory.Exists(file), $"{page}: {target} is not there");
            if (parts.Length > 1) Assert.True(Anchors(file).Contains(parts[1]), $"{page}: {target}: no such heading");
        }
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Files_of_this_repository_that_are_named_are_there(string page)
    {
        foreach (Match name in RepositoryPath().Matches(Text(page)))
        {
            var path = name.Value.TrimEnd('.', '/');
            if (path.Contains('*', StringComparison.Ordinal) || path.Contains("NNNN", StringComparison.Ordinal)) continue;
            Assert.True(Path.Exists(Path.Combine(Checkout.Root, path)), $"{page}: {path} is not there");
        }
    }

    [Theory]
    [MemberData(nameof(Pages))]
    public void Commands_are_understood(string page)
    {
        foreach (var words in Commands(page))
        {
            var errors = Cli.Build(new CliConsole(TextWriter.Null, TextWriter.Null)).Parse(words).Errors;
            Assert.True(errors.Count == 0, $"{page}: reconciler {string.Join(' ', words)}: {(errors.Count > 0 ? errors[0].Message : "")}");
        }
    }

    [Fact]
    public void There_are_commands_to_look_at() => Assert.InRange(Pages().Sum(page => Commands(page.Data).Count()), 20, 1000);

    [Fact]
    public void Every_setting_is_in_the_readme()
    {
        var readme = Text("README.md");

        Assert.All(Settings.All, setting => Assert.Contains($"| `{setting.Flag}", readme, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_page_is_reached_from_the_readme()
    {
        var seen = new HashSet<string> { "README.md" };
        var queue = new Queue<string>(seen);
        while (queue.TryDequeue(out var page))
        {
            foreach (Match link in Link().Matches(Prose(page)))
            {
                var target = link.Groups[1].Value.Split('#')[0];
                if (target.Length == 0 || target.Contains("://", StringComparison.Ordinal) || !target.EndsWith(".md", StringComparison.Ordinal)) continue;
                var path = Path.GetRelativePath(Checkout.Root, Path.GetFullPath(Path.Combine(Checkout.Root, Path.GetDirectoryName(page)!, target)));
                if (seen.Add(path)) queue.Enqueue(path);
            }
        }
        var unreached = Directory.GetFiles(Path.Combine(Checkout.Root, "docs"), "*.md", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Checkout.Root, path))
            .Where(path => !path.StartsWith("docs/decisions/", StringComparison.Ordinal) && !seen.Contains(path));
        Assert.Empty(unreached);
    }

    private static string Text(string page) => File.ReadAllText(Path.Combine(Checkout.Root, page));

    /// <summary>Without code, in which brackets mean other things.</summary>
    private static string Prose(string page) => Code().Replace(string.Join('\n', Text(page).Split('\n').Where(line => !line.StartsWith("    ", StringComparison.Ordinal))), "");

    private static HashSet<string> Anchors(string file) =>
        [.. File.ReadAllLines(file).Where(line => line.StartsWith('#')).Select(line => NotInAnchor().Replace(line.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-'))];

    /// <summary>The words after <c>reconciler</c> in indented lines, without comments, pipes and what the shell does.</summary>
    private static IEnumerable<string[]> Commands(string page)
    {
        foreach (var line in Text(page).Split('\n').Where(line => line.StartsWith("    ", StringComparison.Ordinal)))
        {
            foreach (var part in Between().Split(Comment().Replace(line.Trim(), "")))
            {
                var words = part.Split(' ', StringSplitOptions.RemoveEmptyEntries).SkipWhile(word => word is "sudo" or "&").ToList();
                if (words.Count < 2 || words[0] != "reconciler" || words[1].EndsWith(':') || words.Exists(word => word.Contains('|', StringComparison.Ordinal) || word.StartsWith('['))) continue;
                yield return [.. words.Skip(1).TakeWhile(word => word != "&" && !word.StartsWith('>')).Select(word => word.Trim('\'', '"'))];
            }
        }
    }

    [GeneratedRegex(@"\[[^\]]*\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`[^`\n]*`")]
    private static partial Regex Code();

    [GeneratedRegex(@"(?<![\w/.~-])(?:docs|scripts|samples|manifests|crds|schemas|packaging|src|tests)/[\w./*-]+[\w*]")]
    private static partial Regex RepositoryPath();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NotInAnchor();

    [GeneratedRegex(@"(^|\s)#.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\s*(?:\||&&|;)\s*|  +")]
    private static partial Regex Between();
}

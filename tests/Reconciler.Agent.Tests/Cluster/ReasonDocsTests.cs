using System.Reflection;
using System.Text.RegularExpressions;
using Reconciler.Agent.Cluster;
using Reconciler.Agent.Runtime;
using Reconciler.Core.Planning;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Cluster;

/// <summary>The tables of the docs name every condition and every reason of the code, and no others.</summary>
public sealed partial class ReasonDocsTests
{
    private static readonly string[] Pages = ["docs/cluster.md", "docs/controller.md"];

    [Fact]
    public void Every_reason_is_explained() =>
        Assert.Equal(Constants(typeof(ConditionReason), typeof(FailureReason), typeof(ObjectReason)), Words("reason"));

    [Fact]
    public void Every_condition_is_explained() => Assert.Equal(Constants(typeof(ConditionType)), Words("condition"));

    /// <summary>A word beside the constants would be explained nowhere. Conflicts and what is not found are looked at again at once and shown to nobody.</summary>
    [Fact]
    public void The_code_gives_no_other_reasons()
    {
        var literals = Directory.GetFiles(Path.Combine(Checkout.Root, "src"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => Literal().Matches(File.ReadAllText(file)).Select(match => $"{Path.GetFileName(file)}: {match.Value}"));

        Assert.Empty(literals);
    }

    [GeneratedRegex(@"RuntimeErrorKind\.(Unavailable|Failed|Refused), ""|new Condition\([^,]*, ""|dated\([^,]*, [^,]*, ""|ObjectCondition\.Now\([^,]*, [^,]*, """)]
    private static partial Regex Literal();

    private static SortedSet<string> Constants(params Type[] types) => new(
        types.SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
            .Where(field => field.IsLiteral).Select(field => (string)field.GetRawConstantValue()!),
        StringComparer.Ordinal);

    /// <summary>What stands in the columns with that heading.</summary>
    private static SortedSet<string> Words(string heading)
    {
        var words = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var page in Pages)
        {
            var column = -1;
            foreach (var line in File.ReadLines(Path.Combine(Checkout.Root, page)))
            {
                var cells = line.StartsWith('|') ? line.Trim('|').Split('|', StringSplitOptions.TrimEntries) : [];
                if (cells.Length == 0) column = -1;
                else if (column < 0) column = Array.IndexOf(cells, heading) is >= 0 and var found ? found : int.MaxValue;
                else if (column < cells.Length && !cells[column].StartsWith('-')) words.UnionWith(cells[column].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
            }
        }
        return words;
    }
}

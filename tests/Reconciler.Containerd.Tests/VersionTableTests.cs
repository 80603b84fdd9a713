using System.Reflection;
using System.Text.RegularExpressions;
using Reconciler.Containerd.Tests.Package;

namespace Reconciler.Containerd.Tests;

/// <summary>The table of docs/containerd-versions.md names tests that exist and run where it says so.</summary>
[Trait("containerd", "none")]
public sealed partial class VersionTableTests
{
    private static readonly string[] SeedItems =
    [
        "NewClient", "Config.Address", "Close", "Version", "Errors", "Trylock", "CreateContainer", "CreateContainer without its image", "CreateContainer that cannot start",
        "CreateContainer with a used id", "Spec rules", "Container.IO", "Terminal", "RecoverContainer, running", "RecoverContainer, exited", "RecoverContainer without a task", "RecoverContainer, unknown",
        "RecoverContainer, hung shim", "DestroyContainer, polite", "DestroyContainer, stubborn", "DestroyContainer, still alive", "DestroyContainer after an exit",
        "DestroyContainer, unknown", "Message", "SetStopHooks", "SetExitHooks", "Hooks and probes", "Connection loss", "ExecContainer", "Process members", "ExecContainer errors",
        "ExecContainer stdin", "ProbeContainer with a limit", "ProbeContainer without one", "ContainerPID", "ContainerPIDs", "ListImages", "RemoveImage", "PullImage",
        "PullImage again", "PullImage errors", "PullImage resumed and cancelled", "PullImage with a login", "PullImage, dead reader", "ProgressInfo JSON", "NewDefaultSpec", "Leases",
    ];

    private static readonly List<Row> Rows = Read();

    [Fact]
    public void Every_item_has_a_row() => Assert.Empty(SeedItems.Except(Rows.Select(row => row.Item)));

    [Fact]
    public void Every_row_has_a_test_of_its_own() =>
        Assert.All(Rows, row => Assert.NotEmpty(row.Tests.Except(Rows.Where(other => other != row).SelectMany(other => other.Tests))));

    [Fact]
    public void Every_test_exists_and_every_version_says_whether_it_runs_there()
    {
        var tests = typeof(VersionTableTests).Assembly.GetTypes()
            .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly))
            .Where(method => method.GetCustomAttributes().OfType<Xunit.v3.IFactAttribute>().Any())
            .ToLookup(method => $"{method.DeclaringType!.Name}.{method.Name}");

        Assert.All(Rows, row =>
        {
            Assert.All(row.Tests, test => Assert.True(tests.Contains(test), $"{row.Item}: there is no test {test}"));
            var pure = row.Tests.All(test => tests[test].All(IsPure));
            Assert.All(row.Versions, cell => Assert.Matches(pure ? "^any$" : "^(yes|[1-9][0-9]*)$", cell));
            Assert.All(row.Versions.Where(cell => char.IsAsciiDigit(cell[0])), number => Assert.Contains($"\n{number}. **", Text(), StringComparison.Ordinal));
        });
    }

    /// <summary>As scripts/test.sh leaves them out of the second and third run.</summary>
    private static bool IsPure(MethodInfo test) =>
        test.DeclaringType!.Namespace == "Reconciler.Containerd.Tests.Registries"
        || test.DeclaringType.GetCustomAttributes<TraitAttribute>().Concat(test.GetCustomAttributes<TraitAttribute>()).Any(trait => trait is { Name: "containerd", Value: "none" });

    private static List<Row> Read() =>
    [
        .. Text().Split('\n')
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal) && line.Contains('`', StringComparison.Ordinal))
            .Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries))
            .Select(cells => new Row(cells[0], [.. TestName().Matches(cells[2]).Select(match => match.Groups[1].Value)], cells[3..])),
    ];

    private static string Text() => File.ReadAllText(Path.Combine(Repository.Root, "docs", "containerd-versions.md"));

    [GeneratedRegex("`([A-Za-z]+\\.[A-Za-z0-9_]+)`")]
    private static partial Regex TestName();

    private sealed record Row(string Item, IReadOnlyList<string> Tests, IReadOnlyList<string> Versions);
}

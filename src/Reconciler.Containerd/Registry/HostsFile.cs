using Tomlyn;
using Tomlyn.Parsing;
using Tomlyn.Syntax;

namespace Reconciler.Containerd.Registries;

/// <summary>Reads a hosts.toml (containerd's docs/hosts.md). What containerd would log and ignore is an error here.</summary>
/// <param name="file">For messages.</param>
/// <param name="seen">Where a path that the file names is found.</param>
internal sealed class HostsFile(string file, Func<string, string> seen)
{
    private readonly HostsFileReader _reader = new(file, seen);

    /// <summary>Its hosts in their order, then its server.</summary>
    /// <param name="text">What is in it.</param>
    /// <param name="server">Used where the file names none.</param>
    /// <exception cref="PullException">The message has file, line, key and what is right.</exception>
    public IReadOnlyList<RegistryHost> Read(string text, RegistryHost server)
    {
        var document = Parse(text);
        var root = new HostSettings();
        var hosts = new List<HostSettings>();
        foreach (var entry in Entries(document))
        {
            switch (entry.Path)
            {
                case ["server"]:
                    root.Address = (_reader.Text(entry), entry);
                    break;
                case ["host"] when entry.Value is null:
                    break;
                case ["host", _, ..] when entry is { Path.Count: > 2 } or { Value: null }:
                    var host = hosts.FirstOrDefault(known => known.Address!.Value.Text == entry.Path[1]);
                    if (host is null) hosts.Add(host = new HostSettings { Address = (entry.Path[1], entry) });
                    if (entry.Path.Count > 2) _reader.Set(host, entry, 2);
                    break;
                case ["host", ..]:
                    throw _reader.Bad(entry, "a table per host, as [host.\"https://mirror.example.org\"]");
                default:
                    _reader.Set(root, entry, 0);
                    break;
            }
        }
        return [.. hosts.Select(host => _reader.Host(host, null)), _reader.Host(root, server)];
    }

    private DocumentSyntax Parse(string text)
    {
        try
        {
            var document = SyntaxParser.Parse(text, file, validate: true);
            return document.Diagnostics.FirstOrDefault(found => found.Kind == DiagnosticMessageKind.Error) is { } error
                ? throw new PullException(PullErrorKind.Failed, $"{file}:{error.Span.Start.Line + 1}: it is not TOML: {error.Message}")
                : document;
        }
        catch (TomlException e) // nested too deep
        {
            throw new PullException(PullErrorKind.Failed, $"{file}: it is not TOML that can be read: {e.Message}", e);
        }
    }

    /// <summary>Every value under its whole path, and every table, in the order of the file.</summary>
    private IEnumerable<HostsEntry> Entries(DocumentSyntax document)
    {
        foreach (var pair in document.KeyValues)
            foreach (var entry in Entries([], pair)) yield return entry;
        foreach (var table in document.Tables)
        {
            var named = new HostsEntry(Names(table.Name!), null, Line(table));
            if (table is TableArraySyntax) throw _reader.Bad(named, "a table in single brackets");
            yield return named;
            foreach (var pair in table.Items)
                foreach (var entry in Entries(named.Path, pair)) yield return entry;
        }
    }

    private static IEnumerable<HostsEntry> Entries(IReadOnlyList<string> above, KeyValueSyntax pair)
    {
        IReadOnlyList<string> path = [.. above, .. Names(pair.Key!)];
        if (pair.Value is not InlineTableSyntax table)
        {
            yield return new HostsEntry(path, pair.Value, Line(pair));
            yield break;
        }
        yield return new HostsEntry(path, null, Line(pair));
        foreach (var item in table.Items)
            foreach (var entry in Entries(path, item.KeyValue!)) yield return entry;
    }

    private static IReadOnlyList<string> Names(KeySyntax key) => [Name(key.Key), .. key.DotKeys.Select(item => Name(item.Key))];

    private static string Name(BareKeyOrStringValueSyntax? key) => key switch
    {
        BareKeySyntax bare => bare.Key?.Text ?? "",
        StringValueSyntax quoted => quoted.Value ?? "",
        _ => "",
    };

    private static int Line(SyntaxNode node) => node.Span.Start.Line + 1;
}

/// <summary>One value of the file, or a table where <paramref name="Value"/> is null.</summary>
internal sealed record HostsEntry(IReadOnlyList<string> Path, ValueSyntax? Value, int Line)
{
    public string Key => string.Join('.', Path.Select(part => BareKeySyntax.IsBareKey(part) ? part : $"\"{part}\""));
}

/// <summary>What the file says of one host so far.</summary>
internal sealed class HostSettings
{
    public (string Text, HostsEntry Entry)? Address { get; set; }

    public HostCapabilities Capabilities { get; set; } = HostCapabilities.All;

    public List<NamedFile> Ca { get; } = [];

    public List<(NamedFile Certificate, NamedFile? Key)> Client { get; } = [];

    public bool SkipVerify { get; set; }

    public bool OverridePath { get; set; }

    public TimeSpan? DialTimeout { get; set; }

    public List<KeyValuePair<string, string>> Headers { get; } = [];
}

using System.Globalization;
using System.Text.RegularExpressions;
using Tomlyn.Syntax;

namespace Reconciler.Containerd.Registries;

/// <summary>Reads the keys of one host. Every refusal names file, line, key and what is right; values are not shown, a header may be a secret.</summary>
internal sealed partial class HostsFileReader(string file, Func<string, string> seen)
{
    private static readonly TimeSpan LongestDial = TimeSpan.FromMinutes(10);

    public PullException Bad(HostsEntry entry, string right) =>
        new(PullErrorKind.Failed, $"{file}:{entry.Line}: {entry.Key}: right is: {right}");

    public string Text(HostsEntry entry) => Text(entry, entry.Value, "a text");

    /// <param name="host">Gets the value.</param>
    /// <param name="entry">Key and value.</param>
    /// <param name="at">Where in the path the key of the host is.</param>
    public void Set(HostSettings host, HostsEntry entry, int at)
    {
        var key = entry.Path[at];
        if (key == "header")
        {
            AddHeader(host, entry, at + 1);
            return;
        }
        if (entry.Path.Count > at + 1) throw Bad(entry, key is "ca" or "client" or "capabilities" ? $"{key} = [...], not a table" : Known);
        switch (key)
        {
            case "capabilities":
                host.Capabilities = Capabilities(entry);
                break;
            case "ca":
                host.Ca.AddRange(entry.Value is ArraySyntax ? Items(entry).Select(item => Named(entry, item, "a path or a list of paths")) : [Named(entry, entry.Value, "a path or a list of paths")]);
                break;
            case "client":
                if (entry.Value is ArraySyntax) host.Client.AddRange(Items(entry).Select(item => Pair(entry, item)));
                else host.Client.Add(Pair(entry, entry.Value));
                break;
            case "skip_verify":
                host.SkipVerify = Switch(entry);
                break;
            case "override_path":
                host.OverridePath = Switch(entry);
                break;
            case "dial_timeout":
                host.DialTimeout = Duration(entry);
                break;
            default:
                throw Bad(entry, Known);
        }
    }

    /// <param name="settings">As the file has it.</param>
    /// <param name="server">What is meant where it has no address.</param>
    public RegistryHost Host(HostSettings settings, RegistryHost? server)
    {
        var host = settings.Address is { } address ? new RegistryHost(Root(address.Text, address.Entry, settings.OverridePath)) : server!;
        return host with
        {
            Capabilities = settings.Capabilities,
            Headers = settings.Headers,
            DialTimeout = settings.DialTimeout,
            Tls = settings.Ca.Count + settings.Client.Count > 0 || settings.SkipVerify
                ? new HostTls { Ca = settings.Ca, Client = settings.Client, SkipVerify = settings.SkipVerify }
                : null,
        };
    }

    private const string Known = "one of capabilities, ca, client, skip_verify, header, override_path, dial_timeout; server at the top; [host.\"https://...\"]";

    private Uri Root(string text, HostsEntry entry, bool overridePath)
    {
        const string right = "http:// or https:// with a host, a port if it needs one, and a path if it has one";
        var whole = text.Contains("://", StringComparison.Ordinal) ? text : "https://" + text;
        if (!Uri.TryCreate(whole, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https") || uri.Host.Length == 0) throw Bad(entry, right);
        if (uri.UserInfo.Length > 0) throw Bad(entry, right + "; a login belongs into docker's config.json");
        if (uri.Query.Length + uri.Fragment.Length > 0) throw Bad(entry, right + ", without ? and #");
        var path = uri.AbsolutePath.TrimEnd('/');
        if (!overridePath && !path.EndsWith("/v2", StringComparison.Ordinal)) path += "/v2";
        return new Uri(uri.GetLeftPart(UriPartial.Authority) + path + "/");
    }

    private HostCapabilities Capabilities(HostsEntry entry)
    {
        var all = HostCapabilities.None;
        foreach (var item in Items(entry))
        {
            all |= (item as StringValueSyntax)?.Value?.ToLowerInvariant() switch
            {
                "pull" => HostCapabilities.Pull,
                "resolve" => HostCapabilities.Resolve,
                "push" => HostCapabilities.Push,
                "referrers" => HostCapabilities.None, // containerd 2.2: nothing here asks for them
                _ => throw Bad(entry, "a list of pull, resolve and push"),
            };
        }
        return Items(entry).Any() ? all : HostCapabilities.All; // as containerd has it
    }

    private (NamedFile Certificate, NamedFile? Key) Pair(HostsEntry entry, ValueSyntax? value)
    {
        const string right = "a path, a list of paths, or a list of pairs [certificate, key]";
        if (value is not ArraySyntax) return (Named(entry, value, right), null);
        var parts = Values(value).ToList();
        if (parts.Count != 2) throw Bad(entry, right);
        return (Named(entry, parts[0], right), (parts[1] as StringValueSyntax)?.Value is "" ? null : Named(entry, parts[1], right));
    }

    private void AddHeader(HostSettings host, HostsEntry entry, int at)
    {
        if (entry.Path.Count == at && entry.Value is null) return; // the table itself
        if (entry.Path.Count != at + 1) throw Bad(entry, "a table of names with a text or a list of texts");
        var name = entry.Path[at];
        using var probe = new HttpRequestMessage();
        if (!probe.Headers.TryAddWithoutValidation(name, "")) throw Bad(entry, "the name of an HTTP request header");
        foreach (var item in entry.Value is ArraySyntax ? Items(entry) : [entry.Value])
        {
            var text = Text(entry, item, "a text or a list of texts");
            if (text.Any(c => c is not '\t' and (< ' ' or > '~'))) throw Bad(entry, "printable ASCII, which HTTP allows in headers");
            host.Headers.Add(new(name, text));
        }
    }

    private bool Switch(HostsEntry entry) => entry.Value is BooleanValueSyntax value ? value.Value : throw Bad(entry, "true or false");

    /// <summary>Go's notation.</summary>
    private TimeSpan Duration(HostsEntry entry)
    {
        const string right = "a duration above 0 and up to 10m, e.g. \"3s\" or \"1m30s\"";
        var match = DurationParts().Match(Text(entry, entry.Value, right));
        if (!match.Success) throw Bad(entry, right);
        var total = TimeSpan.Zero;
        for (var i = 0; i < match.Groups[1].Captures.Count; i++)
        {
            total += double.Parse(match.Groups[1].Captures[i].Value, CultureInfo.InvariantCulture) * match.Groups[2].Captures[i].Value switch
            {
                "ms" => TimeSpan.FromMilliseconds(1),
                "s" => TimeSpan.FromSeconds(1),
                "m" => TimeSpan.FromMinutes(1),
                _ => TimeSpan.FromHours(1),
            };
        }
        return total > TimeSpan.Zero && total <= LongestDial ? total : throw Bad(entry, right);
    }

    private NamedFile Named(HostsEntry entry, ValueSyntax? value, string right)
    {
        var path = Text(entry, value, right);
        return path.Length > 0 && !path.Contains('\0', StringComparison.Ordinal) ? new NamedFile(seen(path), $"{file}:{entry.Line}: {entry.Key}") : throw Bad(entry, right);
    }

    private string Text(HostsEntry entry, ValueSyntax? value, string right) => (value as StringValueSyntax)?.Value ?? throw Bad(entry, right);

    private IEnumerable<ValueSyntax?> Items(HostsEntry entry) => entry.Value is ArraySyntax ? Values(entry.Value) : throw Bad(entry, "a list");

    private static IEnumerable<ValueSyntax?> Values(ValueSyntax array) => ((ArraySyntax)array).Items.Select(item => item.Value);

    [GeneratedRegex(@"^(?:([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m|h))+\z")]
    private static partial Regex DurationParts();
}

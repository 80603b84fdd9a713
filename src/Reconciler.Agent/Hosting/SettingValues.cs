using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.Http;

namespace Reconciler.Agent.Hosting;

/// <summary>Reads one value of a setting. Every refusal is a <see cref="SettingException"/> that says what is right.</summary>
internal static partial class SettingValues
{
    /// <summary>sun_path holds 108 bytes, the last one zero.</summary>
    private const int SocketPathBytes = 107;

    public static string AbsolutePath(string value)
    {
        if (!value.StartsWith('/') || value.Split('/').Contains("..") || value.Contains('\0', StringComparison.Ordinal))
        {
            throw new SettingException("an absolute path without \"..\", e.g. /var/lib/reconciler");
        }
        var trimmed = value.TrimEnd('/');
        return trimmed.Length == 0 ? "/" : trimmed;
    }

    public static string Socket(string value)
    {
        var path = AbsolutePath(value.StartsWith("unix://", StringComparison.Ordinal) ? value["unix://".Length..] : value);
        return Encoding.UTF8.GetByteCount(path) <= SocketPathBytes
            ? path
            : throw new SettingException($"a path of at most {SocketPathBytes} bytes, as for every unix socket");
    }

    public static string Namespace(string value) => value.Length <= 76 && Identifier().IsMatch(value)
        ? value
        : throw new SettingException("1 to 76 letters, digits and single . _ - between them, e.g. reconciler");

    public static string NodeName(string value) => value.Length <= 253 && Subdomain().IsMatch(value)
        ? value
        : throw new SettingException("a lower-case DNS name, e.g. edge-7.example.org");

    public static string NotEmpty(string value) => value.Trim().Length > 0 ? value : throw new SettingException("a path");

    public static KeyValuePair<string, string> NodeLabel(string value)
    {
        const string right = "key=value as Kubernetes has labels, e.g. topology.kubernetes.io/zone=north";
        var equals = value.IndexOf('=', StringComparison.Ordinal);
        if (equals <= 0) throw new SettingException(right);
        var (key, text) = (value[..equals].Trim(), value[(equals + 1)..].Trim());
        var slash = key.IndexOf('/', StringComparison.Ordinal);
        var name = key[(slash + 1)..];
        var prefixed = slash < 0 || (slash <= 253 && Subdomain().IsMatch(key[..slash]));
        return prefixed && name.Length <= 63 && LabelText().IsMatch(name) && text.Length <= 63 && (text.Length == 0 || LabelText().IsMatch(text))
            ? new(key, text)
            : throw new SettingException(right);
    }

    public static string RegistryHost(string value) => HostAndPort().IsMatch(value)
        ? value
        : throw new SettingException("a registry as host or host:port, e.g. registry.local:5000");

    public static bool Switch(string value) => value switch
    {
        "true" or "1" => true,
        "false" or "0" => false,
        _ => throw new SettingException("true or false"),
    };

    /// <summary>Bytes; suffixes as Kubernetes quantities have them.</summary>
    public static long Bytes(string value, long minimum)
    {
        var right = $"a size of at least {minimum} bytes, e.g. 10Mi, 500k or 1048576";
        var match = Quantity().Match(value);
        if (!match.Success) throw new SettingException(right);
        decimal factor = match.Groups[2].Value switch
        {
            "k" => 1_000L,
            "M" => 1_000_000L,
            "G" => 1_000_000_000L,
            "Ki" => 1L << 10,
            "Mi" => 1L << 20,
            "Gi" => 1L << 30,
            _ => 1L,
        };
        var bytes = decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * factor;
        return bytes >= minimum && bytes <= long.MaxValue / 4 ? (long)bytes : throw new SettingException(right);
    }

    public static int Count(string value, int minimum, int maximum) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= minimum && count <= maximum
            ? count
            : throw new SettingException($"a number from {minimum} to {maximum}");

    /// <summary>5% or 0.05.</summary>
    public static double Share(string value)
    {
        var percent = value.EndsWith('%');
        var read = double.TryParse(percent ? value[..^1] : value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number);
        var share = percent ? number / 100 : number;
        return read && share is >= 0 and <= 0.9 ? share : throw new SettingException("a share of the disk between 0 and 0.9, e.g. 5% or 0.05");
    }

    /// <summary>Go's notation: 500ms, 30s, 5m, 1h30m.</summary>
    public static TimeSpan Duration(string value, TimeSpan minimum, TimeSpan maximum)
    {
        var right = $"a duration between {Text(minimum)} and {Text(maximum)}, e.g. 30s or 1m30s";
        var match = DurationParts().Match(value);
        if (!match.Success || match.Length == 0) throw new SettingException(right);
        var total = 0m;
        for (var i = 0; i < match.Groups[1].Captures.Count; i++)
        {
            total += decimal.Parse(match.Groups[1].Captures[i].Value, CultureInfo.InvariantCulture) * match.Groups[2].Captures[i].Value switch
            {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                _ => 3_600_000,
            };
        }
        return total >= (decimal)minimum.TotalMilliseconds && total <= (decimal)maximum.TotalMilliseconds
            ? TimeSpan.FromMilliseconds((double)total)
            : throw new SettingException(right);
    }

    /// <summary>Empty is none of them: the setting is left out for the default.</summary>
    public static string OciRuntime(string value) =>
        value.Length > 0 && !value.Any(char.IsWhiteSpace) && (value[0] == '/' ? value[^1] != '/' : !value.Contains('/', StringComparison.Ordinal))
            ? value
            : throw new SettingException("the name of a program on containerd's PATH, e.g. crun, or an absolute path");

    /// <summary>Null = none is wanted.</summary>
    public static ListenAddress? Listen(string value) => value is "" or "none"
        ? null
        : ListenAddress.Parse(value, given: true) ?? throw new SettingException("ADDRESS:PORT such as 127.0.0.1:9808, [::1]:9808 or :9808 for every address, or none");

    public static LogLevel Level(string value) => value switch
    {
        "trace" => LogLevel.Trace,
        "debug" => LogLevel.Debug,
        "info" => LogLevel.Information,
        "warn" => LogLevel.Warning,
        "error" => LogLevel.Error,
        _ => throw new SettingException("trace, debug, info, warn or error"),
    };

    public static LogFormat Format(string value) => value switch
    {
        "text" => LogFormat.Text,
        "json" => LogFormat.Json,
        _ => throw new SettingException("text or json"),
    };

    /// <summary>A collector's URL; the path of traces is added where it is missing (OTLP/HTTP specification, endpoint URLs).</summary>
    public static Uri OtlpEndpoint(string value)
    {
        const string traces = "/v1/traces";
        if (!Uri.TryCreate(value, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https") || url.UserInfo.Length > 0 || url.Query.Length > 0 || url.Fragment.Length > 0)
            throw new SettingException("a collector's http or https URL without user and query, e.g. http://127.0.0.1:4318; headers are taken from OTEL_EXPORTER_OTLP_HEADERS");
        var path = url.AbsolutePath.TrimEnd('/');
        return new Uri(url, path.EndsWith(traces, StringComparison.Ordinal) ? path : path + traces);
    }

    private static string Text(TimeSpan span) => span.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{span.TotalHours:0}h")
        : string.Create(CultureInfo.InvariantCulture, $"{span.TotalSeconds:0}s");

    [GeneratedRegex(@"^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*\z")]
    private static partial Regex Identifier();

    [GeneratedRegex(@"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\z")]
    private static partial Regex Subdomain();

    [GeneratedRegex(@"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\z")]
    private static partial Regex LabelText();

    [GeneratedRegex(@"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?\z")]
    private static partial Regex HostAndPort();

    [GeneratedRegex(@"^([0-9]{1,15}(?:\.[0-9]{1,6})?)(k|M|G|Ki|Mi|Gi)?\z")]
    private static partial Regex Quantity();

    [GeneratedRegex(@"^(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h))+\z")]
    private static partial Regex DurationParts();
}

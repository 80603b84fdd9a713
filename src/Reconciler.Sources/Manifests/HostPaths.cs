namespace Reconciler.Sources.Manifests;

/// <summary>Absolute paths as text; nothing here looks at a disk.</summary>
internal static class HostPaths
{
    /// <summary>Without repeated and trailing slashes and <c>.</c> parts; null with the error where it is not absolute or holds <c>..</c>.</summary>
    public static string? Normalize(string path, out string? error)
    {
        var parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        error = path.Length == 0 || path[0] != '/' ? "must be an absolute path"
            : parts.Contains("..") ? "must not contain .."
            : path.Length > 4095 ? "is longer than 4095 characters"
            : null;
        return error is null ? "/" + string.Join('/', parts.Where(part => part != ".")) : null;
    }

    /// <summary>Both normalised: <paramref name="inner"/> is <paramref name="outer"/> or lies below it.</summary>
    public static bool Contains(string outer, string inner) =>
        outer == "/" || inner == outer || inner.StartsWith(outer + "/", StringComparison.Ordinal);
}

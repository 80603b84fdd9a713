using System.Security.Cryptography;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Files;

/// <summary>Reads manifest files, each version once.</summary>
internal sealed class FileCache(string sourcePrefix, ManifestOptions options, TimeProvider time)
{
    private const int Attempts = 5;

    /// <summary>Times of files advance in ticks: a version that was this young when read may be followed by another with the same times.</summary>
    private static readonly TimeSpan Young = TimeSpan.FromSeconds(2);

    private sealed record Entry(FileStamp Stamp, bool WasYoung, byte[] Hash, ManifestFile Content);

    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <param name="full">Path to open, which is also the one shown.</param>
    /// <param name="path">Path relative to the folder.</param>
    public ScannedFile Read(string full, string path)
    {
        for (var attempt = 1; ; attempt++)
        {
            if (FileStamp.Of(full, followLinks: true, out var error) is not { } stamp)
                return Refused(full, path, error == Native.NotFound ? "leads to nothing" : $"cannot be reached (errno {error})", "mend or remove it");
            if (!stamp.IsRegular) return Refused(full, path, "is no regular file", "rename or remove it");
            var known = _entries.GetValueOrDefault(path);
            if (known is { WasYoung: false } && known.Stamp == stamp) return new ScannedFile(path, known.Content, Unstable: false);
            if (stamp.Size > ManifestReader.MaxFileSize)
                return Refused(full, path, $"is larger than {ManifestReader.MaxFileSize} bytes", "split it");
            byte[] content;
            try
            {
                content = ReadAll(full, (int)stamp.Size);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return Refused(full, path, $"cannot be read: {e.Message}", "let the agent read it, or remove it");
            }
            if ((ulong)content.Length == stamp.Size && FileStamp.Of(full, followLinks: true, out _) == stamp) return Accept(full, path, stamp, content, known);
            if (attempt < Attempts) continue;
            return Refused(full, path, "changed each time it was read", "write another file and rename it over this one") with { Unstable = true };
        }
    }

    /// <summary>Forgets the files that are gone.</summary>
    public void Retain(IReadOnlySet<string> paths)
    {
        foreach (var path in _entries.Keys.Where(path => !paths.Contains(path)).ToList()) _entries.Remove(path);
    }

    private ScannedFile Accept(string full, string path, FileStamp stamp, byte[] content, Entry? known)
    {
        var hash = SHA256.HashData(content);
        var young = time.GetUtcNow() - DateTimeOffset.FromUnixTimeSeconds(Math.Max(stamp.ModifiedSeconds, stamp.ChangedSeconds)) < Young;
        var same = known is not null && known.Hash.AsSpan().SequenceEqual(hash);
        var file = same ? known!.Content : ManifestReader.ReadFile(full, content, sourcePrefix + path, options);
        _entries[path] = new Entry(stamp, young, hash, file);
        return new ScannedFile(path, file, Unstable: false);
    }

    private static ScannedFile Refused(string full, string path, string message, string remedy) =>
        new(path, ManifestReader.Unreadable(full, message, remedy), Unstable: false);

    /// <summary>At most one byte more than expected: enough to see that it grew.</summary>
    private static byte[] ReadAll(string full, int size)
    {
        using var file = File.OpenHandle(full, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var buffer = new byte[size + 1];
        var length = 0;
        while (length < buffer.Length && RandomAccess.Read(file, buffer.AsSpan(length), length) is > 0 and var count) length += count;
        return buffer[..length];
    }
}

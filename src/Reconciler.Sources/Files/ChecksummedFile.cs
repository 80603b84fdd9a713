using System.Security.Cryptography;
using System.Text;

namespace Reconciler.Sources.Files;

/// <summary>A small file that survives a crash whole or not at all: a checksum line, then the content. Readable by the owner only, since env values are in it.</summary>
internal sealed class ChecksummedFile(string path)
{
    private byte[] _saved = [];

    /// <summary>Null where there is no file; also where it is broken, and then <paramref name="error"/> says how.</summary>
    public byte[]? Load(out string? error)
    {
        error = null;
        try
        {
            var content = File.ReadAllBytes(path);
            var end = content.AsSpan().IndexOf((byte)'\n');
            if (end < 0 || !content.AsSpan(0, end).SequenceEqual(Checksum(content.AsSpan(end + 1))))
            {
                error = $"{path} is damaged";
                return null;
            }
            _saved = content;
            return content[(end + 1)..];
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            error = $"{path} cannot be read: {e.Message}";
            return null;
        }
    }

    /// <summary>Atomic and durable; writes nothing when nothing changed.</summary>
    /// <exception cref="IOException">The disk is full or gone; the old file stays.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public void Save(ReadOnlySpan<byte> body)
    {
        byte[] content = [.. Checksum(body), (byte)'\n', .. body];
        if (content.AsSpan().SequenceEqual(_saved)) return;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var temporary = path + ".tmp";
        File.Delete(temporary); // a leftover would keep its mode
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        };
        using (var file = new FileStream(temporary, options))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
        _saved = content;
    }

    private static byte[] Checksum(ReadOnlySpan<byte> body) => Encoding.ASCII.GetBytes("sha256:" + Convert.ToHexStringLower(SHA256.HashData(body)));
}

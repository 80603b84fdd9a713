using System.Globalization;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Reconciler.Agent.Node;

/// <summary>Held by the one process that may do something, in a file that names it; the kernel lets go when the process ends, however it ends.</summary>
public sealed partial class InstanceLock : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    private readonly SafeFileHandle _file;

    private InstanceLock(SafeFileHandle file) => _file = file;

    /// <summary>
    /// The lock of the agent of one containerd and namespace: a fixed place of the host, whatever the agents' state dirs are.
    /// </summary>
    /// <param name="hostRoot">Where the host's root is seen from here.</param>
    /// <param name="serverUuid">Introspection's uuid of the containerd.</param>
    /// <param name="ns">The containerd namespace.</param>
    public static string PathOf(string hostRoot, string serverUuid, string ns) =>
        Path.Combine(hostRoot, "run/reconciler", $"{Checked(serverUuid)}-{Checked(ns)}.lock");

    /// <summary>Null = another process, or another handle of this one, holds it.</summary>
    /// <param name="path">The lock file; made with its folder if missing, and never removed.</param>
    /// <param name="holder">Who holds it: <c>pid N</c>, or empty where that cannot be told.</param>
    /// <exception cref="IOException">The file cannot be made.</exception>
    public static InstanceLock? TryAcquire(string path, out string holder)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        while (true)
        {
            var file = Libc.OpenOrCreate(path, 0x1a4 /* 0644 */);
            try
            {
                if (!Libc.TryLock(file))
                {
                    holder = ReadHolder(file);
                    file.Dispose();
                    return null;
                }
                // Someone may have removed the file between opening and locking: then another one is the lock.
                if (Libc.Status(path)?.Id != Libc.Status(file).Id)
                {
                    file.Dispose();
                    continue;
                }
                RandomAccess.SetLength(file, 0);
                RandomAccess.Write(file, Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"), 0);
                holder = "";
                return new InstanceLock(file);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
    }

    /// <summary>Waits until it is free, looking twice a second; says once who holds it.</summary>
    public static async Task<InstanceLock> AcquireAsync(
        string path, TimeProvider time, ILogger logger, CancellationToken cancellation, Action<string>? waiting = null)
    {
        var told = "";
        while (true)
        {
            if (TryAcquire(path, out var holder) is { } acquired) return acquired;
            if (holder != told)
            {
                var who = holder.Length > 0 ? holder : "another process";
                Waiting(logger, path, who);
                waiting?.Invoke(who);
                told = holder;
            }
            await Task.Delay(Pause, time, cancellation);
        }
    }

    /// <summary>Lets the next one in.</summary>
    public void Dispose()
    {
        if (!_file.IsClosed) RandomAccess.SetLength(_file, 0);
        _file.Dispose();
    }

    private static string ReadHolder(SafeFileHandle file)
    {
        var buffer = new byte[32];
        var text = Encoding.ASCII.GetString(buffer, 0, RandomAccess.Read(file, buffer, 0)).Trim();
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _) ? "pid " + text : "";
    }

    private static string Checked(string name) =>
        name.Length > 0 && name[0] != '.' && !name.Contains('/', StringComparison.Ordinal) ? name : throw new ArgumentException($"'{name}' cannot be part of a lock's name");

    [LoggerMessage(EventId = 620, Level = LogLevel.Warning, Message = "waiting for {Path}, held by {Holder}")]
    private static partial void Waiting(ILogger logger, string path, string holder);
}

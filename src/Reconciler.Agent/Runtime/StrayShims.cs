using System.Globalization;
using System.Text;
using Reconciler.Agent.Node;

namespace Reconciler.Agent.Runtime;

/// <param name="Id">What it was started for: the id of a container.</param>
internal readonly record struct Shim(int Pid, string Id);

/// <summary>
/// Shims that serve nothing. containerd loses sight of one when the client of a Tasks.Create is gone in the middle of it: the shim was
/// started, its task never made, and nobody ends it.
/// </summary>
/// <param name="host">Where the path of the socket in a shim's arguments is looked up.</param>
/// <param name="address">Our path of containerd's socket.</param>
internal sealed class StrayShims(HostRoot host, string address, string containerdNamespace, TimeProvider time)
{
    private const int SigKill = 9;
    private const int SigTerm = 15;
    private const string Program = "containerd-shim-";

    /// <summary>A scan reads one file of each process of the node.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    private readonly HashSet<Shim> _asked = [];
    private long? _scanned;

    /// <summary>Shims of our containerd and namespace whose container is not known. Empty within 30 s of the last scan.</summary>
    /// <param name="isKnown">Whether the container of this id is known.</param>
    public IReadOnlyList<Shim> Find(Func<string, bool> isKnown)
    {
        if (_scanned is { } last && time.GetElapsedTime(last) < Pause) return [];
        _scanned = time.GetTimestamp();
        var socket = Libc.Status(address)?.Id;
        if (socket is null) return [];
        var found = new List<Shim>();
        foreach (var pid in Pids())
            if (ShimIn(Read(pid, "cmdline"), containerdNamespace) is { } shim && !isKnown(shim.Id) && IsSocket(shim.Address, socket.Value))
                found.Add(new Shim(pid, shim.Id));
        _asked.IntersectWith(found);
        return found;
    }

    /// <summary>SIGTERM the first time, which removes its socket too, SIGKILL if it is still there at the next scan. One with a process below it is left alone.</summary>
    /// <param name="strays">What was found and has neither record nor task.</param>
    /// <returns>Those that got a signal.</returns>
    public IReadOnlyList<Shim> End(IReadOnlyList<Shim> strays)
    {
        if (strays.Count == 0) return [];
        var parents = Pids().Select(pid => ParentIn(Read(pid, "stat"))).ToHashSet();
        var ended = strays.Where(shim => !parents.Contains(shim.Pid) && ShimIn(Read(shim.Pid, "cmdline"), containerdNamespace)?.Id == shim.Id).ToList();
        foreach (var shim in ended) Libc.Signal(shim.Pid, _asked.Add(shim) ? SigTerm : SigKill);
        return ended;
    }

    /// <summary>The arguments of a shim that serves a namespace; null = some other process, a shim's <c>start</c> and <c>delete</c> included.</summary>
    internal static (string Id, string Address)? ShimIn(string commandLine, string containerdNamespace)
    {
        var arguments = commandLine.Split('\0', StringSplitOptions.RemoveEmptyEntries);
        if (arguments.Length == 0 || !Path.GetFileName(arguments[0]).StartsWith(Program, StringComparison.Ordinal)) return null;
        if (arguments[^1] is "start" or "delete" || After("-namespace") != containerdNamespace) return null;
        return (After("-id"), After("-address")) is ({ } id, { } socket) ? (id, socket) : null;

        string? After(string flag) => Array.IndexOf(arguments, flag) is var at and > 0 && at + 1 < arguments.Length ? arguments[at + 1] : null;
    }

    /// <summary>From /proc/PID/stat, where the name in parentheses may hold anything; 0 = it went meanwhile.</summary>
    internal static int ParentIn(string stat)
    {
        var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 1 && int.TryParse(fields[1], CultureInfo.InvariantCulture, out var parent) ? parent : 0;
    }

    private bool IsSocket(string shimAddress, FileId socket)
    {
        try
        {
            return shimAddress == address || Libc.Status(host.Resolve(shimAddress))?.Id == socket;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>Of our own process namespace: those that a signal of ours reaches.</summary>
    private static IEnumerable<int> Pids() => Directory.EnumerateDirectories("/proc")
        .Select(path => int.TryParse(Path.GetFileName(path.AsSpan()), CultureInfo.InvariantCulture, out var pid) ? pid : 0)
        .Where(pid => pid > 0);

    private static string Read(int pid, string file)
    {
        try
        {
            using var handle = File.OpenHandle($"/proc/{pid}/{file}");
            Span<byte> start = stackalloc byte[1024];
            return Encoding.UTF8.GetString(start[..RandomAccess.Read(handle, start, 0)]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // it went meanwhile
        }
    }
}

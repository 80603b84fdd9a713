using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Controller;

/// <summary>What the controller remembers of a set between two passes; one pass at a time uses it.</summary>
internal sealed class SetMemory(string uid)
{
    /// <summary>An event that does not come for so long will not come.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private string _written = "";
    private DateTimeOffset _writtenAt;
    private (string Version, SetStatus Status)? _status;
    private (long Generation, string Why) _refusal = (0, "");

    public string Uid => uid;

    /// <summary>Children were written, and the list of workloads does not show it yet: a plan made now would do it again.</summary>
    public bool Waits(string listVersion, DateTimeOffset now)
    {
        lock (_lock) return _written.Length > 0 && ResourceVersion.Compare(listVersion, _written) < 0 && now - _writtenAt < LongestWait;
    }

    /// <param name="answer">The object as written.</param>
    /// <param name="now">When.</param>
    public void Wrote(JsonElement answer, DateTimeOffset now)
    {
        var version = answer.Find("metadata").Text("resourceVersion");
        lock (_lock)
        {
            if (version.Length == 0 || ResourceVersion.Compare(version, _written) <= 0) return;
            (_written, _writtenAt) = (version, now);
        }
    }

    /// <summary>The status that the server has, though the list may not show it yet.</summary>
    public SetStatus StatusOf(WorkloadSet set) =>
        _status is { } written && ResourceVersion.Compare(set.ResourceVersion, written.Version) < 0 ? written.Status : set.Status;

    public void WroteStatus(JsonElement answer, SetStatus status) => _status = (answer.Find("metadata").Text("resourceVersion"), status);

    /// <summary>Why the server refused the last write of a child; empty = it did not, or the set has changed since.</summary>
    public string RefusalOf(WorkloadSet set) => _refusal.Generation == set.Generation ? _refusal.Why : "";

    public void Refused(WorkloadSet set, string why) => _refusal = (set.Generation, why);
}

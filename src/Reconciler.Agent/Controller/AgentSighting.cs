using System.Collections.Immutable;

namespace Reconciler.Agent.Controller;

internal enum AgentHealth
{
    /// <summary>Not observed for long enough to tell.</summary>
    Unknown,
    Alive,
    Lost,
}

/// <summary>When an agent last gave a sign of life: by the controller's own clock, since the node's may be wrong.</summary>
/// <param name="RenewedAt">renewTime of its Lease as text; empty = there is no Lease.</param>
/// <param name="Seen">It was seen to renew, or its Lease was fresh when first met.</param>
/// <param name="Until">Lost from then on.</param>
internal sealed record AgentSighting(string RenewedAt, bool Seen, DateTimeOffset Until)
{
    /// <summary>Where a Lease says nothing, and for an agent that never made one.</summary>
    public static readonly TimeSpan Duration = TimeSpan.FromSeconds(180);

    public AgentHealth Health(DateTimeOffset now) => now >= Until ? AgentHealth.Lost : Seen ? AgentHealth.Alive : AgentHealth.Unknown;

    /// <param name="before">By node.</param>
    /// <param name="leases">By node: renewTime as text and parsed, and the Lease's duration.</param>
    /// <param name="nodes">All nodes: one without a Lease has no agent, or not yet.</param>
    /// <param name="again">Leases may have been renewed unseen: everyone gets a full period from now.</param>
    /// <param name="now">By the controller's clock.</param>
    public static ImmutableDictionary<string, AgentSighting> Next(
        ImmutableDictionary<string, AgentSighting> before, IReadOnlyDictionary<string, LeaseFacts> leases, IEnumerable<string> nodes, bool again, DateTimeOffset now)
    {
        var next = ImmutableDictionary.CreateBuilder<string, AgentSighting>(StringComparer.Ordinal);
        foreach (var (node, lease) in leases) next[node] = Next(before.GetValueOrDefault(node), lease, again, now);
        foreach (var node in nodes)
        {
            if (next.ContainsKey(node)) continue;
            var old = before.GetValueOrDefault(node);
            next[node] = old is null || again ? new AgentSighting("", old is { Seen: true }, now + Duration) : old;
        }
        return next.ToImmutable();
    }

    private static AgentSighting Next(AgentSighting? old, LeaseFacts lease, bool again, DateTimeOffset now)
    {
        if (old is null || old.RenewedAt.Length == 0)
        {
            var fresh = lease.RenewTime is { } time && now - time < lease.Duration;
            return new AgentSighting(lease.RenewedAt, fresh, now + lease.Duration);
        }
        if (old.RenewedAt != lease.RenewedAt) return new AgentSighting(lease.RenewedAt, true, now + lease.Duration);
        return again ? old with { Until = now + lease.Duration, Seen = old.Health(now) == AgentHealth.Alive } : old;
    }
}

/// <summary>An agent's Lease.</summary>
/// <param name="RenewedAt">renewTime as the agent wrote it.</param>
/// <param name="RenewTime">The same as a time; null = none.</param>
/// <param name="Duration">leaseDurationSeconds.</param>
internal sealed record LeaseFacts(string RenewedAt, DateTimeOffset? RenewTime, TimeSpan Duration);

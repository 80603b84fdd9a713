using System.Buffers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Reconciler.Core.Planning;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Cluster;

/// <summary>Says every minute that this node's agent lives. Nothing fails over by it: the controller shows AgentLost when it expires.</summary>
internal sealed partial class AgentLease(
    ClusterClient client, KubernetesSource source, string ns, string node, string identity, TimeProvider time, ILogger<AgentLease> logger)
{
    /// <summary>On the Lease: objects that an older API server lacks may be removed. The agent takes it away once it has acted on it.</summary>
    public const string AcceptDataLoss = "reconciler.dev/accept-data-loss";

    public static readonly TimeSpan Duration = TimeSpan.FromSeconds(180);

    private static readonly byte[] RemoveAnnotation = Encoding.UTF8.GetBytes($$$$"""{"metadata":{"annotations":{"{{{{AcceptDataLoss}}}}":null}}}""");

    private readonly string _path = $"apis/coordination.k8s.io/v1/namespaces/{ns}/leases/{node}";

    private static readonly TimeSpan Period = TimeSpan.FromSeconds(60);

    /// <summary>While a loss is held a person may be about to write the annotation.</summary>
    private static readonly TimeSpan PeriodWhileHolding = TimeSpan.FromSeconds(5);

    public async Task RunAsync(CancellationToken stop)
    {
        for (var failures = 0; ;)
        {
            TimeSpan? pause = null;
            try
            {
                await RenewAsync(stop);
                failures = 0;
            }
            catch (ClusterException e)
            {
                if (failures++ == 0) LogNotRenewed(e.Message);
                pause = Backoff.WhileUnavailable(failures);
            }
            var held = source.View.IsHolding;
            using var rest = CancellationTokenSource.CreateLinkedTokenSource(stop);
            var end = Task.Delay(pause ?? (held ? PeriodWhileHolding : Period), time, rest.Token);
            while (true)
            {
                // Taken before the look: a loss that is noticed meanwhile shortens the wait.
                var changed = source.Changed.Next;
                if (end.IsCompleted || (!held && source.View.IsHolding)) break;
                await Task.WhenAny(changed, end);
            }
            await rest.CancelAsync();
            stop.ThrowIfCancellationRequested();
        }
    }

    private async Task RenewAsync(CancellationToken stop)
    {
        using var answer = await client.ApplyAsync(_path, Body(), stop);
        var metadata = answer.RootElement.GetProperty("metadata");
        if (!metadata.TryGetProperty("annotations", out var annotations) || !annotations.TryGetProperty(AcceptDataLoss, out _)) return;
        source.AcceptLoss();
        using var removed = await client.PatchAsync(_path, RemoveAnnotation, "application/merge-patch+json", stop);
    }

    private byte[] Body()
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("apiVersion", "coordination.k8s.io/v1");
            json.WriteString("kind", "Lease");
            json.WriteStartObject("metadata");
            json.WriteString("name", node);
            json.WriteString("namespace", ns);
            json.WriteEndObject();
            json.WriteStartObject("spec");
            json.WriteString("holderIdentity", identity);
            json.WriteNumber("leaseDurationSeconds", (int)Duration.TotalSeconds);
            json.WriteString("renewTime", ClusterTime.Micro(time.GetUtcNow()));
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return buffer.WrittenSpan.ToArray();
    }

    [LoggerMessage(3101, LogLevel.Warning, "The Lease of this node could not be renewed: {Message}")]
    private partial void LogNotRenewed(string message);
}

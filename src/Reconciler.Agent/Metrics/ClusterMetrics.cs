using System.Diagnostics.Metrics;
using System.Globalization;

namespace Reconciler.Agent.Metrics;

/// <summary>Requests to the API server.</summary>
internal sealed class ClusterMetrics
{
    private readonly Counter<long> _requests;

    public ClusterMetrics(Meter meter) => _requests = meter.CreateCounter<long>(
        "reconciler_api_requests_total", null, "Requests to the API server, by method and status of the answer; code 0: none came.");

    /// <param name="method">GET, PATCH and so on.</param>
    /// <param name="status">0 = no answer.</param>
    public void Add(string method, int status) => _requests.Add(1, new("method", method), new("code", status.ToString(CultureInfo.InvariantCulture)));
}

using System.Diagnostics.Metrics;

namespace Reconciler.Agent.Metrics;

/// <summary>Upper bounds of histogram buckets, in seconds.</summary>
internal static class Buckets
{
    /// <summary>Few, as there is a histogram per method.</summary>
    public static readonly InstrumentAdvice<double> Calls = new() { HistogramBucketBoundaries = [0.002, 0.01, 0.05, 0.25, 1, 5, 30] };

    /// <summary>From a heal at its best to the longest backoff.</summary>
    public static readonly InstrumentAdvice<double> Heals = new()
    {
        HistogramBucketBoundaries = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30, 60, 150, 300],
    };

    public static readonly InstrumentAdvice<double> Pulls = new() { HistogramBucketBoundaries = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800] };
}

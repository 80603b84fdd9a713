using System.Globalization;

namespace Reconciler.Benchmarks;

/// <summary>The figures, printed as a Markdown table.</summary>
internal sealed class Table
{
    private readonly List<string> _rows = [];

    public void Add(string what, string ours, string other, string ratio, string target)
    {
        var row = $"| {what} | {ours} | {other} | {ratio} | {target} |";
        _rows.Add(row);
        Console.Error.WriteLine(row);
    }

    public void Add(string what, Sample ours, Sample other, string target) => Add(
        what, ours.ToString(), other.ToString(), (ours.Median / other.Median).ToString("0.00", CultureInfo.InvariantCulture), target);

    public void Print(TextWriter output)
    {
        output.WriteLine("| what | agent | beside it | ratio | target |\n|---|---|---|---|---|");
        foreach (var row in _rows) output.WriteLine(row);
    }
}

/// <summary>Milliseconds of one quantity.</summary>
internal sealed class Sample
{
    private readonly List<double> _values = [];

    public double Median => Percentile(0.5);

    public void Add(TimeSpan value) => _values.Add(value.TotalMilliseconds);

    public double Percentile(double p)
    {
        var sorted = _values.Order().ToList();
        return sorted[Math.Min(sorted.Count - 1, (int)(p * sorted.Count))];
    }

    public override string ToString() => _values.Count < 20
        ? string.Create(CultureInfo.InvariantCulture, $"{Median:0} ms")
        : string.Create(CultureInfo.InvariantCulture, $"p50 {Median:0} ms, p99 {Percentile(0.99):0} ms");
}

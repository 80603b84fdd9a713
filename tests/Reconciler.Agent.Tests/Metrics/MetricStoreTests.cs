using System.Diagnostics.Metrics;
using System.Text;
using Reconciler.Agent.Metrics;

namespace Reconciler.Agent.Tests.Metrics;

public sealed class MetricStoreTests : IDisposable
{
    private static readonly InstrumentAdvice<double> Bounds = new() { HistogramBucketBoundaries = [0.5, 1, 10] };

    private readonly Meter _meter = new("Test");
    private readonly MetricStore _store;

    public MetricStoreTests() => _store = new MetricStore(_meter);

    public void Dispose()
    {
        _store.Dispose();
        _meter.Dispose();
    }

    private string Text => Encoding.UTF8.GetString(_store.Write());

    [Fact]
    public void A_counter_adds_up_per_set_of_labels()
    {
        var counter = _meter.CreateCounter<long>("a_total", null, "Things.");
        counter.Add(0);
        counter.Add(2, Tag("code", "x"));
        counter.Add(3, Tag("code", "x"));
        counter.Add(1, Tag("code", "y"), Tag("method", "m"));

        Assert.Equal("# HELP a_total Things.\n# TYPE a_total counter\na_total 0\na_total{code=\"x\"} 5\na_total{code=\"y\",method=\"m\"} 1\n", Text);
    }

    [Fact]
    public void A_histogram_counts_what_is_at_most_a_bound()
    {
        var histogram = _meter.CreateHistogram("h_seconds", "s", "Time.", null, Bounds);
        foreach (var value in new[] { 0.25, 0.5, 0.75, 100 }) histogram.Record(value, Tag("kind", "k"));

        Assert.Equal(
            """
            # HELP h_seconds Time.
            # TYPE h_seconds histogram
            h_seconds_bucket{kind="k",le="0.5"} 2
            h_seconds_bucket{kind="k",le="1"} 3
            h_seconds_bucket{kind="k",le="10"} 3
            h_seconds_bucket{kind="k",le="+Inf"} 4
            h_seconds_sum{kind="k"} 101.5
            h_seconds_count{kind="k"} 4

            """.ReplaceLineEndings("\n"), Text);
    }

    [Fact]
    public void What_is_observed_is_as_it_is_when_asked_for()
    {
        var ready = new Dictionary<string, long> { ["a"] = 1, ["b"] = 0 };
        var asked = 0;
        _meter.CreateObservableGauge("ready", () =>
        {
            asked++;
            return ready.Select(pair => new Measurement<long>(pair.Value, Tag("name", pair.Key)));
        }, null, "Ready.");
        _meter.CreateObservableCounter("restarts_total", () => 7.5, null, "Restarts.");
        Assert.Equal(0, asked); // nothing is done while nobody looks

        Assert.Contains("ready{name=\"a\"} 1\nready{name=\"b\"} 0\n", Text, StringComparison.Ordinal);
        ready.Remove("b");

        var text = Text;
        Assert.DoesNotContain("name=\"b\"", text, StringComparison.Ordinal);
        Assert.Contains("# TYPE restarts_total counter\nrestarts_total 7.5\n", text, StringComparison.Ordinal); // told as a whole each time, not added up
    }

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("a\"b", "a\\\"b")]
    [InlineData("a\\b", "a\\\\b")]
    [InlineData("a\nb", "a\\nb")]
    [InlineData("Grüße 🙂", "Grüße 🙂")]
    public void Labels_are_escaped(string value, string escaped)
    {
        _meter.CreateCounter<long>("e_total", null, "Quotes \" stay, \\ and\nlines do not.").Add(1, Tag("l", value));

        Assert.Equal($"# HELP e_total Quotes \" stay, \\\\ and\\nlines do not.\n# TYPE e_total counter\ne_total{{l=\"{escaped}\"}} 1\n", Text);
    }

    [Theory]
    [InlineData(double.PositiveInfinity, "+Inf")]
    [InlineData(double.NegativeInfinity, "-Inf")]
    [InlineData(double.NaN, "NaN")]
    [InlineData(1e21, "1E+21")]
    [InlineData(0.1, "0.1")]
    [InlineData(-3, "-3")]
    public void Numbers_are_those_of_the_format(double value, string text)
    {
        _meter.CreateObservableGauge("g", () => value, null, "G.");

        Assert.EndsWith($"\ng {text}\n", Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Families_stand_in_the_order_of_their_names_and_those_of_other_meters_do_not()
    {
        using var other = new Meter("Test"); // the name does not decide
        other.CreateCounter<long>("other_total", null, "No.").Add(1);
        foreach (var name in new[] { "c_total", "a_total", "b_total" }) _meter.CreateCounter<long>(name, null, "N.").Add(1);

        Assert.Equal(["a_total", "b_total", "c_total"], Text.Split('\n').Where(line => line.StartsWith("# TYPE", StringComparison.Ordinal)).Select(line => line.Split(' ')[2]));
    }

    [Fact]
    public void A_label_that_never_repeats_does_not_eat_the_memory()
    {
        var counter = _meter.CreateCounter<long>("many_total", null, "Many.");
        for (var i = 0; i < MetricFamily.MaxSeries + 100; i++) counter.Add(1, Tag("i", i));

        Assert.Equal(MetricFamily.MaxSeries, Text.Split('\n').Count(line => line.StartsWith("many_total{", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task Threads_may_count_while_others_read()
    {
        var counter = _meter.CreateCounter<long>("t_total", null, "T.");
        var histogram = _meter.CreateHistogram("t_seconds", "s", "T.", null, Bounds);
        var cancellation = TestContext.Current.CancellationToken;
        var writers = Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            for (var i = 0; i < 10_000; i++)
            {
                counter.Add(1, Tag("thread", thread));
                histogram.Record(i % 20);
            }
        }, cancellation));
        var all = Task.WhenAll(writers);
        while (!all.IsCompleted) Assert.Contains("# TYPE t_total counter", Text, StringComparison.Ordinal);
        await all;

        Assert.Contains("t_total{thread=\"3\"} 10000\n", Text, StringComparison.Ordinal);
        Assert.Contains("t_seconds_count 40000\n", Text, StringComparison.Ordinal);
    }

    private static KeyValuePair<string, object?> Tag(string name, object value) => new(name, value);
}

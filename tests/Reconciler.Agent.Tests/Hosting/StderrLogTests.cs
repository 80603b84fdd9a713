using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Hosting;
using Reconciler.Core.Model;

namespace Reconciler.Agent.Tests.Hosting;

public sealed partial class StderrLogTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 4, 5, 6, 7, 89, TimeSpan.Zero);

    [Fact]
    public void Text_is_one_line_of_time_level_and_message() =>
        Assert.Equal("2026-03-04T05:06:07.089Z WARN  shop/web/app: could not start x (Crashed): no such file\n", Logged(LogFormat.Text, logger =>
            LogFailed(logger, new IOException("no such\nfile"), ResourceKey.Container("shop", "web", "app"), "start x", "Crashed")));

    [Fact]
    public void Json_is_one_object_per_line_with_the_values_of_the_message()
    {
        var line = Logged(LogFormat.Json, logger =>
            LogFailed(logger, new IOException("no such\nfile"), ResourceKey.Container("shop", "web", "app"), "start x", "Crashed"));

        Assert.Equal(1, line.Count(c => c == '\n'));
        using var json = JsonDocument.Parse(line);
        var root = json.RootElement;
        Assert.Equal(["time", "level", "event", "name", "category", "message", "fields", "exception"], root.EnumerateObject().Select(field => field.Name));
        Assert.Equal("2026-03-04T05:06:07.089Z", root.GetProperty("time").GetString());
        Assert.Equal("warn", root.GetProperty("level").GetString());
        Assert.Equal(77, root.GetProperty("event").GetInt32());
        Assert.Equal("LogFailed", root.GetProperty("name").GetString());
        Assert.Equal("Shop.Test", root.GetProperty("category").GetString());
        Assert.Equal("shop/web/app: could not start x (Crashed)", root.GetProperty("message").GetString());
        Assert.Equal("{\"key\":\"shop/web/app\",\"action\":\"start x\",\"reason\":\"Crashed\"}", root.GetProperty("fields").GetRawText());
        var exception = root.GetProperty("exception");
        Assert.Equal("System.IO.IOException", exception.GetProperty("type").GetString());
        Assert.Equal("no such\nfile", exception.GetProperty("message").GetString());
        Assert.StartsWith("System.IO.IOException: no such\nfile", exception.GetProperty("stack").GetString(), StringComparison.Ordinal);
    }

    public static TheoryData<object?, string> Values => new()
    {
        { null, "null" },
        { true, "true" },
        { 7, "7" },
        { (byte)7, "7" },
        { long.MinValue, "-9223372036854775808" },
        { ulong.MaxValue, "18446744073709551615" },
        { 0.25, "0.25" },
        { double.NaN, "\"NaN\"" },
        { TimeSpan.FromMilliseconds(1500), "1.5" },
        { Now, "\"2026-03-04T05:06:07.0890000Z\"" },
        { new[] { "a", "b" }, "[\"a\",\"b\"]" },
        { "two\nlines \"quoted\" \u0001 und Ü", "\"two\\nlines \\\"quoted\\\" \\u0001 und Ü\"" },
        { LogLevel.Debug, "\"Debug\"" },
    };

    [Theory]
    [MemberData(nameof(Values))]
    public void A_value_keeps_its_kind(object? value, string text)
    {
        using var json = JsonDocument.Parse(Logged(LogFormat.Json, logger => LogValue(logger, value)));

        Assert.Equal(text, json.RootElement.GetProperty("fields").GetProperty("value").GetRawText());
    }

    [Fact]
    public void Half_a_character_makes_no_broken_line()
    {
        using var json = JsonDocument.Parse(Logged(LogFormat.Json, logger => LogValue(logger, "a\ud800b")));

        Assert.Equal("a\ufffdb", json.RootElement.GetProperty("fields").GetProperty("value").GetString());
    }

    [Theory]
    [InlineData(LogLevel.Trace, "trace")]
    [InlineData(LogLevel.Debug, "debug")]
    [InlineData(LogLevel.Information, "info")]
    [InlineData(LogLevel.Warning, "warn")]
    [InlineData(LogLevel.Error, "error")]
    [InlineData(LogLevel.Critical, "critical")]
    public void Levels_are_named_as_the_flag_names_them(LogLevel level, string name)
    {
        var line = Logged(LogFormat.Json, logger => logger.Log(level, default, "said", null, (text, _) => text));

        using var json = JsonDocument.Parse(line);
        Assert.Equal(["time", "level", "category", "message"], json.RootElement.EnumerateObject().Select(field => field.Name)); // nothing of what it lacks
        Assert.Equal(name, json.RootElement.GetProperty("level").GetString());
    }

    private static string Logged(LogFormat format, Action<ILogger> log)
    {
        using var text = new StringWriter { NewLine = "\n" };
        using var provider = new StderrLog(text, new FakeTimeProvider(Now), format == LogFormat.Json ? LogLevel.Trace : LogLevel.Information, false, format);
        log(provider.CreateLogger("Shop.Test"));
        return text.ToString();
    }

    [LoggerMessage(77, LogLevel.Warning, "{Key}: could not {Action} ({Reason})")]
    private static partial void LogFailed(ILogger logger, Exception error, ResourceKey key, string action, string reason);

    [LoggerMessage(78, LogLevel.Information, "value {Value}")]
    private static partial void LogValue(ILogger logger, object? value);
}

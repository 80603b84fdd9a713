using System.Buffers;
using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging;

namespace Reconciler.Agent.Hosting;

/// <summary>
/// A log event as one JSON object: <c>time</c> (UTC, RFC 3339), <c>level</c> (as <c>--log-level</c> has it, and <c>critical</c>), <c>event</c> (number),
/// <c>name</c>, <c>category</c>, <c>message</c> (what the text form says), <c>fields</c> (the values in the message, durations in seconds) and
/// <c>exception</c> (<c>type</c>, <c>message</c>, <c>stack</c>). What an event does not have is left out.
/// </summary>
internal static class JsonLine
{
    private const string Template = "{OriginalFormat}";

    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="time">When it happened.</param>
    /// <param name="level">Any but None.</param>
    /// <param name="id">Number and name; zero and null = none.</param>
    /// <param name="category">The logger's name.</param>
    /// <param name="message">The finished text.</param>
    /// <param name="state">Its values by name, as <c>LoggerMessage</c> has them; others are left out.</param>
    /// <param name="exception">Null = none.</param>
    public static string Of(DateTimeOffset time, LogLevel level, EventId id, string category, string message, object? state, Exception? exception)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer, Options))
        {
            json.WriteStartObject();
            json.WriteString("time", time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            json.WriteString("level", NameOf(level));
            if (id.Id != 0) json.WriteNumber("event", id.Id);
            if (id.Name is { Length: > 0 } name) json.WriteString("name", name);
            json.WriteString("category", category);
            json.WriteString("message", message);
            if (state is IReadOnlyList<KeyValuePair<string, object?>> values) WriteFields(json, values);
            if (exception is not null) WriteException(json, exception);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static string NameOf(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "error",
        _ => "critical",
    };

    private static void WriteFields(Utf8JsonWriter json, IReadOnlyList<KeyValuePair<string, object?>> values)
    {
        if (!values.Any(value => value.Key != Template)) return;
        json.WriteStartObject("fields");
        foreach (var (name, value) in values)
        {
            if (name == Template) continue;
            json.WritePropertyName(char.ToLowerInvariant(name[0]) + name[1..]);
            WriteValue(json, value);
        }
        json.WriteEndObject();
    }

    private static void WriteValue(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null:
                json.WriteNullValue();
                break;
            case bool flag:
                json.WriteBooleanValue(flag);
                break;
            case sbyte or byte or short or ushort or int or uint or long:
                json.WriteNumberValue(Convert.ToInt64(value, CultureInfo.InvariantCulture));
                break;
            case ulong large:
                json.WriteNumberValue(large);
                break;
            case float or double when double.IsFinite(Convert.ToDouble(value, CultureInfo.InvariantCulture)):
                json.WriteNumberValue(Convert.ToDouble(value, CultureInfo.InvariantCulture));
                break;
            case TimeSpan duration:
                json.WriteNumberValue(duration.TotalSeconds);
                break;
            case DateTimeOffset time:
                json.WriteStringValue(time.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
                break;
            case IEnumerable list and not string:
                json.WriteStartArray();
                foreach (var item in list) WriteValue(json, item);
                json.WriteEndArray();
                break;
            default:
                json.WriteStringValue(Convert.ToString(value, CultureInfo.InvariantCulture));
                break;
        }
    }

    private static void WriteException(Utf8JsonWriter json, Exception exception)
    {
        json.WriteStartObject("exception");
        json.WriteString("type", exception.GetType().FullName);
        json.WriteString("message", exception.Message);
        json.WriteString("stack", exception.ToString());
        json.WriteEndObject();
    }
}

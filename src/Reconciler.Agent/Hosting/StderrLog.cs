using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Reconciler.Agent.Hosting;

/// <summary>
/// One line per event. Text: UTC time, level, message; an exception's text follows on the same line, at debug level with its stack below. JSON:
/// <see cref="JsonLine"/>.
/// </summary>
public sealed class StderrLog(TextWriter error, TimeProvider time, LogLevel minimum, bool color, LogFormat format = LogFormat.Text) : ILoggerProvider
{
    private readonly Lock _lock = new();

    public ILogger CreateLogger(string categoryName) =>
        new Logger(this, categoryName, categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? LogLevel.Warning : minimum);

    public void Dispose()
    {
        // the writer is the caller's
    }

    private string TextLine(LogLevel level, string message, Exception? exception)
    {
        var (name, paint) = level switch
        {
            LogLevel.Trace => ("TRACE", "2"),
            LogLevel.Debug => ("DEBUG", "2"),
            LogLevel.Information => ("INFO ", ""),
            LogLevel.Warning => ("WARN ", "33"),
            _ => ("ERROR", "31"),
        };
        if (color && paint.Length > 0) name = $"\e[{paint}m{name}\e[0m";
        var now = time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        var line = $"{now} {name} {message.ReplaceLineEndings(" ")}";
        if (exception is null) return line;
        return line + (minimum <= LogLevel.Debug ? $"\n{exception}" : $": {exception.Message.ReplaceLineEndings(" ")}");
    }

    private sealed class Logger(StderrLog log, string category, LogLevel minimum) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= minimum && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!IsEnabled(logLevel)) return;
            var message = formatter(state, exception);
            var line = log.Format == LogFormat.Json
                ? JsonLine.Of(log.Now, logLevel, eventId, category, message, state, exception)
                : log.TextLine(logLevel, message, exception);
            lock (log._lock) log.Error.WriteLine(line);
        }
    }

    private LogFormat Format => format;

    private DateTimeOffset Now => time.GetUtcNow();

    private TextWriter Error => error;
}

using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Reconciler.Agent.Hosting;

/// <summary>One line per event: UTC time, level, message; an exception's text follows on the same line at debug level only with its stack below.</summary>
public sealed class StderrLog(TextWriter error, TimeProvider time, LogLevel minimum, bool color) : ILoggerProvider
{
    private readonly Lock _lock = new();

    public ILogger CreateLogger(string categoryName) =>
        new Logger(this, categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? LogLevel.Warning : minimum);

    public void Dispose()
    {
        // the writer is the caller's
    }

    private void Write(LogLevel level, string message, Exception? exception)
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
        if (exception is not null) line += minimum <= LogLevel.Debug ? $"\n{exception}" : $": {exception.Message.ReplaceLineEndings(" ")}";
        lock (_lock) error.WriteLine(line);
    }

    private sealed class Logger(StderrLog log, LogLevel minimum) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= minimum && logLevel != LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel)) log.Write(logLevel, formatter(state, exception), exception);
        }
    }
}

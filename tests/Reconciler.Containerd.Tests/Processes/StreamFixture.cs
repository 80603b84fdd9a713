using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Processes;

/// <summary>A client with a FIFO folder of its own, of which in the end no file and no descriptor may be left.</summary>
public abstract class StreamFixture(SharedDaemon shared) : IAsyncLifetime
{
    private readonly TempFolder _fifos = new();
    private readonly WarningLog _log = new();

    protected static CancellationToken Stop => TestContext.Current.CancellationToken;

    protected static StopOptions AtOnce { get; } = new() { Grace = TimeSpan.Zero };

    internal RpcRecorder Recorder { get; } = new();

    protected SharedDaemon Shared => shared;

    protected ContainerdClient Client { get; private set; } = null!;

    protected ContainerdClientOptions Options => SharedDaemon.OptionsFor(shared.Daemon) with { FifoDirectory = _fifos.Path, Logger = _log };

    protected IReadOnlyList<string> Warnings => _log.Lines;

    protected string Fifos => _fifos.Path;

    public async ValueTask InitializeAsync() => Client = await ContainerdClient.OpenAsync(Options, Recorder, Stop);

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        var left = Left();
        _fifos.Dispose();
        Assert.Empty(left);
        GC.SuppressFinalize(this);
    }

    protected void AssertNothingLeft()
    {
        Assert.Empty(Left());
        Assert.True(Client.HasNoStreams);
    }

    protected static async Task<string> ReadAsync(Pipe pipe)
    {
        using var reader = new StreamReader(pipe.Reader.AsStream(), Encoding.UTF8);
        return await reader.ReadToEndAsync(Stop).WaitAsync(Scripts.Long, Stop);
    }

    /// <summary>Reads until a text has come, and returns all up to its end.</summary>
    protected static async Task<string> ReadToAsync(Pipe pipe, string text)
    {
        var read = new StringBuilder();
        while (!read.ToString().EndsWith(text, StringComparison.Ordinal))
        {
            var result = await pipe.Reader.ReadAsync(Stop).AsTask().WaitAsync(Scripts.Long, Stop);
            Assert.False(result.Buffer.IsEmpty, $"\"{text}\" did not come, but only: {read}");
            read.Append((char)result.Buffer.First.Span[0]);
            pipe.Reader.AdvanceTo(result.Buffer.GetPosition(1));
        }
        return read.ToString();
    }

    /// <summary>Comes to the end of a pipe whose process was not started; it may say so.</summary>
    protected static async Task EndAsync(Pipe pipe)
    {
        try
        {
            var result = await pipe.Reader.ReadAsync(Stop).AsTask().WaitAsync(Scripts.Long, Stop);
            Assert.True(result is { IsCompleted: true, Buffer.IsEmpty: true });
        }
        catch (Exception e) when (e is IOException or ContainerdException or OperationCanceledException)
        {
            Assert.False(Stop.IsCancellationRequested);
        }
    }

    protected static async Task WriteAsync(Pipe pipe, string text) => await pipe.Writer.WriteAsync(Encoding.UTF8.GetBytes(text), Stop);

    /// <summary>Files in the FIFO folder, and descriptors of this process that lead there.</summary>
    private List<string> Left()
    {
        var left = new List<string>(Directory.GetFileSystemEntries(_fifos.Path));
        foreach (var link in Directory.GetFileSystemEntries("/proc/self/fd"))
        {
            if (TargetOf(link) is { } target && target.StartsWith(_fifos.Path, StringComparison.Ordinal)) left.Add(target);
        }
        return left;
    }

    private static string? TargetOf(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget;
        }
        catch (IOException)
        {
            return null; // of another test, closed meanwhile
        }
    }

    private sealed class WarningLog : ILogger
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> Lines
        {
            get
            {
                lock (_lines) return [.. _lines];
            }
        }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines) _lines.Add($"{formatter(state, exception)} {exception}");
        }
    }
}

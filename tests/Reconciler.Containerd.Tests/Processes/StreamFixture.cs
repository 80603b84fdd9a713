using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
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

    /// <summary>The numbers from 1 to 2,000,000, a line each.</summary>
    protected static byte[] Numbers { get; } = Count();

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

    /// <summary>What a process has written once it does not get on any more.</summary>
    protected static async Task<long> WrittenOnceBlockedAsync(int pid)
    {
        var (written, same) = (-1L, 0);
        await Eventually.UntilAsync(
            () =>
            {
                var now = Written(pid);
                same = now == written && now > 0 ? same + 1 : 0;
                written = now;
                return same >= 5;
            },
            "the process waits for its reader");
        return written;
    }

    private static long Written(int pid)
    {
        // The thread's own: the process's counts what its children wrote.
        var line = File.ReadLines($"/proc/{pid}/task/{pid}/io").First(line => line.StartsWith("wchar:", StringComparison.Ordinal));
        return long.Parse(line["wchar:".Length..], CultureInfo.InvariantCulture);
    }

    /// <summary>Bytes of the first lines of <see cref="Numbers"/>.</summary>
    protected static int Length(int lines) => Numbers.AsSpan().IndexOf(Encoding.ASCII.GetBytes($"\n{lines + 1}\n")) + 1;

    private static byte[] Count()
    {
        var text = new MemoryStream();
        Span<byte> digits = stackalloc byte[10];
        for (var i = 1; i <= 2_000_000; i++)
        {
            Assert.True(Utf8Formatter.TryFormat(i, digits, out var length));
            text.Write(digits[..length]);
            text.WriteByte((byte)'\n');
        }
        return text.ToArray();
    }

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

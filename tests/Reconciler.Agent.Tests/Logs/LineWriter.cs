using System.Diagnostics;
using System.Globalization;
using System.Text;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Logs;

/// <summary>A process of its own that appends numbered lines as fast as a shell can, with O_APPEND as a shim does.</summary>
internal sealed class LineWriter : IDisposable
{
    private readonly Process _process;

    public LineWriter(string path)
    {
        _process = Process.Start(new ProcessStartInfo("/bin/sh",
            ["-c", "exec >>\"$0\"; i=1; while :; do echo \"line $i of a log that is cut while it is written\"; i=$((i+1)); done", path]))!;
    }

    public int Pid => _process.Id;

    /// <summary>Kills it; what it wrote until then stays.</summary>
    public async Task StopAsync()
    {
        if (_process.HasExited) return;
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Nothing is written meanwhile, so that a slow machine does not fill its disk.</summary>
    public void Pause() => Signals.Send(Pid, Signals.Stop);

    public void Resume() => Signals.Send(Pid, Signals.Continue);

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }

    public static string Line(long number) => string.Create(CultureInfo.InvariantCulture, $"line {number} of a log that is cut while it is written\n");

    /// <summary>Number of lines in it; fails where one is missing, doubled or broken. Its last line may be unfinished.</summary>
    public static long Check(ReadOnlySpan<byte> log, long first = 1)
    {
        var checker = new LineChecker(first);
        checker.Add(log);
        return checker.Next - first;
    }
}

/// <summary>Checks a log that comes in parts: every line once, in order.</summary>
internal sealed class LineChecker(long first = 1)
{
    private byte[] _expected = Encoding.ASCII.GetBytes(LineWriter.Line(first));
    private int _matched;

    /// <summary>Number of the line that is not complete yet.</summary>
    public long Next { get; private set; } = first;

    public void Add(ReadOnlySpan<byte> part)
    {
        while (!part.IsEmpty)
        {
            var length = Math.Min(_expected.Length - _matched, part.Length);
            if (!part[..length].SequenceEqual(_expected.AsSpan(_matched, length)))
                Assert.Fail($"in line {Next}, after {_matched} bytes of it: found '{Encoding.ASCII.GetString(part[..Math.Min(60, part.Length)])}'");
            part = part[length..];
            _matched += length;
            if (_matched < _expected.Length) return;
            Next++;
            _matched = 0;
            _expected = Encoding.ASCII.GetBytes(LineWriter.Line(Next));
        }
    }
}

using System.Text;
using Microsoft.Win32.SafeHandles;
using Reconciler.Agent.Hosting;

namespace Reconciler.Agent.Commands;

/// <summary>Where a command reads and writes: results go to <see cref="Out"/>, everything else to <see cref="Error"/>.</summary>
public sealed record CliConsole(TextWriter Out, TextWriter Error)
{
    /// <summary>Looks up an environment variable; null or empty = not set.</summary>
    public Func<string, string?> Variable { get; init; } = Environment.GetEnvironmentVariable;

    /// <summary>Read where no other config file is named, if it is there; null = none.</summary>
    public string? DefaultConfig { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Log files are bytes of any kind; null = write them to <see cref="Out"/> as UTF-8.</summary>
    public Stream? OutBytes { get; init; }

    /// <summary>Standard input for <c>exec -i</c>; null = none.</summary>
    public Stream? InBytes { get; init; }

    /// <summary>Standard error as bytes; null = write them to <see cref="Error"/> as UTF-8.</summary>
    public Stream? ErrorBytes { get; init; }

    /// <summary>Colours are wanted: a terminal, and NO_COLOR is not set.</summary>
    public bool Color { get; init; }

    /// <summary>Colours are wanted on <see cref="Out"/>.</summary>
    public bool ColorOut { get; init; }

    /// <summary>Standard error is a terminal on which lines can be drawn over.</summary>
    public bool Live { get; init; }

    /// <summary>The process's own streams, without a byte order mark.</summary>
    public static CliConsole OfProcess()
    {
        var utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        var stdout = Console.OpenStandardOutput();
        var able = Environment.GetEnvironmentVariable("TERM") is not ("dumb" or "" or null);
        var colors = able && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        return new CliConsole(
            new StreamWriter(stdout, utf8) { AutoFlush = true },
            TextWriter.Synchronized(new StreamWriter(Console.OpenStandardError(), utf8) { AutoFlush = true }))
        {
            DefaultConfig = Settings.DefaultConfig,
            OutBytes = stdout,
            // Not Console's: on a terminal that one edits lines by itself.
            InBytes = new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0),
            ErrorBytes = Console.OpenStandardError(),
            Color = colors && !Console.IsErrorRedirected,
            ColorOut = colors && !Console.IsOutputRedirected,
            Live = able && !Console.IsErrorRedirected,
        };
    }
}

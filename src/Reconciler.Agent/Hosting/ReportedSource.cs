using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Reconciler.Agent.State;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Hosting;

/// <summary>Passes a source's states on, and tells people what is new about its doubts and problems.</summary>
internal sealed partial class ReportedSource(IDesiredSource inner, StateSink sink, ILogger<ReportedSource> logger) : IDesiredSource
{
    private string _doubt = "";
    private HashSet<Problem> _told = [];

    public string Name => inner.Name;

    /// <summary>Its newest state; null = none yet.</summary>
    public SourceState? Last { get; private set; }

    public async IAsyncEnumerable<SourceState> WatchAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var state in inner.WatchAsync(cancellation))
        {
            Last = state;
            Tell(state);
            yield return state;
        }
    }

    private void Tell(SourceState state)
    {
        if (state.Doubt != _doubt)
        {
            if (state.Doubt.Length > 0) LogDoubt(Name, state.Doubt);
            else LogSynced(Name);
            _doubt = state.Doubt;
        }
        foreach (var problem in state.Problems)
        {
            if (_told.Contains(problem)) continue;
            if (problem.Warning) LogRemark(problem);
            else LogProblem(problem);
        }
        _told = [.. state.Problems];
        var lines = state.Problems.Where(problem => !problem.Warning).Select(problem => problem.ToString());
        sink.SetProblems(Name, [.. state.Doubt.Length > 0 ? lines.Prepend($"{Name}: {state.Doubt}") : lines]);
    }

    [LoggerMessage(1201, LogLevel.Warning, "{Source}: {Doubt}; its last good state stays, and nothing is removed on its account")]
    private partial void LogDoubt(string source, string doubt);

    [LoggerMessage(1202, LogLevel.Information, "{Source}: can be read again")]
    private partial void LogSynced(string source);

    [LoggerMessage(1203, LogLevel.Warning, "{Problem}")]
    private partial void LogProblem(Problem problem);

    [LoggerMessage(1204, LogLevel.Information, "{Problem}")]
    private partial void LogRemark(Problem problem);
}

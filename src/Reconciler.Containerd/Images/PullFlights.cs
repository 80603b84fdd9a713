using Microsoft.Extensions.Logging;
using Reconciler.Containerd.Api.Images;

namespace Reconciler.Containerd.Images;

/// <summary>One running pull per key: later callers join it, and it is cancelled when the last one has left.</summary>
internal sealed class PullFlights(TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>How long the last caller that leaves waits for the tidying up, which goes on behind it.</summary>
    private static readonly TimeSpan LeaveLimit = TimeSpan.FromMilliseconds(700);
    private static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(60);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Flight> _joinable = new(StringComparer.Ordinal);
    private readonly HashSet<Flight> _all = [];
    private bool _closed;

    /// <param name="key">Pulls with equal keys are one.</param>
    /// <param name="image">Its name, for the progress.</param>
    /// <param name="listener">Gets the progress while this caller waits.</param>
    /// <param name="pull">Runs the pull if none is under way.</param>
    /// <param name="cancellation">Ends this caller's waiting.</param>
    public async Task<Image> JoinAsync(
        string key,
        string image,
        Action<IReadOnlyList<ProgressInfo>>? listener,
        Func<PullProgress, CancellationToken, Task<Image>> pull,
        CancellationToken cancellation)
    {
        var flight = Enter(key, image, pull);
        if (listener is not null) flight.Progress.Add(listener);
        try
        {
            flight.Start();
            return await flight.Ended.Task.WaitAsync(cancellation);
        }
        finally
        {
            if (listener is not null) flight.Progress.Remove(listener);
            if (Leave(key, flight))
            {
                await flight.Stop.CancelAsync();
                await Task.WhenAny(flight.Ended.Task, Task.Delay(LeaveLimit, time, CancellationToken.None));
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        List<Flight> all;
        lock (_lock)
        {
            _closed = true;
            all = [.. _all];
        }
        foreach (var flight in all) await flight.Stop.CancelAsync();
        await Task.WhenAny(Task.WhenAll(all.Select(flight => flight.Ended.Task)), Task.Delay(CloseLimit, time, CancellationToken.None));
    }

    private Flight Enter(string key, string image, Func<PullProgress, CancellationToken, Task<Image>> pull)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(ContainerdClient));
            if (!_joinable.TryGetValue(key, out var flight))
            {
                flight = new Flight(new PullProgress(image, time, logger), pull, ended => Forget(key, ended));
                _joinable[key] = flight;
                _all.Add(flight);
            }
            flight.Callers++;
            return flight;
        }
    }

    /// <returns>True = the pull goes on for nobody.</returns>
    private bool Leave(string key, Flight flight)
    {
        lock (_lock)
        {
            if (--flight.Callers > 0) return false;
            if (_joinable.GetValueOrDefault(key) == flight) _joinable.Remove(key);
            return !flight.Ended.Task.IsCompleted;
        }
    }

    private void Forget(string key, Flight flight)
    {
        lock (_lock)
        {
            if (_joinable.GetValueOrDefault(key) == flight) _joinable.Remove(key);
            _all.Remove(flight);
        }
    }

    private sealed class Flight(PullProgress progress, Func<PullProgress, CancellationToken, Task<Image>> pull, Action<Flight> forget)
    {
        private int _started;

        public PullProgress Progress => progress;

        public CancellationTokenSource Stop { get; } = new();

        public TaskCompletionSource<Image> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int Callers { get; set; }

        public void Start()
        {
            if (Interlocked.Exchange(ref _started, 1) == 0) _ = RunAsync();
        }

        private async Task RunAsync()
        {
            await Task.Yield();
            using var shown = new CancellationTokenSource();
            var showing = progress.RunAsync(shown.Token);
            Image? image = null;
            Exception? failure = null;
            try
            {
                image = await pull(progress, Stop.Token);
            }
#pragma warning disable CA1031 // handed to every caller below
            catch (Exception e)
#pragma warning restore CA1031
            {
                failure = e;
            }
            await shown.CancelAsync();
            await showing;
            progress.End(failure is null or OperationCanceledException ? null : failure.Message);
            forget(this);
            if (image is not null) Ended.SetResult(image);
            else if (failure is OperationCanceledException) Ended.SetCanceled(Stop.Token);
            else
            {
                Ended.SetException(failure!);
                _ = Ended.Task.Exception; // the callers may all have left
            }
        }
    }
}

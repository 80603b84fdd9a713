using System.Collections.Concurrent;
using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Reconciler.Containerd;

/// <content>Tidying up behind pulls.</content>
public sealed partial class ContainerdClient
{
    private static readonly TimeSpan TidyTimeout = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<Task, byte> _tidying = new();

    /// <summary>
    /// A call that tidies up: with a deadline of its own, also while the client closes. It never fails.
    /// </summary>
    /// <param name="call">The call.</param>
    /// <param name="what">What it does, for the log.</param>
    /// <param name="again">While the daemon is away it is repeated, behind the caller's back.</param>
    /// <param name="inDoubt">What it removes may come into being a moment later: it is repeated once in any case.</param>
    internal async Task TidyAsync(Func<CallOptions, Task> call, string what, bool again = true, bool inDoubt = false)
    {
        var tidy = await IsTidyAsync(call, what);
        if (!again || (tidy && !inDoubt)) return;
        var later = TidyLaterAsync(call, what, tidy ? Options.Limits.Doubt : FirstDelay);
        _tidying[later] = 0;
        _ = later.ContinueWith(ended => _tidying.TryRemove(ended, out _), TaskScheduler.Default);
    }

    private async Task TidyLaterAsync(Func<CallOptions, Task> call, string what, TimeSpan delay)
    {
        var began = Time.GetTimestamp();
        try
        {
            while (Time.GetElapsedTime(began) < Options.Limits.Tidy)
            {
                await Task.Delay(delay, Time, _closing.Token);
                if (await IsTidyAsync(call, what)) return;
                delay = Longer(delay);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            if (await IsTidyAsync(call, what)) return; // the client closes: the last try
        }
        LogUntidy(what);
    }

    /// <returns>False = the daemon did not answer.</returns>
    private async Task<bool> IsTidyAsync(Func<CallOptions, Task> call, string what)
    {
        try
        {
            await call(Call(CancellationToken.None, Options.CallTimeout < TidyTimeout ? Options.CallTimeout : TidyTimeout));
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
        }
        catch (RpcException e) when (Errors.IsDeadline(e) || Errors.IsConnectionLost(e))
        {
            return false;
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException or InvalidOperationException)
        {
            LogTidyFailed(e, what);
        }
        return true;
    }

    private Task StopTidyingAsync() => Task.WhenAll(_tidying.Keys);

    [LoggerMessage(30, LogLevel.Warning, "After a pull: {What} failed; containerd's garbage collection takes it later")]
    private partial void LogTidyFailed(Exception error, string what);

    [LoggerMessage(31, LogLevel.Warning, "After a pull: the daemon did not answer to {What}; its garbage collection takes it later")]
    private partial void LogUntidy(string what);
}

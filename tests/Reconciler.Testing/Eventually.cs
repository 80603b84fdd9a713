namespace Reconciler.Testing;

/// <summary>Waiting for what no event tells; the limit is generous because machines are slow at times, and never a measure of speed.</summary>
public static class Eventually
{
    public static readonly TimeSpan DefaultLimit = TimeSpan.FromSeconds(90);

    public static Task UntilAsync(Func<bool> condition, string what, TimeSpan? limit = null) =>
        UntilAsync(() => Task.FromResult(condition()), what, limit);

    public static async Task UntilAsync(Func<Task<bool>> condition, string what, TimeSpan? limit = null)
    {
        using var deadline = new CancellationTokenSource(limit ?? DefaultLimit);
        while (!await condition())
        {
            if (deadline.IsCancellationRequested) throw new TimeoutException($"Waited {limit ?? DefaultLimit} for: {what}");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    /// <summary>The first value that is not null.</summary>
    public static async Task<T> GetAsync<T>(Func<Task<T?>> probe, string what, TimeSpan? limit = null) where T : class
    {
        T? value = null;
        await UntilAsync(async () => (value = await probe()) is not null, what, limit);
        return value!;
    }
}

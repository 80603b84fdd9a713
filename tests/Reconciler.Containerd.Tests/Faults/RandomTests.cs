using System.Collections.Concurrent;
using System.Globalization;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>Random operations on 20 containers under random faults; a model says what must be there.</summary>
public sealed class RandomTests
{
    private const int Workers = 4;

    [Fact]
    public async Task After_random_operations_and_faults_all_lists_equal_the_model()
    {
        var seed = Setting("RECONCILER_SEED", Random.Shared.Next());
        var operations = Setting("RECONCILER_OPERATIONS", 1000);
        var model = await RandomModel.StartAsync(seed);
        var left = operations;
        var failures = new ConcurrentQueue<Exception>();

        await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(new Random(seed + worker)))));
        if (failures.IsEmpty && await Record.ExceptionAsync(model.AssertListsAsync) is { } difference) failures.Enqueue(difference);
        // A broken model may be hard to end, and must not hide why it broke.
        if (await Record.ExceptionAsync(async () => await model.DisposeAsync()) is { } remains) failures.Enqueue(remains);

        Assert.True(failures.IsEmpty, $"RECONCILER_SEED={seed}, {operations - left} operations: {string.Join("\n\n", failures)}\n{model.History}");

        async Task WorkAsync(Random random)
        {
            while (failures.IsEmpty && Interlocked.Decrement(ref left) >= 0)
                if (await Record.ExceptionAsync(() => model.StepAsync(random)) is { } failure) failures.Enqueue(failure);
        }
    }

    private static int Setting(string name, int fallback) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : fallback;
}

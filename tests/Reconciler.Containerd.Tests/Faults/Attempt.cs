using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>One public call over a proxy, on a stage of its own.</summary>
internal sealed class Attempt(FaultBench bench, PublicCall call, Scene scene, CallProxy proxy, RpcRecorder recorder, ContainerdClient client) : IAsyncDisposable
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Scene Scene => scene;

    public CallProxy Proxy => proxy;

    /// <summary>The calls made since it began.</summary>
    public IReadOnlyList<string> Rpcs => recorder.Methods;

    /// <summary>The fault has begun.</summary>
    public Task Reached => _reached.Task;

    public static async Task<Attempt> StageAsync(FaultBench bench, PublicCall call, Func<ContainerdClientOptions, ContainerdClientOptions> change)
    {
        var scene = await bench.StageAsync(call);
        var proxy = bench.Proxy();
        var recorder = new RpcRecorder();
        var client = await ContainerdClient.OpenAsync(change(bench.Options(proxy.Address)), recorder, TestContext.Current.CancellationToken);
        recorder.Clear();
        return new Attempt(bench, call, scene, proxy, recorder, client);
    }

    /// <summary>Begins the call; the fault comes as the RPC is about to be sent for the given time, or at once where there is none.</summary>
    public Task RunAsync(string? rpc, int occurrence, Action<CallProxy> fault)
    {
        var left = occurrence;
        recorder.Before = name =>
        {
            if (name != rpc || Interlocked.Decrement(ref left) != 0) return;
            fault(proxy);
            _reached.TrySetResult();
        };
        if (rpc is null)
        {
            fault(proxy);
            _reached.TrySetResult();
        }
        return call.Run(client, scene, TestContext.Current.CancellationToken);
    }

    /// <summary>A success is one; a failure names the call and why it failed.</summary>
    /// <returns>Null = it succeeded.</returns>
    public async Task<ContainerdException?> JudgeAsync(Task running)
    {
        var error = await Record.ExceptionAsync(() => running);
        if (error is null)
        {
            if (call.Proof is not null) await call.Proof(bench.Healthy, scene);
            return null;
        }
        var told = Assert.IsAssignableFrom<ContainerdException>(error);
        Assert.True(told.IsUnavailable || told.IsTimeout || IsDoubleDelete(told) || FaultBench.IsOfContainerd(told), $"{call.Method}: {told}");
        Assert.Matches("^[a-z].*: .+|within", told.Message);
        return told;
    }

    public async ValueTask DisposeAsync()
    {
        await client.DisposeAsync();
        proxy.Dispose();
    }

    /// <summary>An answer got lost that said: removed. Whoever asks again hears that there is nothing.</summary>
    private static bool IsDoubleDelete(ContainerdException error) => error.IsNotfound;
}

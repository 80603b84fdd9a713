using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Containers;

/// <summary>Containers whose end the test decides.</summary>
internal static class Scripts
{
    public static readonly TimeSpan Long = TimeSpan.FromMinutes(2);

    /// <summary>Starts a container that ends with the code once <see cref="Let"/> is called.</summary>
    public static async Task<(string Id, int Pid)> HeldAsync(ContainerdClient client, int code)
    {
        var id = SharedDaemon.NewId();
        var script = $"touch /tmp/ready; while [ ! -e /tmp/go ]; do sleep 0.05; done; exit {code}";
        var pid = await client.CreateContainerAsync(SharedDaemon.Sh(id, script), TestContext.Current.CancellationToken);
        await Eventually.UntilAsync(() => File.Exists($"/proc/{pid}/root/tmp/ready"), "the script runs");
        return (id, pid);
    }

    public static void Let(int pid) => File.WriteAllText($"/proc/{pid}/root/tmp/go", "");
}

/// <summary>A stop hook that keeps what it is told.</summary>
internal sealed class HookLog
{
    private readonly List<(string Id, ExitMessage Exit)> _told = [];

    public IReadOnlyList<(string Id, ExitMessage Exit)> Told
    {
        get
        {
            lock (_told) return [.. _told];
        }
    }

    public Action? OnTold { get; init; }

    public Task TellAsync(string id, ExitMessage exit, CancellationToken cancellation)
    {
        OnTold?.Invoke();
        lock (_told) _told.Add((id, exit));
        return Task.CompletedTask;
    }

    public Task FirstAsync(string id) => Eventually.UntilAsync(() => Told.Any(told => told.Id == id), $"the hook is told of {id}");
}

using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests;

/// <summary>One containerd with a busybox image for all tests that neither stop it nor send it nonsense.</summary>
public sealed class SharedDaemon : IAsyncLifetime
{
    public const string Busybox = "example.test/busybox:1";

    public ContainerdDaemon Daemon { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Daemon = await ContainerdDaemon.StartPatientAsync();
        await ImportAsync(Daemon, TestImages.Busybox(), Busybox);
    }

    public ValueTask DisposeAsync() => Daemon.DisposeAsync();

    public static string NewId() => "c-" + Names.Unique();

    /// <summary>A busybox container that runs a script.</summary>
    public static Container Sh(string id, string script) => new() { Id = id, Image = Busybox, Command = ["sh", "-c", script] };

    public Task<ContainerdClient> ConnectAsync() => ConnectAsync(Daemon);

    public static Task<ContainerdClient> ConnectAsync(ContainerdDaemon daemon) =>
        ContainerdClient.ConnectAsync(OptionsFor(daemon), TestContext.Current.CancellationToken);

    internal static Task<ContainerdClient> ConnectAsync(ContainerdDaemon daemon, RpcRecorder recorder) =>
        ContainerdClient.OpenAsync(OptionsFor(daemon), recorder, TestContext.Current.CancellationToken);

    /// <summary>With the OCI runtime and the cgroups that the environment chooses: tests/vm has others than this machine.</summary>
    public static ContainerdClientOptions OptionsFor(ContainerdDaemon daemon) => new()
    {
        Address = daemon.Address,
        Namespace = daemon.Namespace,
        RuntimeBinary = Environment.GetEnvironmentVariable("RECONCILER_TEST_RUNTIME"),
        SystemdCgroup = Environment.GetEnvironmentVariable("RECONCILER_TEST_SYSTEMD_CGROUP") == "1",
    };

    public static async Task ImportAsync(ContainerdDaemon daemon, TestImage image, string name)
    {
        using var folder = new TempFolder();
        await File.WriteAllBytesAsync(folder["image.tar"], image.ToArchive(name));
        await daemon.CtrAsync("images", "import", folder["image.tar"]);
    }
}

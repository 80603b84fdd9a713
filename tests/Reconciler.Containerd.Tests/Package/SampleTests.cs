using System.Diagnostics;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Package;

/// <summary>The programs of samples/containerd, as built beside the tests.</summary>
public sealed class SampleTests(SharedDaemon shared) : IDisposable
{
    private readonly TempFolder _hosts = new();

    public void Dispose() => _hosts.Dispose();

    [Fact]
    public async Task RunContainer_passes_streams_and_exit_code_through()
    {
        await using var registry = await StartRegistryAsync();
        await registry.PushAsync(TestImages.Busybox(), "lib/busybox", "1");
        using var run = Start("RunContainer", shared.Daemon.Address, $"{registry.Host}/lib/busybox:1", "sh", "-c", "read x; echo got $x; echo err >&2; exit 7");
        await run.StandardInput.WriteLineAsync("input");
        run.StandardInput.Close();
        Assert.Equal(("got input\n", "err\n", 7), await EndAsync(run));
    }

    [Fact]
    public async Task PullWithProgress_shows_each_part_and_the_image()
    {
        await using var registry = await StartRegistryAsync();
        await registry.PushAsync(TestImages.Busybox(), "lib/progress", "1");
        using var pull = Start("PullWithProgress", shared.Daemon.Address, $"{registry.Host}/lib/progress:1");
        var (output, error, code) = await EndAsync(pull);
        Assert.Equal(("", 0), (error, code));
        Assert.Contains("layer-sha256:", output, StringComparison.Ordinal);
        Assert.Contains($"{registry.Host}/lib/progress:1 sha256:", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task PullWithProgress_says_what_is_wrong()
    {
        using var pull = Start("PullWithProgress", shared.Daemon.Address, "not an image");
        var (_, error, code) = await EndAsync(pull);
        Assert.Equal(1, code);
        Assert.Contains("not an image", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ExecInContainer_and_WatchExits_work_on_a_running_container()
    {
        await using var client = await shared.ConnectAsync();
        var id = SharedDaemon.NewId();
        using var watch = Start("WatchExits", shared.Daemon.Address);
        Assert.StartsWith("watching", await LineAsync(watch), StringComparison.Ordinal);
        await client.CreateContainerAsync(SharedDaemon.Sh(id, "exec sleep 1000"), TestContext.Current.CancellationToken);

        using var exec = Start("ExecInContainer", shared.Daemon.Address, id, "sh", "-c", "echo inside; exit 3");
        exec.StandardInput.Close();
        Assert.Equal(("inside\n", "", 3), await EndAsync(exec));

        await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.Zero }, TestContext.Current.CancellationToken);
        string? line;
        while ((line = await LineAsync(watch)) is not null && !line.StartsWith(id, StringComparison.Ordinal)) { } // the other tests' containers
        Assert.Equal($"{id} ended with 137", line);
        Testing.Signals.Send(watch.Id, Testing.Signals.Interrupt);
        Assert.Equal(0, (await EndAsync(watch)).Code);
    }

    private async Task<Registry> StartRegistryAsync()
    {
        var registry = await Registry.StartAsync();
        Directory.CreateDirectory(_hosts[registry.Host]);
        await File.WriteAllTextAsync(_hosts[$"{registry.Host}/hosts.toml"], $"server = \"http://{registry.Host}\"\n", TestContext.Current.CancellationToken);
        return registry;
    }

    private Process Start(string sample, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(Repository.Root, $"artifacts/bin/{sample}/release/{sample}"), arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        start.Environment["CONTAINERD_NAMESPACE"] = shared.Daemon.Namespace;
        start.Environment["CONTAINERD_HOSTS_DIR"] = _hosts.Path;
        return Process.Start(start)!;
    }

    private static async Task<string?> LineAsync(Process process) =>
        await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);

    private static async Task<(string Output, string Error, int Code)> EndAsync(Process process)
    {
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Eventually.DefaultLimit, TestContext.Current.CancellationToken);
        return (await output, await error, process.ExitCode);
    }
}

using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Agent.Runtime;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Runtime;

public sealed class WorkloadFoldersTests : IDisposable
{
    private readonly TempFolder _state = new();
    private readonly WorkloadFolders _folders;

    public WorkloadFoldersTests() => _folders = new WorkloadFolders(_state.Path, NullLogger.Instance);

    public void Dispose() => _state.Dispose();

    [Fact]
    public void An_emptyDir_is_there_for_every_user_and_keeps_its_content()
    {
        var folder = _folders.EmptyDir("ns", "web", "data");
        Assert.Equal(_state["volumes/ns/web/data"], folder);
        Assert.Equal(0x1FF, (int)File.GetUnixFileMode(folder));
        File.WriteAllText(Path.Combine(folder, "x"), "1");
        Assert.Equal("1", File.ReadAllText(Path.Combine(_folders.EmptyDir("ns", "web", "data"), "x")));
    }

    [Fact]
    public void Only_unused_workloads_are_cleaned()
    {
        _folders.EmptyDir("ns", "web", "data");
        _folders.EmptyDir("ns", "old", "data");
        _folders.Network("ns", "old");
        _folders.Clean((_, workload) => workload == "web", CancellationToken.None);
        Assert.True(Directory.Exists(_state["volumes/ns/web/data"]));
        Assert.False(Directory.Exists(_state["volumes/ns/old"]));
        Assert.False(Directory.Exists(_state["network/ns"]));
        Assert.Empty(Directory.GetDirectories(_state[".removed"]));
    }

    [Fact]
    public void Links_are_removed_and_not_followed()
    {
        using var outside = new TempFolder();
        File.WriteAllText(outside["precious"], "1");
        var folder = _folders.EmptyDir("ns", "web", "data");
        Directory.CreateSymbolicLink(Path.Combine(folder, "link"), outside.Path);
        File.CreateSymbolicLink(Path.Combine(folder, "file"), outside["precious"]);
        Directory.CreateDirectory(Path.Combine(folder, "deep", "er"));
        File.WriteAllText(Path.Combine(folder, "deep", ".hidden"), "1");
        _folders.Clean((_, _) => false, CancellationToken.None);
        Assert.False(Directory.Exists(folder));
        Assert.Empty(Directory.GetDirectories(_state[".removed"]));
        Assert.Equal("1", File.ReadAllText(outside["precious"]));
    }

    [Fact]
    public async Task Mounts_are_not_crossed_and_the_rest_goes_later()
    {
        using var outside = new TempFolder();
        File.WriteAllText(outside["precious"], "1");
        var folder = _folders.EmptyDir("ns", "web", "data");
        var point = Directory.CreateDirectory(Path.Combine(folder, "mounted")).FullName;
        await Shell.OutputAsync("mount", "--bind", outside.Path, point);
        _folders.Clean((_, _) => false, CancellationToken.None);
        Assert.Equal("1", File.ReadAllText(outside["precious"]));
        Assert.False(Directory.Exists(folder));
        var kept = Assert.Single(Directory.GetDirectories(_state[".removed"]));
        await Shell.OutputAsync("umount", Path.Combine(kept, "data", "mounted"));
        _folders.Clean((_, _) => false, CancellationToken.None);
        Assert.Empty(Directory.GetDirectories(_state[".removed"]));
        Assert.Equal("1", File.ReadAllText(outside["precious"]));
    }
}

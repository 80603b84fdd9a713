using Microsoft.Extensions.Time.Testing;
using Reconciler.Agent.Runtime;
using Reconciler.Containerd;
using Reconciler.Core.Model;
using Reconciler.Testing;
using TaskStatus = Reconciler.Containerd.TaskStatus;

namespace Reconciler.Agent.Tests.Runtime;

public sealed class NodeViewTests : IDisposable
{
    private static readonly ResourceKey Key = ResourceKey.Container("ns", "web", "main");

    private readonly TempFolder _host = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly NodeView _view;

    public NodeViewTests() => _view = new NodeView(new Cgroups(_host.Path, "test"), _time);

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_list_brings_what_is_there_and_drops_what_is_not()
    {
        List([Record("a")], [Running("a")]);
        Assert.Equal(ContainerState.Running, State());
        List([], []);
        Assert.Empty(_view.Find(Key, null).Containers);
    }

    [Fact]
    public void A_container_made_while_a_list_is_under_way_stays()
    {
        var began = _view.BeginList();
        _view.Put(Entry("a"));
        _view.Merge(began, [], [], []);
        Assert.Equal(ContainerState.Running, State());
    }

    [Fact]
    public void A_container_removed_while_a_list_is_under_way_stays_gone()
    {
        List([Record("a")], [Running("a")]);
        var began = _view.BeginList();
        _view.Remove("a");
        _view.Merge(began, [Record("a")], [Running("a")], []);
        Assert.Empty(_view.Find(Key, null).Containers);
    }

    [Fact]
    public void An_exit_told_while_a_list_is_under_way_stands()
    {
        List([Record("a")], [Running("a")]);
        var began = _view.BeginList();
        _view.Change("a", entry => entry with { Task = entry.Task! with { Status = TaskStatus.Stopped, ExitCode = 3 } });
        _view.Merge(began, [Record("a")], [Running("a")], []);
        Assert.Equal(ContainerState.Exited, State());
        List([Record("a")], [Running("a")]);
        Assert.Equal(ContainerState.Running, State());
    }

    [Fact]
    public void A_list_that_began_before_a_gap_does_not_close_it()
    {
        Assert.False(_view.IsComplete);
        var began = _view.BeginList();
        _view.Gap();
        _view.Merge(began, [], [], []);
        Assert.False(_view.IsComplete);
        List([], []);
        Assert.True(_view.IsComplete);
    }

    [Fact]
    public void What_a_verb_works_on_is_not_overruled()
    {
        _view.Put(Entry("a") with { Busy = true });
        List([], []);
        Assert.Equal(ContainerState.Running, State());
    }

    [Fact]
    public void An_image_made_or_removed_while_a_list_is_under_way_stays_so()
    {
        _view.PutImage(Image("old"), unpacked: true);
        var began = _view.BeginList();
        _view.PutImage(Image("new"), unpacked: true);
        _view.RemoveImage("old");
        _view.Merge(began, [], [], [Image("old")]);
        Assert.Null(_view.Image("old"));
        Assert.NotNull(_view.Image("new"));
        List([], []);
        Assert.Null(_view.Image("new"));
    }

    [Fact]
    public void A_task_that_vanished_is_dead_only_once_its_cgroup_is_empty()
    {
        var procs = Cgroup("test/a", "42\n");
        List([Record("a")], []);
        Assert.Equal(ContainerState.Unknown, State());
        var since = _view.Find(Key, null).Containers[0].UnknownSince;
        Assert.Equal(_time.GetUtcNow(), since);
        _time.Advance(TimeSpan.FromSeconds(3));
        List([Record("a")], []);
        Assert.Equal(since, _view.Find(Key, null).Containers[0].UnknownSince);
        File.WriteAllText(procs, "");
        List([Record("a")], []);
        Assert.Equal(ContainerState.NoTask, State());
    }

    [Fact]
    public void A_process_in_a_cgroup_below_counts()
    {
        Cgroup("test/a", "");
        Cgroup("test/a/child", "42\n");
        List([Record("a")], []);
        Assert.Equal(ContainerState.Unknown, State());
    }

    [Fact]
    public void An_exit_after_a_kill_for_memory_is_told_apart()
    {
        Cgroup("test/a", "");
        File.WriteAllText(_host["sys/fs/cgroup/memory/test/a/memory.oom_control"], "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        List([Record("a")], [new TaskInfo { Id = "a", Status = TaskStatus.Stopped, ExitCode = 137 }]);
        Assert.Equal("OOMKilled", _view.Find(Key, null).Containers[0].Reason);
    }

    [Fact]
    public void A_cgroup_that_systemd_made_counts_whatever_is_set_now()
    {
        Cgroup("reconciler.slice/test-a.scope", "42\n");
        File.WriteAllText(_host["sys/fs/cgroup/memory/reconciler.slice/test-a.scope/memory.oom_control"], "oom_kill 1\n");
        List([Record("a")], []);
        Assert.Equal(ContainerState.Unknown, State());
        List([Record("a")], [new TaskInfo { Id = "a", Status = TaskStatus.Stopped, ExitCode = 137 }]);
        Assert.Equal("OOMKilled", _view.Find(Key, null).Containers[0].Reason);
    }

    [Fact]
    public void A_recorded_exit_is_known_without_a_task()
    {
        var finished = _time.GetUtcNow();
        List([Record("a", (Labels.FinishedAt, Labels.Text(finished)), (Labels.ExitCode, "3"), (Labels.Reason, "Error"))], []);
        var container = _view.Find(Key, null).Containers[0];
        Assert.Equal((ContainerState.Exited, 3, "Error", true), (container.State, container.ExitCode, container.Reason, container.ExitRecorded));
        Assert.Equal(finished, container.FinishedAt);
    }

    [Fact]
    public void An_image_that_is_not_unpacked_is_not_present()
    {
        _view.PutImage(Image("x"), unpacked: true);
        _view.MarkPacked("sha256:x");
        Assert.Null(_view.Find(ResourceKey.Image("x"), null).Image);
        _view.PutImage(Image("x"), unpacked: true);
        Assert.NotNull(_view.Find(ResourceKey.Image("x"), null).Image);
    }

    private ContainerState State() => Assert.Single(_view.Find(Key, null).Containers).State;

    private void List(IReadOnlyList<ContainerInfo> records, IReadOnlyList<TaskInfo> tasks) => _view.Merge(_view.BeginList(), records, tasks, []);

    private string Cgroup(string path, string processes)
    {
        var folder = Directory.CreateDirectory(_host["sys/fs/cgroup/memory/" + path]).FullName;
        File.WriteAllText(Path.Combine(folder, "cgroup.procs"), processes);
        return Path.Combine(folder, "cgroup.procs");
    }

    private static ActualImage Image(string name) => new() { Reference = name, Digest = "sha256:" + name };

    private static TaskInfo Running(string id) => new() { Id = id, Status = TaskStatus.Running, Pid = 42 };

    private static ContainerEntry Entry(string id) => new(id, LabelsOf(), DateTimeOffset.UnixEpoch, Running(id));

    private static ContainerInfo Record(string id, params (string Key, string Value)[] more) => new() { Id = id, Labels = LabelsOf(more) };

    private static Dictionary<string, string> LabelsOf(params (string Key, string Value)[] more)
    {
        var labels = new Dictionary<string, string>
        {
            [Labels.ManagedBy] = Labels.Manager,
            [Labels.Namespace] = "ns",
            [Labels.Workload] = "web",
            [Labels.Container] = "main",
        };
        foreach (var (key, value) in more) labels[key] = value;
        return labels;
    }
}

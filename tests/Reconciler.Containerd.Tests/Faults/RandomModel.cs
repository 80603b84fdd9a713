using System.Collections.Concurrent;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>What 20 places for containers and 4 for images hold, and the operations that change it.</summary>
internal sealed partial class RandomModel : IAsyncDisposable
{
    private const int Places = 20;
    private const int Images = 4;

    private static readonly StopOptions AtOnce = new() { Grace = TimeSpan.Zero };

    private readonly TempFolder _folder = new();
    private readonly FakeRegistry _registry = new();
    private readonly ConcurrentQueue<string> _history = new();
    private readonly SemaphoreSlim _restart = new(1, 1);
    private readonly Place[] _places;
    private readonly ImagePlace[] _images;
    private int _steps;
    private int _odd;

    /// <summary>Odd while the daemon restarts.</summary>
    private int _restarts;

    private RandomModel(int seed, ContainerdDaemon daemon)
    {
        Daemon = daemon;
        Proxy = new CallProxy(daemon.Address, _folder["p.sock"]);
        _places = [.. Enumerable.Range(0, Places).Select(i => new Place("p" + i))];
        _images = [.. Enumerable.Range(0, Images).Select(i => new ImagePlace(_registry.Add(TestImages.Marked($"{seed}-{i}"), "i" + i)))];
    }

    /// <summary>What is known of a container.</summary>
    private enum State
    {
        None,
        Running,
        Paused,
        Exited,

        /// <summary>An operation on it failed half way: it may be there, and can be destroyed.</summary>
        Unsure,
    }

    private ContainerdDaemon Daemon { get; }

    private CallProxy Proxy { get; }

    /// <summary>The client under test: its connection is cut now and then.</summary>
    private ContainerdClient Client { get; set; } = null!;

    private string Fifos => _folder["fifo"];

    /// <summary>The last operations, newest last.</summary>
    public string History => string.Join("\n", _history);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static async Task<RandomModel> StartAsync(int seed)
    {
        var daemon = await ContainerdDaemon.StartPatientAsync();
        await SharedDaemon.ImportAsync(daemon, TestImages.Busybox(), SharedDaemon.Busybox);
        var model = new RandomModel(seed, daemon);
        model.Client = await ContainerdClient.ConnectAsync(model.Options(model.Proxy.Address), Stop);
        return model;
    }

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        Proxy.Dispose();
        await _registry.DisposeAsync();
        await Daemon.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>Finishes what failed half way, then compares every list.</summary>
    public async Task AssertListsAsync()
    {
        Proxy.Heal();
        await using var healthy = await ContainerdClient.ConnectAsync(Options(Daemon.Address), Stop);
        // Newer daemons drop a task without processes when they start: what ended before a restart, or while one began, may have none.
        foreach (var place in _places.Where(place => place.State == State.Exited && (place.ExitedIn % 2 == 1 || place.ExitedIn != _restarts))) place.State = State.Unsure;
        foreach (var place in _places.Where(place => place.State == State.Unsure)) await FinishAsync(healthy, place);
        foreach (var image in _images.Where(image => image.IsThere is null)) image.IsThere = await healthy.GetImageAsync(image.Reference, Stop) is not null;

        var there = _places.Where(place => place.State != State.None).ToList();
        var ids = there.Select(place => place.Id).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(ids, (await healthy.ListContainersAsync(null, Stop)).Select(container => container.Id).Order(StringComparer.Ordinal));
        Assert.Equal(
            there.Select(place => $"{place.Id} {Told(place.State)}").Order(StringComparer.Ordinal),
            (await healthy.ListTasksAsync(Stop)).Select(task => $"{task.Id} {task.Status}").Order(StringComparer.Ordinal));
        await Eventually.UntilAsync(async () => (await Daemon.CtrAsync("leases", "ls", "-q")).Trim().Length == 0, "no lease is left");
        await Eventually.UntilAsync(async () => ids.SequenceEqual(await WritableAsync(healthy)), "the writable snapshots are the containers'");
        await SettleImagesAsync(healthy);
        Assert.Equal(
            _images.Where(image => image.IsThere == true).Select(image => image.Reference).Append(SharedDaemon.Busybox).Order(StringComparer.Ordinal),
            (await healthy.ListImagesAsync(null, Stop)).Select(image => image.Name).Order(StringComparer.Ordinal));
        // A container's folder stays with its watch.
        await Eventually.UntilAsync(() => FolderCount() == there.Count(place => place.Streams && place.State is State.Running or State.Paused), "FIFOs are those of live containers");

        foreach (var place in there) await FinishAsync(Client, place);
        foreach (var place in there) await Leftover.NothingAsync(healthy, Daemon, place.Id);
        await Eventually.UntilAsync(() => FolderCount() == 0, "no FIFO is left");
    }

    /// <summary>containerd goes on with a request whose connection was cut: a record may be written, or go, after it was looked for.</summary>
    private Task SettleImagesAsync(ContainerdClient healthy) => Eventually.UntilAsync(
        async () =>
        {
            var settled = true;
            foreach (var image in _images.Where(image => image.IsDoubted))
            {
                if (await healthy.GetImageAsync(image.Reference, Stop) is not null == image.IsThere) continue;
                settled = false;
                image.IsThere = !image.IsThere;
            }
            return settled;
        },
        "what was cut off is done");

    /// <summary>One operation on a place that nobody else uses meanwhile, or a fault.</summary>
    public async Task StepAsync(Random random)
    {
        Interlocked.Increment(ref _steps);
        var dice = random.Next(1000);
        if (dice < 3) await RestartAsync();
        else if (dice < 33) CutConnection();
        else if (dice < 100) await OnImageAsync(_images[random.Next(Images)], random);
        else
        {
            var place = _places[random.Next(Places)];
            await place.Gate.WaitAsync(Stop);
            try
            {
                await OnPlaceAsync(place, random);
            }
            finally
            {
                place.Gate.Release();
            }
        }
    }

    private ContainerdClientOptions Options(string address) => SharedDaemon.OptionsFor(Daemon) with
    {
        Address = address,
        FifoDirectory = Fifos,
        Registry = new RegistryOptions { PlainHttpHosts = [_registry.Host] },
    };

    private int FolderCount() => Directory.Exists(Fifos) ? Directory.EnumerateFileSystemEntries(Fifos).Count() : 0;

    private static async Task<IEnumerable<string>> WritableAsync(ContainerdClient client) =>
        (await client.ListSnapshotsAsync(cancellation: Stop)).Where(snapshot => snapshot.Kind != SnapshotKind.Committed).Select(snapshot => snapshot.Key).Order(StringComparer.Ordinal);

    private static TaskStatus Told(State state) => state switch
    {
        State.Paused => TaskStatus.Paused,
        State.Exited => TaskStatus.Stopped,
        _ => TaskStatus.Running,
    };

    private void Note(string what)
    {
        _history.Enqueue($"{DateTimeOffset.UtcNow:mm:ss.fff} {what}");
        while (_history.Count > 150) _history.TryDequeue(out _);
    }

    /// <summary>Runs an operation; a lost connection is one of the faults and no failure of the test.</summary>
    /// <returns>False = its outcome is not known.</returns>
    private async Task<bool> TryAsync(string what, Func<Task> operation)
    {
        try
        {
            await operation();
            Note(what);
            return true;
        }
        catch (ContainerdException e) when (e.IsUnavailable || FaultBench.IsOfContainerd(e) || IsBearable(e))
        {
            Note($"{what}: {e.Message}");
            return false;
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{what}: {e.Message}", e);
        }
    }

    /// <summary>A daemon that is killed at any instant fails in ways of its own, now and then: an honest error, as long as the lists are right in the end.</summary>
    private bool IsBearable(ContainerdException error) => !error.IsNotfound && Interlocked.Increment(ref _odd) * 50 <= Volatile.Read(ref _steps) + 1000;

    private void CutConnection()
    {
        Note("cut");
        Proxy.CutAtAnswer();
    }

    private async Task RestartAsync()
    {
        await _restart.WaitAsync(Stop);
        try
        {
            Note("restart of containerd");
            Interlocked.Increment(ref _restarts);
            await Daemon.KillAsync();
            await Daemon.StartAgainAsync();
        }
        finally
        {
            Interlocked.Increment(ref _restarts);
            _restart.Release();
        }
    }

    private async Task OnImageAsync(ImagePlace image, Random random)
    {
        await image.Gate.WaitAsync(Stop);
        try
        {
            if (random.Next(2) == 0)
            {
                image.IsThere = await TryAsync($"pull {image.Reference}", () => Client.PullImageAsync(image.Reference, cancellation: Stop)) ? true : null;
                return;
            }
            ContainerdException? missing = null;
            var known = await TryAsync($"remove {image.Reference}", async () =>
            {
                try
                {
                    await Client.RemoveImageAsync(image.Reference, cancellation: Stop);
                }
                catch (ContainerdException e) when (e.IsNotfound)
                {
                    missing = e;
                }
            });
            if (known && !image.IsDoubted && image.IsThere is { } was) Assert.True(was == missing is null, $"{image.Reference}: there = {was}, removing it told {missing?.Message ?? "nothing"}");
            image.IsThere = known ? false : null;
        }
        finally
        {
            image.Gate.Release();
        }
    }

    private sealed class Place(string name)
    {
        private int _incarnation;

        public SemaphoreSlim Gate { get; } = new(1, 1);

        public State State { get; set; }

        public string Id => $"{name}-{_incarnation}";

        public int Pid { get; set; }

        public bool Streams { get; set; }

        /// <summary>The count of restarts before its process was sent its end.</summary>
        public int ExitedIn { get; set; }

        public void Renew() => _incarnation++;
    }

    private sealed class ImagePlace(string reference)
    {
        public SemaphoreSlim Gate { get; } = new(1, 1);

        public string Reference => reference;

        /// <summary>Null = not known.</summary>
        public bool? IsThere
        {
            get;
            set
            {
                field = value;
                if (value != false) IsDoubted = value is null; // a pull that is done came after all that was cut off
            }
        } = false;

        /// <summary>A request of it was cut off, and may still be under way.</summary>
        public bool IsDoubted { get; private set; }
    }
}

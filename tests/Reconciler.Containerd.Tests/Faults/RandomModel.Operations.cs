using System.Text;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.Containerd.Tests.Faults;

/// <content>Operations on containers.</content>
internal sealed partial class RandomModel
{
    private int _execs;

    private Task OnPlaceAsync(Place place, Random random) => (place.State, random.Next(100)) switch
    {
        (State.None, < 90) => CreateAsync(place, random),
        (State.None, _) => DestroyNothingAsync(place),
        (State.Running, < 35) => ExecAsync(place),
        (State.Running, < 50) => PauseAsync(place),
        (State.Running, < 58) => KillProcessAsync(place),
        (State.Running, < 66) => KillAsync(place),
        (State.Running, < 68) => KillShimAsync(place),
        (State.Running, < 75) => RecoverAsync(place),
        (State.Paused, < 70) => ResumeAsync(place),
        _ => DestroyAsync(place),
    };

    private async Task CreateAsync(Place place, Random random)
    {
        place.Renew();
        place.Streams = random.Next(4) == 0;
        var container = new Container
        {
            Id = place.Id,
            Image = SharedDaemon.Busybox,
            Command = ["sleep", "100000"],
            IO = place.Streams ? ContainerIO.Streams(stdout: Stream.Null) : ContainerIO.None,
        };
        // A failed create has removed everything when it throws.
        place.State = await TryAsync($"create {place.Id}", async () => place.Pid = await Client.CreateContainerAsync(container, Stop)) ? State.Running : State.None;
    }

    private Task DestroyNothingAsync(Place place) => TryAsync($"destroy {place.Id}, which is not there", async () =>
    {
        var error = await Assert.ThrowsAsync<ContainerdException>(() => Client.DestroyContainerAsync(place.Id, AtOnce, Stop));
        if (error.Code != ContainerdError.ContainerNotfound) throw error; // borne as of any operation
    });

    private async Task DestroyAsync(Place place)
    {
        var unsure = place.State == State.Unsure;
        place.State = State.Unsure;
        var known = await TryAsync($"destroy {place.Id}", async () =>
        {
            try
            {
                await Client.DestroyContainerAsync(place.Id, AtOnce, Stop);
            }
            catch (ContainerdException e) when (unsure && e.IsNotfound)
            {
                // the one before did it
            }
        });
        if (known) place.State = State.None;
    }

    private static async Task FinishAsync(ContainerdClient client, Place place)
    {
        try
        {
            await client.DestroyContainerAsync(place.Id, AtOnce, Stop);
        }
        catch (ContainerdException e) when (place.State == State.Unsure && e.IsNotfound)
        {
            // it is gone
        }
        place.State = State.None;
    }

    private Task ExecAsync(Place place)
    {
        var text = $"{place.Id} {Interlocked.Increment(ref _execs)}";
        return TryAsync($"exec in {place.Id}", async () =>
        {
            var output = new MemoryStream();
            var process = new ExecProcess
            {
                ContainerId = place.Id,
                ExecId = "e" + text.Split(' ')[1],
                Process = new OciProcess { Args = ["echo", text] },
                IO = ContainerIO.Streams(stdout: output),
            };
            var exit = await (await Client.ExecContainerAsync(process, Stop)).Exit.WaitAsync(Scripts.Long, Stop);
            Assert.Equal(0, exit.ExitCode);
            Assert.Equal(text + "\n", Encoding.UTF8.GetString(output.ToArray()));
        });
    }

    private async Task PauseAsync(Place place)
    {
        place.State = State.Unsure;
        if (await TryAsync($"pause {place.Id}", () => Client.PauseAsync(place.Id, Stop))) place.State = State.Paused;
    }

    private async Task ResumeAsync(Place place)
    {
        place.State = State.Unsure;
        if (await TryAsync($"resume {place.Id}", () => Client.ResumeAsync(place.Id, Stop))) place.State = State.Running;
    }

    /// <summary>Its process is killed by someone: the watch tells, without any call.</summary>
    private async Task KillProcessAsync(Place place)
    {
        Note($"SIGKILL for the process of {place.Id}");
        place.ExitedIn = Volatile.Read(ref _restarts);
        Testing.Signals.Send(place.Pid, Testing.Signals.Kill);
        place.State = await ExitAsync(place, 137);
    }

    private async Task KillAsync(Place place)
    {
        place.ExitedIn = Volatile.Read(ref _restarts);
        var again = false;
        while (!await TryAsync($"kill {place.Id}", AskAsync)) await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Stop);
        place.State = await ExitAsync(place, 137);

        async Task AskAsync()
        {
            try
            {
                await Client.KillAsync(place.Id, 9, all: true, Stop);
            }
            catch (ContainerdException e) when (again && e.IsNotfound)
            {
                // the one before did it, and a newer daemon that started since has dropped the task
            }
            finally
            {
                again = true;
            }
        }
    }

    private async Task KillShimAsync(Place place)
    {
        var shim = Leftovers.ShimsOf(Daemon.Address).Single(pid => IsShimOf(pid, place.Id));
        Note($"SIGKILL for the shim of {place.Id}");
        Testing.Signals.Send(shim, Testing.Signals.Kill);
        await ExitAsync(place, 137);
        Assert.False(LiveProcess.Is(place.Pid), $"{place.Id} was told to have ended and lives");
        place.State = State.Unsure;
    }

    private static bool IsShimOf(int pid, string id)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Contains($"\0{id}\0", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // another one, which ended
        }
    }

    private async Task<State> ExitAsync(Place place, int code)
    {
        var exit = await Client.ProbeContainerAsync(place.Id, Scripts.Long, Stop);
        // Newer daemons forget the code of an exit in their absence, and the task with it.
        if (exit.HasError || (exit.ExitCode is { } told && told != code)) throw new InvalidOperationException($"{place.Id}: {exit}");
        return exit.ExitCode is null ? State.Unsure : State.Exited;
    }

    private Task RecoverAsync(Place place) => TryAsync($"recover {place.Id} with a new client", async () =>
    {
        await using var next = await ContainerdClient.ConnectAsync(Options(Daemon.Address), Stop);
        await next.RecoverContainerAsync(place.Id, null, Stop);
        var exit = await next.ProbeContainerAsync(place.Id, TimeSpan.FromMilliseconds(1), Stop);
        Assert.True(exit.Error is { IsTimeout: true }, $"{place.Id}: {exit}");
    });
}

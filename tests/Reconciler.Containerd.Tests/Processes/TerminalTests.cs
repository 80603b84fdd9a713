using System.IO.Pipelines;
using Reconciler.Containerd.Api.Tasks;
using Reconciler.Containerd.Tests.Containers;

namespace Reconciler.Containerd.Tests.Processes;

public sealed class TerminalTests(SharedDaemon shared) : StreamFixture(shared)
{
    private const string Script =
        "test -t 0 && test -t 1 && test -t 2 && echo terminal >&2; while [ \"$(stty size)\" != '40 100' ]; do sleep 0.05; done; "
        + "stty -echo; echo resized; read line; echo got $line; exit 4";

    [Fact]
    public async Task Terminal_of_a_container_has_one_output_and_can_be_resized()
    {
        var (input, output) = (new Pipe(), new Pipe());
        var id = SharedDaemon.NewId();
        var container = SharedDaemon.Sh(id, Script) with { IO = ContainerIO.Pipes(input.Reader, output.Writer) with { Terminal = true } };

        await Client.CreateContainerAsync(container, Stop);
        await ReadToAsync(output, "terminal\r\n");
        await Client.ResizeAsync(id, 100, 40, Stop);
        await ReadToAsync(output, "resized\r\n");
        await WriteAsync(input, "line\n");

        Assert.Equal("got line\r\n", await ReadAsync(output));
        Assert.Equal(4, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        var task = await Client.GetTaskAsync(id, Stop);
        Assert.Equal((true, ""), (task!.Terminal, task.Stderr));
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Terminal_of_an_exec_process_has_one_output_and_can_be_resized()
    {
        var (id, _) = await Scripts.HeldAsync(Client, 0);
        var (input, output) = (new Pipe(), new Pipe());
        var process = new ExecProcess
        {
            ContainerId = id,
            ExecId = "tty",
            Process = new OciProcess { Args = ["sh", "-c", Script], Terminal = true },
            IO = ContainerIO.Pipes(input.Reader, output.Writer),
        };

        var started = await Client.ExecContainerAsync(process, Stop);
        await ReadToAsync(output, "terminal\r\n");
        await Client.ResizeAsync(id, "tty", 100, 40, Stop);
        await ReadToAsync(output, "resized\r\n");
        await WriteAsync(input, "line\n");

        Assert.Equal("got line\r\n", await ReadAsync(output));
        Assert.Equal(4, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        AssertNothingLeft();
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task Terminal_input_ends_by_its_own_character_only()
    {
        var (input, output) = (new Pipe(), new Pipe());
        var id = SharedDaemon.NewId();
        var container = SharedDaemon.Sh(id, "cat; echo over") with { IO = ContainerIO.Pipes(input.Reader, output.Writer) with { Terminal = true } };
        await Client.CreateContainerAsync(container, Stop);

        await WriteAsync(input, "line\n\u0004");
        await input.Writer.CompleteAsync();

        Assert.EndsWith("line\r\nover\r\n", await ReadAsync(output), StringComparison.Ordinal);
        Assert.Equal(0, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        Assert.Empty(Recorder.Requests<CloseIORequest>());
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task A_terminal_without_a_taker_is_one_all_the_same()
    {
        var id = SharedDaemon.NewId();
        var container = SharedDaemon.Sh(id, "test -t 1 && exit 5") with { IO = ContainerIO.None with { Terminal = true } };

        await Client.CreateContainerAsync(container, Stop);

        Assert.Equal(5, (await Client.ProbeContainerAsync(id, Scripts.Long, Stop)).ExitCode);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Resize_of_none_is_told_and_without_a_terminal_does_nothing()
    {
        var (id, _) = await Scripts.HeldAsync(Client, 0);

        var unknown = await Assert.ThrowsAsync<ContainerdException>(() => Client.ResizeAsync(SharedDaemon.NewId(), 80, 25, Stop));
        var noExec = await Assert.ThrowsAsync<ContainerdException>(() => Client.ResizeAsync(id, "none", 80, 25, Stop));
        await Client.ResizeAsync(id, 80, 25, Stop);

        Assert.Equal((ContainerdError.TaskNotfound, ContainerdError.TaskNotfound), (unknown.Code, noExec.Code));
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }
}

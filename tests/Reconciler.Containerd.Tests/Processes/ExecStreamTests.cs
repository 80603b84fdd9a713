using System.IO.Pipelines;
using System.Text;
using Reconciler.Containerd.Tests.Containers;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Processes;

/// <summary>What <see cref="ExecTests"/> shows with streams, with the other kinds.</summary>
public sealed class ExecStreamTests(SharedDaemon shared) : StreamFixture(shared)
{
    [Fact]
    public async Task Exec_has_pipes_callbacks_and_files_too()
    {
        var (id, _) = await Scripts.HeldAsync(Client, 0);
        var (input, output) = (new Pipe(), new Pipe());
        using var logs = new TempFolder();
        using var called = new MemoryStream();

        var piped = await Client.ExecContainerAsync(Sh(id, "pipes", "read line; echo got $line", ContainerIO.Pipes(input.Reader, output.Writer)), Stop);
        await WriteAsync(input, "x\n");
        Assert.Equal("got x\n", await ReadAsync(output));
        var callback = ContainerIO.Callback(null, (bytes, end) => called.WriteAsync(bytes, end));
        var calling = await Client.ExecContainerAsync(Sh(id, "callback", "echo dropped; echo err >&2", callback), Stop);
        var filed = await Client.ExecContainerAsync(Sh(id, "files", "echo out; echo err >&2", ContainerIO.Files(logs["out"], logs["err"])), Stop);

        foreach (var started in new[] { piped, calling, filed }) Assert.Equal(0, (await started.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        Assert.Equal("err\n", Encoding.ASCII.GetString(called.ToArray()));
        Assert.Equal(("out\n", "err\n"), (await File.ReadAllTextAsync(logs["out"], Stop), await File.ReadAllTextAsync(logs["err"], Stop)));
        AssertNothingLeft();
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Theory]
    [InlineData("Containers.Get")]
    [InlineData("Tasks.Exec")]
    [InlineData("Tasks.Start")]
    public async Task An_exec_that_fails_at_any_call_leaves_no_stream(string method)
    {
        var (id, _) = await Scripts.HeldAsync(Client, 0);
        var (input, output) = (new Pipe(), new Pipe());
        Recorder.Fail(method);

        await Assert.ThrowsAsync<ContainerdException>(
            () => Client.ExecContainerAsync(Sh(id, "e", "sleep 1000", ContainerIO.Pipes(input.Reader, output.Writer)), Stop));

        AssertNothingLeft();
        await EndAsync(output);
        Recorder.Before = null;
        var again = await Client.ExecContainerAsync(Sh(id, "e", "exit 3", ContainerIO.None), Stop);
        Assert.Equal(3, (await again.Exit.WaitAsync(Scripts.Long, Stop)).ExitCode);
        await Client.DestroyContainerAsync(id, AtOnce, Stop);
    }

    [Fact]
    public async Task Destroy_of_the_container_delivers_and_ends_the_streams_of_its_processes()
    {
        var (id, _) = await Scripts.HeldAsync(Client, 0);
        var output = new Pipe();
        var started = await Client.ExecContainerAsync(Sh(id, "e", "echo begun; exec sleep 1000", ContainerIO.Pipes(stdout: output.Writer)), Stop);
        await ReadToAsync(output, "begun\n");

        await Client.DestroyContainerAsync(id, AtOnce, Stop);

        AssertNothingLeft();
        Assert.Equal("", await ReadAsync(output));
        await started.Exit.WaitAsync(Scripts.Long, Stop);
    }

    private static ExecProcess Sh(string id, string execId, string script, ContainerIO io) =>
        new() { ContainerId = id, ExecId = execId, Process = new OciProcess { Args = ["sh", "-c", script] }, IO = io };
}

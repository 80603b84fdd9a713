namespace Reconciler.Containerd.Tests.Faults;

/// <content>What is refused.</content>
internal static partial class PublicCalls
{
    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadIds(Func<ContainerdClient, string, Task> call) =>
    [
        ("null", client => call(client, null!)), (Empty, client => call(client, "")), (Identifier, client => call(client, "a b")), (Identifier, client => call(client, "a--b")),
        (Identifier, client => call(client, "-a")), (Identifier, client => call(client, "a.")), (Identifier, client => call(client, "../a")),
        (Identifier, client => call(client, "é")), (Identifier, client => call(client, "a\0")), ("76 characters", client => call(client, TooLong)),
    ];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadNames(Func<ContainerdClient, string, Task> call) =>
        [("null", client => call(client, null!)), (Empty, client => call(client, ""))];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadFilters(Func<ContainerdClient, IReadOnlyList<string>, Task> call) =>
    [
        ("null", client => call(client, [null!])), ("operators", client => call(client, ["name=x"])), ("operators", client => call(client, ["name x"])),
        ("field", client => call(client, ["==x"])), ("field", client => call(client, ["/x/==y"])), ("field", client => call(client, ["name==x,"])),
        ("value", client => call(client, ["name=="])), ("value", client => call(client, ["id==x", "topic~=\"^/tasks/"])), ("comma", client => call(client, ["name==x y"])),
    ];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadLabels(
        Func<ContainerdClient, IReadOnlyDictionary<string, string>, Task> call, bool optional = false)
    {
        if (!optional) yield return ("null", client => call(client, null!));
        yield return (Empty, client => call(client, new Dictionary<string, string> { [""] = "x" }));
        yield return ("null", client => call(client, new Dictionary<string, string> { ["x"] = null! }));
        yield return ("4096 bytes", client => call(client, new Dictionary<string, string> { ["x"] = new('é', 2048) }));
    }

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadReferences(Func<ContainerdClient, string, Task> call) =>
    [
        ("null", client => call(client, null!)), (Empty, client => call(client, "")), ("white space", client => call(client, "a b")), ("URL", client => call(client, "https://a/b")),
        ("lower-case", client => call(client, "example.test/UPPER")), ("tag", client => call(client, "busybox:")), ("digest", client => call(client, "busybox@sha256:12")),
        ("port", client => call(client, "example.test:99999/a")), ("255 characters", client => call(client, "example.test/" + new string('a', 255))),
    ];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadPulls(Func<ContainerdClient, PullOptions, Task> call) =>
        [("os/architecture", client => call(client, new PullOptions { Platform = "linux" })), .. BadLabels((client, labels) => call(client, new PullOptions { Labels = labels }))];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadStops(Func<ContainerdClient, StopOptions, Task> call) =>
    [
        ("Signal", client => call(client, new StopOptions { Signal = 0 })), ("Signal", client => call(client, new StopOptions { Signal = 65 })),
        ("Grace", client => call(client, new StopOptions { Grace = TimeSpan.FromTicks(-1) })), ("49 days", client => call(client, new StopOptions { Grace = TimeSpan.MaxValue })),
    ];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadOptions()
    {
        return
        [
            Bad("absolute path", o => o with { Address = "c.sock" }), Bad("107 bytes", o => o with { Address = "/" + new string('a', 107) }), Bad("null", o => o with { Address = null! }),
            Bad(Identifier, o => o with { Namespace = "a b" }), Bad(Empty, o => o with { Namespace = "" }), Bad("76 characters", o => o with { Namespace = TooLong }),
            Bad(Empty, o => o with { Snapshotter = "" }), Bad(Empty, o => o with { Runtime = "" }), Bad("absolute path", o => o with { FifoDirectory = "fifo" }),
            Bad("absolute path", o => o with { HostRoot = "host" }), Bad("null", o => o with { Registry = null! }), Bad("null", o => o with { TimeProvider = null! }),
            Bad("ConnectTimeout", o => o with { ConnectTimeout = TimeSpan.Zero }), Bad("49 days", o => o with { ConnectTimeout = TimeSpan.MaxValue }),
            Bad("CallTimeout", o => o with { CallTimeout = TimeSpan.Zero }), Bad("49 days", o => o with { CallTimeout = TimeSpan.MaxValue }),
            Bad("LockTimeout", o => o with { LockTimeout = TimeSpan.FromTicks(-1) }), Bad("49 days", o => o with { LockTimeout = TimeSpan.MaxValue }),
            Bad("MaxParallelDownloads", o => o with { Registry = new RegistryOptions { MaxParallelDownloads = 0 } }),
            ("null", _ => ContainerdClient.ConnectAsync(null!)),
        ];

        static (string, Func<ContainerdClient, Task>) Bad(string rule, Func<ContainerdClientOptions, ContainerdClientOptions> change) =>
            (rule, async client => await (await ContainerdClient.ConnectAsync(change(client.Options))).DisposeAsync());
    }

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadContainers()
    {
        var sound = new Container { Id = "x", Image = "example.test/x:1", Command = ["true"] };
        return
        [
            ("null", client => client.CreateContainerAsync(null!)),
            .. BadIds((client, id) => client.CreateContainerAsync(sound with { Id = id })),
            .. BadNames((client, name) => client.CreateContainerAsync(sound with { Image = name })),
            .. BadLabels((client, labels) => client.CreateContainerAsync(sound with { Labels = labels })),
            Bad("null", c => c with { Command = null! }), Bad("null", c => c with { Command = ["a", null!] }), Bad("NUL", c => c with { Command = ["a\0"] }), Bad("program", c => c with { Command = [""] }),
            Bad("null", c => c with { Args = null! }), Bad("NUL", c => c with { Args = ["\0"] }), Bad("NUL", c => c with { User = "\0" }), Bad("null", c => c with { Extensions = null! }),
            Bad(Empty, c => c with { Extensions = new Dictionary<string, TypedValue> { [""] = new("t", []) } }),
            Bad(Empty, c => c with { Extensions = new Dictionary<string, TypedValue> { ["x"] = new("", []) } }),
            Bad("null", c => c with { Extensions = new Dictionary<string, TypedValue> { ["x"] = new("t", null!) } }),
            Bad("null", c => c with { Extensions = new Dictionary<string, TypedValue> { ["x"] = null! } }),
            Bad("signal", c => c with { StopSignal = "SIGNONE" }), Bad("signal", c => c with { StopSignal = "65" }),
            Bad("absolute path", c => c with { IO = ContainerIO.Files("out", "/err") }), Bad(Empty, c => c with { IO = ContainerIO.Files("/out", "") }),
            .. BadTerminals.Select(io => Bad("terminal", c => c with { IO = io })),
            .. BadTerminals.Select(io => Bad("terminal", c => c with { IO = io with { Terminal = false }, Spec = new OciSpec { Process = new OciProcess { Terminal = true } } })),
            .. BadSpecs.All.Select(bad => Bad(bad.Rule, c => c with { Spec = bad.Spec })),
        ];

        (string, Func<ContainerdClient, Task>) Bad(string rule, Func<Container, Container> change) => (rule, client => Async(() => client.CreateContainerAsync(change(sound))));
    }

    private static IReadOnlyList<ContainerIO> BadTerminals =>
    [
        ContainerIO.Files("/out", "/err") with { Terminal = true }, ContainerIO.Streams(stdout: Stream.Null, stderr: Stream.Null) with { Terminal = true },
    ];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadSizes(Func<ContainerdClient, int, int, Task> call) =>
    [
        ("columns", client => call(client, 0, 1)), ("columns", client => call(client, 65536, 1)), ("rows", client => call(client, 1, -1)), ("rows", client => call(client, 1, 65536)),
    ];

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadExecs()
    {
        var sound = new ExecProcess { ContainerId = "x", ExecId = "e", Process = new OciProcess { Args = ["true"] } };
        return
        [
            ("null", client => client.ExecContainerAsync(null!)),
            .. BadIds((client, id) => client.ExecContainerAsync(sound with { ContainerId = id })), .. BadIds((client, id) => client.ExecContainerAsync(sound with { ExecId = id })),
            Bad("null", e => e with { Process = null! }), Bad("program", e => e with { Process = new OciProcess() }),
            .. BadSpecs.Processes.Select(bad => Bad(bad.Rule, e => e with { Process = bad.Process })),
            Bad("read", e => e with { IO = ContainerIO.Streams(new WriteOnly()) }), Bad("read", e => e with { IO = ContainerIO.Callback(null, stdin: new WriteOnly()) }),
            Bad("written", e => e with { IO = ContainerIO.Streams(stdout: new MemoryStream([], false)) }), Bad("written", e => e with { IO = ContainerIO.Streams(stderr: new MemoryStream([], false)) }),
            .. BadTerminals.Select(io => Bad("terminal", e => e with { IO = io })),
            .. BadTerminals.Select(io => Bad("terminal", e => e with { IO = io with { Terminal = false }, Process = e.Process with { Terminal = true } })),
        ];

        (string, Func<ContainerdClient, Task>) Bad(string rule, Func<ExecProcess, ExecProcess> change) => (rule, client => Async(() => client.ExecContainerAsync(change(sound))));
    }

    private static IEnumerable<(string Rule, Func<ContainerdClient, Task> Call)> BadResources() =>
    [
        ("null", client => client.UpdateResourcesAsync("x", null!)), ("no resource", client => client.UpdateResourcesAsync("x", new OciResources())),
        ("device", client => client.UpdateResourcesAsync("x", new OciResources { Devices = [] })),
        .. BadSpecs.Resources.Select(bad => (bad.Rule, (Func<ContainerdClient, Task>)(client => client.UpdateResourcesAsync("x", bad.Resources)))),
    ];

    /// <summary>What a builder throws comes as from the call.</summary>
    private static async Task Async(Func<Task> call) => await call();

    private sealed class WriteOnly : MemoryStream
    {
        public override bool CanRead => false;
    }
}

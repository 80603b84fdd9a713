using System.Text.Json.Nodes;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Tests.Commands;

public sealed class ListsTests
{
    private const string Busybox = "127.0.0.1:5055/demo/busybox:1";
    private const string Digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    private static readonly DateTimeOffset Now = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Containers_are_a_table_as_kubectl_prints_it()
    {
        var rows = ContainerRow.From(Node(), Memory(), agentAlive: true);

        Assert.Equal(
            """
            NAMESPACE   WORKLOAD   CONTAINER   STATE     READY   RESTARTS   AGE    REASON             IMAGE
            default     job        main        Exited    False   0          5m     Completed          127.0.0.1:5055/demo/busybox:1
            default     web        server      Running   True    2          3d4h   Running            127.0.0.1:5055/demo/busybox:1
            default     web        sidecar     Pending   False   0          42s    ImageNotFound      127.0.0.1:5055/demo/none:1
            shop        api        main        Exited    False   7          12m    CrashLoopBackOff   127.0.0.1:5055/demo/busybox:1

            """,
            Lists.Of(rows, OutputFormat.Table, "edge", Now, showProcess: false));
    }

    [Fact]
    public void Wide_adds_id_pids_node_source_and_digest()
    {
        var rows = ContainerRow.From(Node(), Memory(), agentAlive: true).Where(row => row.Container is "server" or "sidecar").ToList();
        rows[0] = rows[0] with { Processes = [4711, 4712] };

        Assert.Equal(
            $"""
            NAMESPACE   WORKLOAD   CONTAINER   STATE     READY   RESTARTS   AGE    REASON          IMAGE                           ID                       PID      PIDS     NODE   SOURCE               DIGEST
            default     web        server      Running   True    2          3d4h   Running         127.0.0.1:5055/demo/busybox:1   default-web-server-103   4711     2        edge   file:site/web.yaml   {Digest}
            default     web        sidecar     Pending   False   0          42s    ImageNotFound   127.0.0.1:5055/demo/none:1      <none>                   <none>   <none>   edge   <none>               <none>

            """,
            Lists.Of(rows, OutputFormat.Wide, "edge", Now, showProcess: false));
    }

    [Fact]
    public void Watching_shows_the_rows_that_changed_and_those_that_went()
    {
        var rows = ContainerRow.From(Node(), Memory(), agentAlive: true).Where(row => row.Key.Namespace == "default").ToList();
        var changes = new RowChanges<ContainerRow>(Lists.Containers(wide: false, "edge", showProcess: false), OutputFormat.Table);

        Assert.Equal("", changes.Next([], Now));
        Assert.Equal(
            """
            NAMESPACE   WORKLOAD   CONTAINER   STATE     READY   RESTARTS   AGE    REASON          IMAGE
            default     job        main        Exited    False   0          5m     Completed       127.0.0.1:5055/demo/busybox:1
            default     web        server      Running   True    2          3d4h   Running         127.0.0.1:5055/demo/busybox:1
            default     web        sidecar     Pending   False   0          42s    ImageNotFound   127.0.0.1:5055/demo/none:1

            """,
            changes.Next(rows, Now));
        Assert.Equal("", changes.Next(rows, Now.AddMinutes(9))); // an age changes by itself
        rows[1] = rows[1] with { State = "Exited", Reason = "CrashLoopBackOff" };
        Assert.Equal(
            "default     web        server      Exited    False   2          3d4h   CrashLoopBackOff   127.0.0.1:5055/demo/busybox:1\n", changes.Next(rows, Now.AddMinutes(9)));
        rows.RemoveAt(0);
        Assert.Equal(
            "default     job        main        Removed   False   0          15m    Completed          127.0.0.1:5055/demo/busybox:1\n", changes.Next(rows, Now.AddMinutes(10)));
        Assert.Equal("", changes.Next(rows, Now.AddMinutes(11)));
    }

    [Theory]
    [InlineData("Json")]
    [InlineData("Yaml")]
    [InlineData("Name")]
    public void Watching_in_other_forms_gives_an_item_per_change(string form)
    {
        var format = Enum.Parse<OutputFormat>(form);
        var rows = ContainerRow.From(Node(), Memory(), agentAlive: true).Where(row => row.Workload == "job").ToList();
        var changes = new RowChanges<ContainerRow>(Lists.Containers(wide: false, "edge", showProcess: false), format);

        var first = changes.Next(rows, Now);
        Assert.Equal("", changes.Next(rows, Now.AddMinutes(1)));
        var last = changes.Next([], Now);

        var start = format switch { OutputFormat.Json => "{\"namespace\":\"default\"", OutputFormat.Yaml => "---\nnamespace: default\n", _ => "container/default/job/main\n" };
        Assert.StartsWith(start, first, StringComparison.Ordinal);
        if (format == OutputFormat.Name) Assert.Equal("", last);
        else Assert.Contains("Removed", last, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_holds_the_facts_the_reason_and_what_happened()
    {
        var rows = ContainerRow.From(Node(), Memory(), agentAlive: true);

        var items = JsonNode.Parse(Lists.Of(rows, OutputFormat.Json, "edge", Now, showProcess: false))!["items"]!.AsArray();

        var api = items.Single(item => (string?)item!["workload"] == "api")!;
        Assert.Equal("Exited", (string?)api["state"]);
        Assert.False((bool)api["ready"]!);
        Assert.Equal(7, (int)api["restarts"]!);
        Assert.Equal(1, (int)api["exitCode"]!);
        Assert.Equal("CrashLoopBackOff", (string?)api["reason"]);
        Assert.Equal("exit code 1; 7 restarts so far", (string?)api["message"]);
        Assert.Equal("2026-01-02T12:00:30.000Z", (string?)api["nextTry"]);
        Assert.Equal("start failed", (string?)api["events"]![0]!["text"]);
        var server = items.Single(item => (string?)item!["container"] == "server")!;
        Assert.Equal(4711, (int)server["pid"]!);
        Assert.Null(server["process"]);
        Assert.Null(server["exitCode"]);
    }

    [Fact]
    public void The_process_with_its_env_is_shown_to_root_only()
    {
        var rows = ContainerRow.From(Node(), null, agentAlive: true).Where(row => row.Container == "server").ToList();

        var shown = Lists.Of(rows, OutputFormat.Yaml, "edge", Now, showProcess: true);
        var hidden = Lists.Of(rows, OutputFormat.Yaml, "edge", Now, showProcess: false);

        Assert.Contains("  process:\n    image: \"127.0.0.1:5055/demo/busybox:1\"\n    env:\n    - name: TOKEN\n      value: s3cret\n", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", hidden, StringComparison.Ordinal);
    }

    [Fact]
    public void Yaml_reads_as_a_list_of_resources()
    {
        var rows = ContainerRow.From(Node(), Memory(), agentAlive: true).Where(row => row.Container == "sidecar").ToList();

        Assert.Equal(
            """
            apiVersion: reconciler.dev/v1alpha1
            kind: ContainerList
            items:
            - namespace: default
              workload: web
              container: sidecar
              state: Pending
              ready: false
              restarts: 0
              reason: ImageNotFound
              message: "no such tag: 1"
              image: "127.0.0.1:5055/demo/none:1"
              node: edge
              specHash: v1-b
              attempt: 3
              nextTry: "2026-01-02T12:00:04.000Z"

            """,
            Lists.Of(rows, OutputFormat.Yaml, "edge", Now, showProcess: true));
    }

    [Fact]
    public void Names_are_for_scripts()
    {
        var rows = ContainerRow.From(Node(), null, agentAlive: true);

        Assert.Equal("container/default/job/main\ncontainer/default/web/server\ncontainer/shop/api/main\n", Lists.Of(rows, OutputFormat.Name, "edge", Now, false));
    }

    [Fact]
    public void What_happened_after_the_agents_last_word_goes_before_it()
    {
        var memory = new AgentState { Keys = [Said("default", "web/server", true, "Running", Now.AddHours(-1)), Said("default", "job/main", true, "Running", Now.AddMinutes(-6))] };
        var exit = Container("default", "job/main", 101) with { State = ContainerState.Exited, ExitCode = 137, FinishedAt = Now.AddSeconds(-1) };

        ContainerRow RowOf(ActualContainer container, bool alive) => ContainerRow.From(NodeObservation.From([container], []), memory, alive).Single(row => row.Container == "main");

        // An exit that the agent has not recorded yet: whether memory ran out is told with the record.
        Assert.Equal(("Exited", "Exited", null), (RowOf(exit, true).State, RowOf(exit, true).Reason, RowOf(exit, true).ExitCode));
        Assert.Equal(("Exited", "Error", 137), (RowOf(exit, false).State, RowOf(exit, false).Reason, RowOf(exit, false).ExitCode));
        var recorded = exit with { ExitRecorded = true, Reason = "OOMKilled" };
        Assert.Equal(("Exited", "OOMKilled", 137), (RowOf(recorded, true).State, RowOf(recorded, true).Reason, RowOf(recorded, true).ExitCode));
        Assert.Equal("Unknown", RowOf(exit with { ExitCode = null }, false).Reason);
    }

    [Fact]
    public void A_stop_a_pause_and_a_bare_record_have_words_of_their_own()
    {
        string StateOf(ActualContainer container) => Assert.Single(ContainerRow.From(NodeObservation.From([container], []), null, true)).State;
        var running = Container("default", "web/server", 103);

        Assert.Equal("Stopping", StateOf(running with { StopBy = Now }));
        var said = new AgentState { Keys = [Said("default", "web/server", true, "Running", Now)] };
        Assert.Equal("Stopping", ContainerRow.From(NodeObservation.From([running with { StopBy = Now }], []), said, true)[0].Reason);
        Assert.Equal("Paused", StateOf(running with { State = ContainerState.Paused }));
        Assert.Equal("Created", StateOf(running with { State = ContainerState.NoTask }));
        Assert.Equal("Unknown", StateOf(running with { State = ContainerState.Unknown }));
        Assert.Equal("Suspended", ContainerRow.From(NodeObservation.Empty, new AgentState { Keys = [Said("default", "web/server", false, "Suspended", Now)] }, true)[0].State);
        Assert.Empty(ContainerRow.From(NodeObservation.Empty, new AgentState { Keys = [Said("default", "web/server", false, "Removed", Now)] }, true));
    }

    [Fact]
    public void The_one_that_runs_is_shown_while_two_incarnations_exist()
    {
        var old = Container("default", "web/server", 102) with { State = ContainerState.Running };
        var made = Container("default", "web/server", 103) with { State = ContainerState.Created };

        Assert.Equal(old.Id, Assert.Single(ContainerRow.From(NodeObservation.From([made, old], []), null, true)).Actual!.Id);
    }

    [Fact]
    public void Images_show_progress_users_and_reasons()
    {
        Assert.Equal(
            """
            IMAGE                           DIGEST         SIZE     STATE           AGE      USED-BY
            127.0.0.1:5055/demo/big:1       <none>         <none>   Pulling 43%     <none>   <none>
            127.0.0.1:5055/demo/busybox:1   0123456789ab   1.9MiB   Present         10d      default/job/main,default/web/server,+1
            127.0.0.1:5055/demo/none:1      <none>         <none>   ImageNotFound   <none>   <none>

            """,
            Lists.Of(Images(agentAlive: true), OutputFormat.Table, Now));
    }

    [Fact]
    public void Wide_images_show_each_layer_of_a_pull()
    {
        var text = Lists.Of(Images(agentAlive: true), OutputFormat.Wide, Now);

        Assert.Contains("aaaaaaaaaaaa=done bbbbbbbbbbbb=5% cccccccccccc=waiting", text, StringComparison.Ordinal);
        Assert.Contains(Digest, text, StringComparison.Ordinal);
        var big = JsonNode.Parse(Lists.Of(Images(true), OutputFormat.Json, Now))!["items"]![0]!;
        Assert.Equal((3, 5), (big["layers"]!.AsArray().Count, (int)big["layers"]![1]!["offset"]!));
    }

    [Fact]
    public void A_pull_of_an_agent_that_is_down_is_no_pull() =>
        Assert.DoesNotContain(Images(agentAlive: false), row => row.State.StartsWith("Pulling", StringComparison.Ordinal));

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(-5, "0s")]
    [InlineData(119, "119s")]
    [InlineData(120, "2m")]
    [InlineData(200, "3m20s")]
    [InlineData(2700, "45m")]
    [InlineData(5 * 3600 + 1800, "5h30m")]
    [InlineData(30 * 3600, "30h")]
    [InlineData(76 * 3600, "3d4h")]
    [InlineData(12 * 86400, "12d")]
    [InlineData(800 * 86400, "2y")]
    public void Ages_have_two_units_at_most(int seconds, string text) => Assert.Equal(text, Units.Age(TimeSpan.FromSeconds(seconds)));

    [Theory]
    [InlineData(0, "0B")]
    [InlineData(1023, "1023B")]
    [InlineData(1024, "1KiB")]
    [InlineData(4_718_592, "4.5MiB")]
    [InlineData(150L << 30, "150GiB")]
    public void Sizes_have_binary_units(long bytes, string text) => Assert.Equal(text, Units.Size(bytes));

    [Theory]
    [InlineData("plain-text_1.0/x", "plain-text_1.0/x")]
    [InlineData("true", "\"true\"")]
    [InlineData("No", "\"No\"")]
    [InlineData("1.5", "\"1.5\"")]
    [InlineData("", "\"\"")]
    [InlineData("a: b", "\"a: b\"")]
    [InlineData("- x", "\"- x\"")]
    [InlineData("line\nbreak", "\"line\\nbreak\"")]
    [InlineData("näme", "\"näme\"")]
    public void Yaml_quotes_what_could_be_read_otherwise(string value, string text) =>
        Assert.Equal($"v: {text}\n", YamlText.Of(new JsonObject { ["v"] = value }));

    [Fact]
    public void Yaml_nests() => Assert.Equal(
        "a: []\nb: {}\nc:\n- - 1\n  - 2\n- d: null\n  e:\n  - f: true\n\"n\": null\n",
        YamlText.Of(JsonNode.Parse("""{"a":[],"b":{},"c":[[1,2],{"d":null,"e":[{"f":true}]}],"n":null}""")!));

    private static NodeObservation Node() => NodeObservation.From(
        [
            Container("default", "web/server", 103) with
            {
                Restarts = 2,
                Process = new ContainerProcess { Image = Busybox, Env = [new EnvVar("TOKEN", "s3cret")] },
            },
            Container("default", "job/main", 101) with
            {
                State = ContainerState.Exited, StartedAt = Now.AddMinutes(-5), FinishedAt = Now.AddMinutes(-4), ExitCode = 0, Reason = "Completed", ExitRecorded = true, Pid = 0,
            },
            Container("shop", "api/main", 108) with
            {
                State = ContainerState.Exited, StartedAt = Now.AddMinutes(-12), FinishedAt = Now.AddMinutes(-1), ExitCode = 1, Reason = "Error", ExitRecorded = true, Restarts = 7, Pid = 0,
            },
        ],
        [new ActualImage { Reference = Busybox, Digest = Digest, Managed = true }]);

    private static AgentState Memory() => new()
    {
        Keys =
        [
            Said("default", "web/server", true, "Running", Now.AddDays(-1)),
            Said("default", "job/main", false, "Completed", Now.AddMinutes(-4)),
            Said("default", "web/sidecar", false, "ImageNotFound", Now.AddSeconds(-42)) with
            {
                Message = "no such tag: 1", Image = "127.0.0.1:5055/demo/none:1", SpecHash = "v1-b", Attempt = 3, NextTry = Now.AddSeconds(4),
            },
            Said("shop", "api/main", false, "CrashLoopBackOff", Now.AddSeconds(-50)) with
            {
                Message = "exit code 1; 7 restarts so far", NextTry = Now.AddSeconds(30), Events = [new KeyEvent(Now, true, "start failed")],
            },
            Said("", "127.0.0.1:5055/demo/none:1", false, "ImageNotFound", Now) with { Kind = ResourceKind.Image },
        ],
        Pulls =
        [
            new PullState("127.0.0.1:5055/demo/big:1", Now,
            [
                new LayerState("sha256:" + new string('a', 64), "done", 80, 80),
                new LayerState("sha256:" + new string('b', 64), "downloading", 5, 100),
                new LayerState("sha256:" + new string('c', 64), "waiting", 0, 16),
            ]),
        ],
    };

    private static List<ImageRow> Images(bool agentAlive)
    {
        var actual = Node().Resources.Values.Where(resource => resource.Image is not null).ToDictionary(resource => resource.Image!.Reference, resource => resource.Image!);
        return ImageRow.From(
            new Dictionary<string, ImageFacts> { [Busybox] = new(Busybox, Digest, 2_000_000, Now.AddDays(-10)) }, actual, Memory(), agentAlive);
    }

    private static KeyState Said(string ns, string name, bool ready, string reason, DateTimeOffset at) => new()
    {
        Kind = ResourceKind.Container, Namespace = ns, Name = name, Ready = ready, Reason = reason, Since = at, At = at,
    };

    private static ActualContainer Container(string ns, string name, long incarnation) => new()
    {
        Id = $"{ns}-{name.Replace('/', '-')}-{incarnation}",
        Key = new ResourceKey(ResourceKind.Container, ns, name),
        SpecHash = "v1-a",
        Source = "file:site/web.yaml",
        State = ContainerState.Running,
        Incarnation = incarnation,
        Pid = 4711,
        CreatedAt = Now.AddHours(-76),
        StartedAt = Now.AddHours(-76),
        ImageReference = Busybox,
        ImageDigest = Digest,
    };
}

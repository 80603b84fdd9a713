using System.Text.Json.Nodes;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Planning;

namespace Reconciler.Agent.Tests.Commands;

public sealed class PlanTextTests
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 12, 0, 0, TimeSpan.Zero);

    private static readonly ContainerProcess Old = new()
    {
        Image = "reg/app:1", Command = ["/app"], Args = ["--port", "80"],
        Env = [new EnvVar("LEVEL", "info"), new EnvVar("TOKEN", "s3cret")],
        Mounts = [new Mount("/data", false, new Volume.HostPath("data", "/srv/data", ""))],
        Limits = new ResourceLimits(MilliCpu: 500),
    };

    private static readonly ContainerProcess New = Old with
    {
        Image = "reg/app:2", Args = ["--port", "81"],
        Env = [new EnvVar("LEVEL", "debug"), new EnvVar("TOKEN", "s3cret")],
        Mounts = [new Mount("/data", true, new Volume.HostPath("data", "/srv/data", ""))],
        Limits = new ResourceLimits(MemoryBytes: 1024), HostNetwork = true,
    };

    [Fact]
    public void On_a_terminal_lines_have_the_colour_of_their_symbol() => Assert.Equal(
        "\e[33m~ default/web/a: Replacing\e[0m\n\e[31m    - stop container x (y)\e[0m\n\e[32m    + create container z\e[0m\n0 to make, 1 to change.\n",
        PlanText.Colored("~ default/web/a: Replacing\n    - stop container x (y)\n    + create container z\n0 to make, 1 to change.\n"));

    [Fact]
    public void A_plan_is_lines_with_signs_reasons_and_the_fields_that_differ()
    {
        Assert.Equal(
            """
            ~ default/web/server: Replacing: its declaration changed
                ~ image: "reg/app:1" -> "reg/app:2"
                ~ args: ["--port","80"] -> ["--port","81"]
                ~ env.LEVEL: "info" -> "debug"
                ~ mounts[/data]: {"mountPath":"/data","volume":"data","hostPath":"/srv/data"} -> {"mountPath":"/data","readOnly":true,"volume":"data","hostPath":"/srv/data"}
                ~ limits.milliCpu: 500 -> (unset)
                ~ limits.memory: (unset) -> 1024
                ~ hostNetwork: (unset) -> true
                + pull image reg/app:2 (not on the node)
                - stop container default-web-server-7 (its declaration changed)
                - delete container default-web-server-7 (its declaration changed)
                + create container with image reg/app:2 (its declaration changed)
            + default/api/main: Creating: declared and not there
                + create container with image reg/app:1 (declared and not there)
            - default/old/main: Removing: no longer declared
                - stop container default-old-main-3 (no longer declared)
                - delete container default-old-main-3 (no longer declared)
            - image reg/old:1: Unused
                - remove image reg/old:1 (unused for 1 h)
            1 to make, 1 to change, 2 to remove.

            """,
            PlanText.Of(Plans(), showEnv: true));
    }

    [Fact]
    public void Env_values_are_for_root_only()
    {
        var text = PlanText.Of(Plans(), showEnv: false);

        Assert.Contains("env.LEVEL: (changed) -> (changed)", text, StringComparison.Ordinal);
        Assert.DoesNotContain("debug", text, StringComparison.Ordinal);
        Assert.DoesNotContain("debug", PlanText.Json(Plans()[0], showEnv: false).ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_to_do_says_so() => Assert.Equal("Nothing to do.\n", PlanText.Of([Quiet], showEnv: true));

    [Fact]
    public void What_waits_says_how_long_and_why() => Assert.Equal(
        ["default/bad/main: waits 16s: CrashLoopBackOff: exit code 1"],
        PlanText.Waits([Quiet, Waiting], Now));

    [Fact]
    public void Json_has_every_action_and_field()
    {
        var json = JsonNode.Parse(ListOutput.Document("PlanList", Plans().Select(planned => PlanText.Json(planned, true)), OutputFormat.Json))!;

        var web = json["items"]![0]!;
        Assert.Equal("~", (string?)web["change"]);
        Assert.Equal(4, web["actions"]!.AsArray().Count);
        Assert.Equal("\"debug\"", (string?)web["fields"]!.AsArray().Single(field => (string?)field!["field"] == "env.LEVEL")!["new"]);
    }

    [Fact]
    public void Every_kind_of_action_has_words() // a new one must not end the agent in a log line
    {
        var kinds = typeof(NodeAction).GetNestedTypes().Where(type => type.IsSubclassOf(typeof(NodeAction))).ToList();
        NodeAction[] all =
        [
            new NodeAction.PullImage("i", null, "r"), new NodeAction.CreateContainer(Spec(Old), 1, null, 0, 0, "r"), new NodeAction.StopContainer("c", TimeSpan.Zero, null, "r"),
            new NodeAction.DeleteContainer("c", "r"), new NodeAction.RecordExit("c", "r"), new NodeAction.AdoptContainer("c", "file:a", TimeSpan.Zero, "r"),
            new NodeAction.RemoveImage("i", "r"), new NodeAction.MarkImage("i", null, "r"),
        ];

        Assert.Equal(kinds.OrderBy(kind => kind.Name), all.Select(action => action.GetType()).OrderBy(kind => kind.Name));
        Assert.All(all, action => Assert.NotEmpty(ActionText.Of(action)));
    }

    [Fact]
    public void Processes_with_different_hashes_differ_in_a_field()
    {
        ContainerProcess[] variants =
        [
            Old, New, Old with { Command = [] }, Old with { WorkingDir = "/x" }, Old with { Env = [] }, Old with { Env = [new EnvVar("TOKEN", "s3cret"), new EnvVar("LEVEL", "info")] },
            Old with { Mounts = [] }, Old with { Security = new SecuritySettings { Privileged = true } }, Old with { Limits = new ResourceLimits() }, Old with { HostPid = true },
            Old with { Security = new SecuritySettings { AddCapabilities = ["NET_ADMIN"] } },
        ];
        foreach (var one in variants)
        {
            foreach (var two in variants)
            {
                Assert.Equal(SpecHash.Of(one) == SpecHash.Of(two), ProcessDiff.Of(one, two, showEnv: true).Count == 0);
            }
        }
    }

    [Fact]
    public void A_new_variable_is_one_line_and_a_new_order_is_told()
    {
        var more = Old with { Env = [.. Old.Env, new EnvVar("NEW", "1")] };
        Assert.Equal(["env.NEW: (unset) -> \"1\""], ProcessDiff.Of(Old, more, showEnv: true).Select(change => change.ToString()));

        Assert.Equal(["env.LEVEL: (unset) -> \"info\"", "env.TOKEN: (unset) -> \"s3cret\""], ProcessDiff.Of(Old with { Env = [] }, Old, showEnv: true).Select(change => change.ToString()));

        var turned = Old with { Env = [Old.Env[1], Old.Env[0]] };
        Assert.Equal(["order of env: LEVEL,TOKEN -> TOKEN,LEVEL"], ProcessDiff.Of(Old, turned, showEnv: true).Select(change => change.ToString()));
    }

    private static PlannedKey Quiet => Planned(ResourceKey.Container("default", "ok", "main"), [Running("default-ok-main-1", Old)], new Condition(true, "Running"));

    private static PlannedKey Waiting => Planned(ResourceKey.Container("default", "bad", "main"), [], new Condition(false, "CrashLoopBackOff", "exit code 1"), at: Now.AddSeconds(16));

    private static List<PlannedKey> Plans() =>
    [
        Planned(
            ResourceKey.Container("default", "web", "server"), [Running("default-web-server-7", Old)], new Condition(false, "Replacing", "its declaration changed"),
            new NodeAction.PullImage("reg/app:2", null, "not on the node"),
            new NodeAction.StopContainer("default-web-server-7", TimeSpan.FromSeconds(30), null, "its declaration changed"),
            new NodeAction.DeleteContainer("default-web-server-7", "its declaration changed"),
            new NodeAction.CreateContainer(Spec(New), 8, null, 0, 0, "its declaration changed")),
        Planned(
            ResourceKey.Container("default", "api", "main"), [], new Condition(false, "Creating", "declared and not there"),
            new NodeAction.CreateContainer(Spec(Old), 1, null, 0, 0, "declared and not there")),
        Quiet,
        Planned(
            ResourceKey.Container("default", "old", "main"), [Running("default-old-main-3", Old)], new Condition(false, "Removing", "no longer declared"),
            new NodeAction.StopContainer("default-old-main-3", TimeSpan.FromSeconds(30), null, "no longer declared"),
            new NodeAction.DeleteContainer("default-old-main-3", "no longer declared")),
        Waiting,
        Planned(ResourceKey.Image("reg/old:1"), [], new Condition(true, "Unused"), new NodeAction.RemoveImage("reg/old:1", "unused for 1 h")),
    ];

    private static PlannedKey Planned(ResourceKey key, ActualContainer[] containers, Condition condition, params NodeAction[] actions) =>
        Planned(key, containers, condition, null, actions);

    private static PlannedKey Planned(ResourceKey key, ActualContainer[] containers, Condition condition, DateTimeOffset? at, params NodeAction[] actions) =>
        new(key, Wish.NotDeclared.Instance, new Actual(containers.ToEquatableArray(), null), new Plan(actions.ToEquatableArray(), at, condition));

    private static ActualContainer Running(string id, ContainerProcess process) => new()
    {
        Id = id, Key = ResourceKey.Container("default", "web", "server"), SpecHash = SpecHash.Of(process), Source = "file:a", State = ContainerState.Running, Incarnation = 7, Process = process,
    };

    private static ContainerSpec Spec(ContainerProcess process) => new()
    {
        Key = ResourceKey.Container("default", "web", "server"), Source = "file:a", Namespace = "default", Workload = "web", Name = "server", Process = process, Hash = SpecHash.Of(process),
    };
}

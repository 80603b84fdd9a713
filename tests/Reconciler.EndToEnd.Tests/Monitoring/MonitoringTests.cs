using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Reconciler.Testing;
using Reconciler.Testing.Monitoring;

namespace Reconciler.EndToEnd.Tests.Monitoring;

/// <summary>What Prometheus makes of agent and controller, and what manifests/monitoring makes of Prometheus.</summary>
public sealed partial class MonitoringTests(ClusterFixture cluster) : IClassFixture<ClusterFixture>
{
    private const string Secret = "hunter2-in-the-environment";

    private static readonly string Folder = Path.Combine(Checkout.Root, "manifests/monitoring");
    private static readonly string Rules = Path.Combine(Folder, "rules.yaml");

    [Fact]
    public async Task The_alerts_fire_when_they_should_and_not_before()
    {
        using var folder = new TempFolder();
        var tests = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "tests/Reconciler.EndToEnd.Tests/Monitoring/rules.test.yaml"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(folder["rules.test.yaml"], tests.Replace("[RULES]", $"[\"{Rules}\"]", StringComparison.Ordinal), TestContext.Current.CancellationToken);

        await Shell.OutputAsync("promtool", "check", "rules", Rules);
        await Shell.OutputAsync("promtool", "test", "rules", folder["rules.test.yaml"]);
    }

    [Fact]
    public async Task The_overlay_installs_and_opens_the_port_of_the_agents_where_the_kubelet_and_Prometheus_ask()
    {
        var overlay = Path.Combine(Checkout.Root, "manifests/overlays/monitored");
        await cluster.Api.KubectlAsync("apply", "--dry-run=server", "-k", overlay);
        var text = await cluster.Api.KubectlAsync("kustomize", overlay);

        Assert.Contains("- --metrics-address=$(HOST_IP):9808\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("host: 127.0.0.1", text, StringComparison.Ordinal); // the probes' address is then the pod's, which is the node's
        Assert.Equal(2, text.Split("prometheus.io/port: \"9808\"\n").Length - 1);
        Assert.Contains("name: reconciler-rules\n", text, StringComparison.Ordinal);
        Assert.Contains("grafana_dashboard: \"1\"\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_the_Prometheus_operator_gets_has_the_same_rules_and_finds_our_pods_under_their_jobs()
    {
        var rules = await File.ReadAllTextAsync(Rules, TestContext.Current.CancellationToken);
        var forOperator = await File.ReadAllTextAsync(Path.Combine(Folder, "operator/rules.yaml"), TestContext.Current.CancellationToken);
        Assert.Equal("  " + rules[rules.IndexOf("groups:", StringComparison.Ordinal)..].TrimEnd().Replace("\n", "\n  ", StringComparison.Ordinal), forOperator.Split("\nspec:\n")[1].TrimEnd());

        await cluster.Api.KubectlAsync("apply", "-f", Path.Combine(Checkout.Root, "tests/Reconciler.EndToEnd.Tests/Monitoring/operator-crds.yaml"));
        await Eventually.UntilAsync(
            async () => (await cluster.Api.TryKubectlAsync(cluster.Api.Kubeconfig, "get", "prometheusrules,podmonitors", "-A")).ExitCode == 0, "the operator's kinds are served");
        var overlay = Path.Combine(Checkout.Root, "manifests/overlays/prometheus-operator");
        var applied = JsonNode.Parse(await cluster.Api.KubectlAsync("apply", "--dry-run=server", "-o", "json", "-k", overlay))!["items"]!.AsArray();
        JsonNode Of(string kind) => applied.Single(item => (string)item!["kind"]! == kind)!;

        var alerts = Of("PrometheusRule")["spec"]!["groups"]!.AsArray().SelectMany(group => group!["rules"]!.AsArray()).Select(rule => (string)rule!["alert"]!).ToList();
        Assert.Equal(Alert().Matches(rules).Select(match => match.Groups[1].Value), alerts);
        var monitor = Of("PodMonitor")["spec"]!;
        var endpoint = monitor["podMetricsEndpoints"]!.AsArray().Single()!;
        Assert.True((bool)endpoint["honorLabels"]!);
        foreach (var (kind, job) in new[] { ("DaemonSet", "reconciler-agent"), ("Deployment", "reconciler-controller") })
        {
            var pod = Of(kind)["spec"]!["template"]!;
            var labels = pod["metadata"]!["labels"]!.AsObject();
            Assert.All(monitor["selector"]!["matchLabels"]!.AsObject(), wanted => Assert.Equal((string?)wanted.Value, (string?)labels[wanted.Key]));
            Assert.Equal(job, (string?)labels[(string)monitor["jobLabel"]!]);
            Assert.Contains(pod["spec"]!["containers"]!.AsArray().Single()!["ports"]!.AsArray(), port => (string)port!["name"]! == (string)endpoint["port"]!);
            Assert.Contains($"job=\"{job}\"", rules, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Prometheus_finds_every_name_of_dashboard_rules_and_docs_in_a_real_agent_and_controller()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.Declare("web.yaml", Manifest.Sleepers("web", $"main={Secret}"));
        node.Declare("image.yaml", $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {{name: kept}}\nspec:\n  images: [{{image: \"{SharedRegistry.Busybox}\"}}]\n");
        node.StartClusterAgent(await cluster.AgentKubeconfigAsync("node-1"), "--manifests", node.Manifests, "--metrics-address", "127.0.0.1:0", "--resync-interval", "1s");
        using var controller = cluster.StartController(await cluster.ControllerKubeconfigAsync(), "--metrics-address", "127.0.0.1:0");
        var first = await node.RunningAsync("default-web-main");
        Signals.Send(first.Pid, Signals.Kill);
        await node.ReplacedAsync("default-web-main", first);

        var agent = await AddressIn(() => node.AgentLog, "the agent serves its metrics");
        var leader = await AddressIn(() => controller.Log, "the controller serves its metrics");
        await using var prometheus = await Prometheus.StartAsync([("reconciler-agent", agent), ("reconciler-controller", leader)], Rules);

        await AreSoAsync(prometheus,
            "reconciler_container_restarts_total{namespace='default',workload='web',container='main'} == 1",
            "reconciler_container_ready{namespace='default',workload='web',container='main'} == 1",
            "reconciler_exit_to_running_seconds_count{after='exit'} == 1",
            "reconciler_pull_duration_seconds_count{outcome='Pulled'} >= 1",
            "reconciler_pull_bytes_total > 100000",
            "reconciler_actions_total{action='CreateContainer',outcome='done'} == 2",
            "reconciler_reconciles_total{kind='container',outcome='acted'} >= 2",
            "reconciler_containers{reason='Running'} == 1",
            "sum(reconciler_images) == 1",
            "reconciler_agent_phase{phase='Running'} == 1",
            "reconciler_source_synced{source=~'file:.*'} == 1",
            "reconciler_source_synced{source='kubernetes'} == 1",
            "reconciler_containerd_up == 1",
            "reconciler_containerd_calls_total{method='Tasks.Start',code='OK'} == 2",
            "reconciler_leader == 1",
            "reconciler_controller_nodes >= 0",
            "process_resident_memory_bytes > 1000000",
            "up{job='reconciler-agent'} == 1");
        var names = (await prometheus.GetAsync("label/__name__/values")).AsArray().Select(name => (string)name!).ToHashSet(StringComparer.Ordinal);
        var expressions = await ExpressionsAsync();
        Assert.Equal("", string.Join(' ', expressions.SelectMany(NamesIn).Distinct().Except(names)));
        foreach (var expression in expressions) await prometheus.QueryAsync(expression.Replace("$instance", ".*", StringComparison.Ordinal)); // throws if it cannot be read
        Assert.DoesNotContain((await prometheus.GetAsync("rules"))["groups"]!.AsArray().SelectMany(group => group!["rules"]!.AsArray()), rule => (string?)rule!["health"] == "err");

        string[] texts = [await ScrapeAsync(agent), await ScrapeAsync(leader)];
        foreach (var text in texts)
        {
            Assert.DoesNotContain(Secret, text, StringComparison.Ordinal);
            await PromtoolAcceptsAsync(text);
        }
        var docs = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "docs/metrics.md"), TestContext.Current.CancellationToken);
        Assert.Equal(new SortedSet<string>(texts.SelectMany(FamiliesIn), StringComparer.Ordinal), new SortedSet<string>(FamiliesInDocs(docs), StringComparer.Ordinal));
    }

    private static async Task AreSoAsync(Prometheus prometheus, params string[] expressions)
    {
        foreach (var expression in expressions)
            await Eventually.UntilAsync(async () => (await prometheus.QueryAsync(expression)).Count > 0, expression);
    }

    private static async Task<string> ScrapeAsync(string address)
    {
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"); // as Prometheus does
        using var answer = await http.GetAsync(new Uri($"http://{address}/metrics"), TestContext.Current.CancellationToken);
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        return await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>It also lints: names, units and help.</summary>
    private static async Task PromtoolAcceptsAsync(string text)
    {
        using var folder = new TempFolder();
        await File.WriteAllTextAsync(folder["metrics"], text, TestContext.Current.CancellationToken);
        Assert.Equal("", await Shell.OutputAsync("/bin/sh", "-c", "promtool check metrics <\"$1\" 2>&1", "sh", folder["metrics"]));
    }

    /// <summary>As the docs have them: name, type, labels, meaning.</summary>
    private static IEnumerable<string> FamiliesIn(string text)
    {
        var lines = text.Split('\n');
        foreach (var (name, help) in lines.Where(line => line.StartsWith("# HELP ", StringComparison.Ordinal)).Select(line => (line.Split(' ')[2], line.Split(' ', 4)[3])))
        {
            var type = lines.Single(line => line.StartsWith($"# TYPE {name} ", StringComparison.Ordinal)).Split(' ')[3];
            var sample = lines.FirstOrDefault(line => line.StartsWith(name + "{", StringComparison.Ordinal) || line.StartsWith(name + "_count{", StringComparison.Ordinal)) ?? "";
            yield return $"| `{name}` | {type} | {string.Join(", ", Label().Matches(sample).Select(match => match.Groups[1].Value))} | {help} |";
        }
    }

    private static IEnumerable<string> FamiliesInDocs(string docs) => docs.Split('\n').Where(line => DocumentedFamily().IsMatch(line));

    private static async Task<string> AddressIn(Func<string> log, string what) => await Eventually.GetAsync(
        () => Task.FromResult(Address().Match(log()) is { Success: true } match ? match.Groups[1].Value : null), what);

    /// <summary>Of all panels, and of all rules.</summary>
    private static async Task<List<string>> ExpressionsAsync()
    {
        var dashboard = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, "dashboard.json"), TestContext.Current.CancellationToken))!;
        var panels = dashboard["panels"]!.AsArray().SelectMany(panel => panel!["targets"]?.AsArray() ?? []).Select(target => (string)target!["expr"]!).ToList();
        var rules = RuleExpression().Matches(await File.ReadAllTextAsync(Rules, TestContext.Current.CancellationToken)).Select(match => match.Groups[1].Value).ToList();
        Assert.NotEmpty(panels);
        Assert.NotEmpty(rules);
        return [.. panels, .. rules];
    }

    private static IEnumerable<string> NamesIn(string expression) => Name().Matches(expression).Select(match => match.Value);

    [GeneratedRegex("--metrics-address.*http://(127\\.0\\.0\\.1:[0-9]+)")]
    private static partial Regex Address();

    [GeneratedRegex("\\b(?:reconciler|process)_[a-z_]+\\b")]
    private static partial Regex Name();

    [GeneratedRegex("([a-z]+)=\"")]
    private static partial Regex Label();

    [GeneratedRegex("^[|] `(?:reconciler|process)_[a-z_]+` [|]")]
    private static partial Regex DocumentedFamily();

    [GeneratedRegex("^ +- alert: (.*)$", RegexOptions.Multiline)]
    private static partial Regex Alert();

    [GeneratedRegex("^ +expr: (.*)$", RegexOptions.Multiline)]
    private static partial Regex RuleExpression();
}

using Microsoft.Extensions.Logging;
using Reconciler.Agent.Hosting;
using Reconciler.Testing;

namespace Reconciler.Agent.Tests.Hosting;

public sealed class SettingsTests : IDisposable
{
    private readonly TempFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_setting_can_be_given_as_flag_variable_and_key()
    {
        var samples = Samples.ToDictionary(sample => sample.Name);
        Assert.Equal(Settings.All.Select(setting => setting.Name).Order(), samples.Keys.Order());
        foreach (var setting in Settings.All)
        {
            var (_, values, check) = samples[setting.Name];
            check(Read(flags: new() { [setting.Name] = values }));
            check(Read(variables: new() { [setting.Variable] = string.Join(", ", values) }));
            check(Read(config: setting.Shape is SettingShape.Repeatable ? $"{setting.Name}: [\"{string.Join("\", \"", values)}\"]" : $"{setting.Name}: \"{string.Join(',', values)}\""));
        }
    }

    [Fact]
    public void The_DaemonSet_gives_settings_that_there_are()
    {
        var text = File.ReadAllText(Path.Combine(Checkout.Root, "manifests/base/agent.yaml"));
        var args = text.Split("args: [")[1].Split(']')[0].Split(',', StringSplitOptions.TrimEntries);
        Assert.Equal("agent", args[0]);
        Assert.All(args.Skip(1), arg => Assert.Contains(Settings.Agent, setting => setting.Flag == arg.Split('=')[0]));
        var variables = text.Split("- name: RECONCILER_").Skip(1).Select(part => "RECONCILER_" + part.Split('\n')[0].Trim()).ToList();
        Assert.NotEmpty(variables);
        Assert.All(variables, variable => Assert.Contains(Settings.Agent, setting => setting.Variable == variable));
    }

    [Fact]
    public void A_flag_goes_before_a_variable_and_a_variable_before_the_file()
    {
        const string file = "state-dir: /file\nlog-dir: /file\nnode-name: file\nmanifests: [file1, file2]\n";
        var variables = new Dictionary<string, string> { ["RECONCILER_LOG_DIR"] = "/variable", ["RECONCILER_NODE_NAME"] = "variable", ["RECONCILER_MANIFESTS"] = "" };

        var options = Read(new() { ["node-name"] = ["flag"] }, variables, file);

        Assert.Equal("/file", options.StateDir);
        Assert.Equal("/variable", options.LogDir);
        Assert.Equal("flag", options.NodeName);
        Assert.Equal(["file1", "file2"], options.Manifests); // an empty variable is none
    }

    [Fact]
    public void Lists_are_replaced_not_added_up()
    {
        var options = Read(new() { ["plain-http"] = ["flag:1"] }, new() { ["RECONCILER_PLAIN_HTTP"] = "a:1,b:2" });

        Assert.Equal(["flag:1"], options.PlainHttp);
    }

    [Fact]
    public void Without_anything_the_defaults_hold()
    {
        var options = Read(new() { ["node-name"] = ["n"] });

        Assert.Equal("/run/containerd/containerd.sock", options.ContainerdAddress);
        Assert.False(options.ContainerdAddressGiven);
        Assert.Equal("reconciler", options.ContainerdNamespace);
        Assert.Equal("/var/lib/reconciler", options.StateDir);
        Assert.Equal("/var/log/reconciler", options.LogDir);
        Assert.Equal("/", options.HostRoot);
        Assert.Equal("/etc/containerd/certs.d", options.RegistryHostsDir);
        Assert.Equal(0.05, options.LogReserve);
        Assert.Equal(10 << 20, options.LogMaxBytes);
        Assert.Equal(TimeSpan.FromSeconds(60), options.ResyncInterval);
        Assert.Equal(LogLevel.Information, options.LogLevel);
        Assert.Equal(LogFormat.Text, options.LogFormat);
        Assert.Equal(("127.0.0.1:9808", false), (options.MetricsAddress!.ToString(), options.MetricsAddress.Given));
        Assert.Null(options.OtlpEndpoint);
    }

    [Fact]
    public void The_config_file_may_hold_mappings_comments_and_nothing()
    {
        var labels = Read(config: "# labels\nnode-labels:\n  zone: north\n  example.org/disk: ssd\nembedded-containerd: true\n");
        Assert.Equal("north", labels.NodeLabels["zone"]);
        Assert.Equal("ssd", labels.NodeLabels["example.org/disk"]);
        Assert.True(labels.EmbeddedContainerd);

        Assert.Equal("/var/lib/reconciler", Read(config: "# nothing\n").StateDir);
        Assert.Equal("/var/lib/reconciler", Read(config: "").StateDir);
    }

    [Fact]
    public void The_config_file_can_come_from_the_environment()
    {
        File.WriteAllText(_folder["c.yaml"], "node-name: from-file\n");

        var options = SettingsReader.Read(Settings.Node, _ => null, null, name => name == "RECONCILER_CONFIG" ? _folder["c.yaml"] : null);

        Assert.Equal("from-file", options.NodeName);
    }

    [Fact]
    public void A_key_of_another_command_is_checked_and_ignored_as_a_variable()
    {
        File.WriteAllText(_folder["c.yaml"], "log-reserve: 7\n");
        var error = Assert.Throws<SettingException>(() => SettingsReader.Read(Settings.Node, _ => null, _folder["c.yaml"], _ => null));
        Assert.Contains("c.yaml:1: log-reserve", error.Message, StringComparison.Ordinal);

        var options = SettingsReader.Read(Settings.Node, _ => null, null, name => name == "RECONCILER_LOG_RESERVE" ? "7" : null);
        Assert.Equal(0.05, options.LogReserve);
    }

    [Theory]
    [InlineData("containerd-address", "run/c.sock", "absolute path")]
    [InlineData("containerd-address", "/a/../b", "absolute path")]
    [InlineData("containerd-address", "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678", "107 bytes")]
    [InlineData("containerd-namespace", "a--b", "letters")]
    [InlineData("containerd-namespace", "", "letters")]
    [InlineData("state-dir", "state", "absolute path")]
    [InlineData("log-dir", "", "absolute path")]
    [InlineData("host-root", "host", "absolute path")]
    [InlineData("node-name", "Edge_7", "DNS name")]
    [InlineData("node-labels", "zone", "key=value")]
    [InlineData("node-labels", "zone=-x", "key=value")]
    [InlineData("node-labels", "a=1,a=2", "twice")]
    [InlineData("plain-http", "http://host", "host:port")]
    [InlineData("manifests", "", "a path")]
    [InlineData("embedded-containerd", "yes", "true or false")]
    [InlineData("log-max-size", "10", "65536")]
    [InlineData("log-max-size", "10MB", "10Mi")]
    [InlineData("log-max-files", "0", "from 1 to 100")]
    [InlineData("log-max-total", "10k", "1048576")]
    [InlineData("log-reserve", "95%", "0.9")]
    [InlineData("log-reserve", "7", "0.9")]
    [InlineData("log-reserve", "-1", "0.9")]
    [InlineData("resync-interval", "60", "1m30s")]
    [InlineData("resync-interval", "10ms", "1s")]
    [InlineData("resync-interval", "25h", "24h")]
    [InlineData("log-level", "verbose", "debug")]
    [InlineData("log-format", "xml", "text or json")]
    [InlineData("http-address", "off", "or none")]
    [InlineData("metrics-address", "9808", "127.0.0.1:9808")]
    [InlineData("metrics-address", "node-1:9808", "127.0.0.1:9808")]
    [InlineData("metrics-address", "127.0.0.1:65536", "127.0.0.1:9808")]
    [InlineData("metrics-address", "::1:9808", "[::1]:9808")]
    [InlineData("oci-runtime", "bin/crun", "absolute path")]
    [InlineData("oci-runtime", "crun --debug", "absolute path")]
    [InlineData("oci-runtime", "", "absolute path")]
    [InlineData("systemd-cgroup", "systemd", "true or false")]
    [InlineData("otlp-endpoint", "collector:4318", "http or https URL")]
    [InlineData("otlp-endpoint", "http://user:word@collector:4318", "OTEL_EXPORTER_OTLP_HEADERS")]
    [InlineData("docker-config", "", "a path")]
    [InlineData("registry-hosts-dir", "certs.d", "absolute path")]
    public void A_bad_value_is_named_with_its_place_and_what_is_right(string name, string value, string right)
    {
        var setting = Settings.All.Single(s => s.Name == name);
        var flag = Assert.Throws<SettingException>(() => Read(new() { [name] = [value] })).Message;
        Assert.StartsWith($"--{name}: \"{value}\"", flag, StringComparison.Ordinal);
        Assert.Contains(right, flag, StringComparison.Ordinal);

        var file = Assert.Throws<SettingException>(() => Read(config: $"# c\n{name}: \"{value}\"\n")).Message;
        Assert.Contains($"config.yaml:2: {name}: \"{value}\"", file, StringComparison.Ordinal);
        Assert.Contains(right, file, StringComparison.Ordinal);

        if (value.Length == 0) return; // an empty variable is not set
        var variable = Assert.Throws<SettingException>(() => Read(variables: new() { [setting.Variable] = value })).Message;
        Assert.StartsWith($"{setting.Variable}: \"{value}\"", variable, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://c:4318", "http://c:4318/v1/traces")]
    [InlineData("http://c:4318/", "http://c:4318/v1/traces")]
    [InlineData("https://c/otlp/", "https://c/otlp/v1/traces")]
    [InlineData("https://c/v1/traces", "https://c/v1/traces")]
    public void The_path_of_traces_is_added_where_it_is_missing(string given, string endpoint) => Assert.Equal(endpoint, SettingValues.OtlpEndpoint(given).ToString());

    [Fact]
    public void The_client_gets_the_settings_of_registries()
    {
        var options = Read(new() { ["plain-http"] = ["r:1"], ["docker-config"] = ["/c.json"], ["registry-hosts-dir"] = ["/hosts"], ["host-root"] = ["/host"] });

        var client = NodeConnection.ClientOptions(options, TimeSpan.FromSeconds(1), TimeProvider.System, null);

        Assert.Equal(["r:1"], client.Registry.PlainHttpHosts);
        Assert.Equal(("/c.json", "/hosts", "/host"), (client.Registry.DockerConfigPath, client.Registry.HostsDirectory, client.HostRoot));
    }

    [Fact]
    public void The_client_gets_the_settings_of_the_runtime()
    {
        var client = NodeConnection.ClientOptions(Read(new() { ["oci-runtime"] = ["/bin/crun"], ["systemd-cgroup"] = ["true"] }), TimeSpan.FromSeconds(1), TimeProvider.System, null);

        Assert.Equal(("/bin/crun", true), (client.RuntimeBinary, client.SystemdCgroup));
    }

    [Theory]
    [InlineData("statedir: /x", ":1: right is: a setting; \"statedir\" is none, did you mean state-dir")]
    [InlineData("nonsense: 1", ":1: right is: a setting; \"nonsense\" is none")]
    [InlineData("- a", ":1: right is: a mapping")]
    [InlineData("state-dir: [a]", ":1: right is: state-dir: one plain value")]
    [InlineData("\nmanifests: {a: b}", ":2: right is: manifests: a list")]
    [InlineData("state-dir: /a\nstate-dir: /b", ":2: right is: each setting once")]
    [InlineData("state-dir: \"/x", "not YAML")]
    [InlineData("state-dir: /a\n---\nlog-dir: /b", ":2: right is: one document only")]
    public void A_bad_config_file_is_named_with_line(string text, string message)
    {
        var error = Assert.Throws<SettingException>(() => Read(config: text));

        Assert.Contains(_folder["config.yaml"], error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_config_file_is_named()
    {
        var error = Assert.Throws<SettingException>(() => SettingsReader.Read(Settings.Node, _ => null, _folder["none.yaml"], _ => null));

        Assert.Contains(_folder["none.yaml"], error.Message, StringComparison.Ordinal);
    }

    private static readonly (string Name, string[] Values, Action<NodeOptions> Check)[] Samples =
    [
        ("containerd-address", ["unix:///run/c.sock"], o => Assert.Equal(("/run/c.sock", true), (o.ContainerdAddress, o.ContainerdAddressGiven))),
        ("containerd-namespace", ["k8s.io"], o => Assert.Equal("k8s.io", o.ContainerdNamespace)),
        ("state-dir", ["/s/"], o => Assert.Equal("/s", o.StateDir)),
        ("log-dir", ["/l"], o => Assert.Equal("/l", o.LogDir)),
        ("node-name", ["edge-7.example.org"], o => Assert.Equal("edge-7.example.org", o.NodeName)),
        ("host-root", ["/host"], o => Assert.Equal("/host", o.HostRoot)),
        ("embedded-containerd", ["true"], o => Assert.True(o.EmbeddedContainerd)),
        ("log-level", ["debug"], o => Assert.Equal(LogLevel.Debug, o.LogLevel)),
        ("log-format", ["json"], o => Assert.Equal(LogFormat.Json, o.LogFormat)),
        ("otlp-endpoint", ["http://127.0.0.1:4318"], o => Assert.Equal(new Uri("http://127.0.0.1:4318/v1/traces"), o.OtlpEndpoint)),
        ("manifests", ["a", "./b/"], o => Assert.Equal(["a", "./b/"], o.Manifests)),
        ("kubernetes", ["true"], o => Assert.True(o.Kubernetes)),
        ("kubeconfig", ["/etc/kubeconfig"], o => Assert.Equal("/etc/kubeconfig", o.Kubeconfig)),
        ("lease-namespace", ["agents"], o => Assert.Equal("agents", o.LeaseNamespace)),
        ("accept-data-loss", ["true"], o => Assert.True(o.AcceptDataLoss)),
        ("node-labels", ["a=1", "example.org/b="], o => Assert.Equal("a=1 example.org/b=", string.Join(' ', o.NodeLabels.Select(l => $"{l.Key}={l.Value}")))),
        ("plain-http", ["localhost:5000", "[::1]:5000"], o => Assert.Equal(["localhost:5000", "[::1]:5000"], o.PlainHttp)),
        ("docker-config", ["/root/config.json"], o => Assert.Equal("/root/config.json", o.DockerConfig)),
        ("registry-hosts-dir", ["/etc/certs.d/"], o => Assert.Equal("/etc/certs.d", o.RegistryHostsDir)),
        ("oci-runtime", ["crun"], o => Assert.Equal("crun", o.OciRuntime)),
        ("systemd-cgroup", ["true"], o => Assert.True(o.SystemdCgroup)),
        ("leader-election-namespace", ["kube-system"], o => Assert.Equal("kube-system", o.LeaderElectionNamespace)),
        ("log-max-size", ["1.5Mi"], o => Assert.Equal(1572864, o.LogMaxBytes)),
        ("log-max-files", ["5"], o => Assert.Equal(5, o.LogMaxFiles)),
        ("log-max-total", ["2Gi"], o => Assert.Equal(2L << 30, o.LogMaxTotal)),
        ("log-reserve", ["12%"], o => Assert.Equal(0.12, o.LogReserve)),
        ("http-address", ["none"], o => Assert.Null(o.HttpAddress)),
        ("metrics-address", ["[::1]:9808"], o => Assert.Equal(("[::1]:9808", true), (o.MetricsAddress!.ToString(), o.MetricsAddress.Given))),
        ("resync-interval", ["1m30s"], o => Assert.Equal(TimeSpan.FromSeconds(90), o.ResyncInterval)),
    ];

    [Theory]
    [InlineData("v1.5.9", true)]
    [InlineData("1.4.13~ds1", true)]
    [InlineData("v1.6.0-rc.1", false)]
    [InlineData("1.6.20~ds1", false)]
    [InlineData("v2.1.9", false)]
    [InlineData("v10.0.0", false)]
    [InlineData("unknown", false)]
    [InlineData("", false)]
    public void A_containerd_before_1_6_is_too_old(string version, bool tooOld) =>
        Assert.Equal(tooOld ? $"containerd {version} at /s is too old: 1.6 or later is needed" : null, NodeConnection.TooOld(version, "/s"));

    private NodeOptions Read(Dictionary<string, string[]>? flags = null, Dictionary<string, string>? variables = null, string? config = null)
    {
        string? path = null;
        if (config is not null) File.WriteAllText(path = _folder["config.yaml"], config);
        return SettingsReader.Read(Settings.All, setting => flags?.GetValueOrDefault(setting.Name), path, name => variables?.GetValueOrDefault(name));
    }
}

namespace Reconciler.Agent.Hosting;

/// <summary>All settings, and which commands have them.</summary>
internal static class Settings
{
    public const string ConfigFlag = "--config";
    public const string ConfigVariable = "RECONCILER_CONFIG";

    /// <summary>Of an installed package.</summary>
    public const string DefaultConfig = "/etc/reconciler/config.yaml";

    public static readonly Setting ContainerdAddress = Single("containerd-address", "SOCK",
        "containerd's socket (default /run/containerd/containerd.sock; the embedded one's where the state dir has it)",
        (o, v) => o with { ContainerdAddress = SettingValues.Socket(v), ContainerdAddressGiven = true });

    public static readonly Setting ContainerdNamespace = Single("containerd-namespace", "NAME", "containerd namespace of ours alone (default reconciler)",
        (o, v) => o with { ContainerdNamespace = SettingValues.Namespace(v) });

    public static readonly Setting StateDir = Single("state-dir", "DIR", "state and volumes (default /var/lib/reconciler)",
        (o, v) => o with { StateDir = SettingValues.AbsolutePath(v) });

    public static readonly Setting LogDir = Single("log-dir", "DIR", "log files of the containers (default /var/log/reconciler)",
        (o, v) => o with { LogDir = SettingValues.AbsolutePath(v) });

    public static readonly Setting NodeName = Single("node-name", "NAME", "this node's name (default: the host name in lower case)",
        (o, v) => o with { NodeName = SettingValues.NodeName(v) });

    public static readonly Setting HostRoot = Single("host-root", "DIR", "where the host's / is seen from here (default /)",
        (o, v) => o with { HostRoot = SettingValues.AbsolutePath(v) });

    public static readonly Setting EmbeddedContainerd = new("embedded-containerd", "", "use a private containerd with its data under the state dir; agent starts it",
        SettingShape.Switch, (o, v) => o with { EmbeddedContainerd = SettingValues.Switch(v[0]) });

    public static readonly Setting OciRuntime = Single("oci-runtime", "PROGRAM", "what runs the containers: a name on containerd's PATH or a path of the host, e.g. crun (default runc)",
        (o, v) => o with { OciRuntime = SettingValues.OciRuntime(v) });

    public static readonly Setting SystemdCgroup = new("systemd-cgroup", "", "let systemd make the containers' cgroups, in reconciler.slice, instead of the OCI runtime",
        SettingShape.Switch, (o, v) => o with { SystemdCgroup = SettingValues.Switch(v[0]) });

    public static readonly Setting LogLevel = Single("log-level", "LEVEL", "trace, debug, info, warn or error (default info)",
        (o, v) => o with { LogLevel = SettingValues.Level(v) });

    public static readonly Setting LogFormat = Single("log-format", "FORMAT", "the log's lines: text for people, json for programs (default text)",
        (o, v) => o with { LogFormat = SettingValues.Format(v) });

    public static readonly Setting OtlpEndpoint = Single("otlp-endpoint", "URL", "collector that gets a span per pass, action and call, OTLP over HTTP (default OTEL_EXPORTER_OTLP_ENDPOINT, else none)",
        (o, v) => o with { OtlpEndpoint = SettingValues.OtlpEndpoint(v) });

    public static readonly Setting Manifests = new("manifests", "DIR", "folder of YAML that declares what runs; repeatable", SettingShape.Repeatable, ApplyManifests);

    public static readonly Setting Kubernetes = new("kubernetes", "", "follow this node's NodeWorkloads in the cluster", SettingShape.Switch,
        (o, v) => o with { Kubernetes = SettingValues.Switch(v[0]) });

    public static readonly Setting Kubeconfig = Single("kubeconfig", "FILE", "how to reach the cluster (default: the pod's service account)",
        (o, v) => o with { Kubeconfig = SettingValues.NotEmpty(v) });

    public static readonly Setting LeaseNamespace = Single("lease-namespace", "NAME", "namespace of the agents' Leases (default: the pod's, else reconciler-system)",
        (o, v) => o with { LeaseNamespace = SettingValues.Namespace(v) });

    public static readonly Setting LeaderElectionNamespace = Single("leader-election-namespace", "NAME", "namespace of the controllers' Lease (default: that of --lease-namespace)",
        (o, v) => o with { LeaderElectionNamespace = SettingValues.Namespace(v) });

    public static readonly Setting AcceptDataLoss = new("accept-data-loss", "", "remove what an API server that was reset or restored no longer has",
        SettingShape.Switch, (o, v) => o with { AcceptDataLoss = SettingValues.Switch(v[0]) });

    public static readonly Setting NodeLabels = new("node-labels", "K=V,...", "labels of this node, for NodeWorkloadSets", SettingShape.Pairs, ApplyLabels);

    public static readonly Setting PlainHttp = new("plain-http", "HOST[:PORT]", "registry spoken to without TLS; repeatable", SettingShape.Repeatable,
        (o, v) => o with { PlainHttp = [.. v.Select(SettingValues.RegistryHost).Distinct()] });

    public static readonly Setting DockerConfig = Single("docker-config", "FILE", "docker config.json with pull credentials (default $DOCKER_CONFIG, ~/.docker)",
        (o, v) => o with { DockerConfig = Path.GetFullPath(SettingValues.NotEmpty(v)) });

    public static readonly Setting RegistryHostsDir = Single("registry-hosts-dir", "DIR",
        "folder of hosts.toml per registry, as containerd has it: mirrors, certificates (default /etc/containerd/certs.d)",
        (o, v) => o with { RegistryHostsDir = SettingValues.AbsolutePath(v) });

    public static readonly Setting LogMaxSize = Single("log-max-size", "SIZE", "bytes per log file, older ones become a file of their own (default 10Mi)",
        (o, v) => o with { LogMaxBytes = SettingValues.Bytes(v, 64 << 10) });

    public static readonly Setting LogMaxFiles = Single("log-max-files", "N", "files kept per log, the live one included (default 2)",
        (o, v) => o with { LogMaxFiles = SettingValues.Count(v, 1, 100) });

    public static readonly Setting LogMaxTotal = Single("log-max-total", "SIZE", "bytes of all logs of the node; oldest files go first (default: no limit)",
        (o, v) => o with { LogMaxTotal = SettingValues.Bytes(v, 1 << 20) });

    public static readonly Setting LogReserve = Single("log-reserve", "SHARE", "share of the log disk to leave free (default 5%)",
        (o, v) => o with { LogReserve = SettingValues.Share(v) });

    public static readonly Setting ResyncInterval = Single("resync-interval", "TIME", "period of the full list that corrects what events missed (default 60s)",
        (o, v) => o with { ResyncInterval = SettingValues.Duration(v, TimeSpan.FromSeconds(1), TimeSpan.FromHours(24)) });

    public static readonly Setting MetricsAddress = Single("metrics-address", "ADDRESS:PORT", "where /metrics, /healthz and /readyz are served; none = nowhere (default 127.0.0.1:9808)",
        (o, v) => o with { MetricsAddress = SettingValues.Listen(v) });

    public static readonly Setting HttpAddress = Single("http-address", "ADDRESS:PORT", "where a page shows the node, read only; none = nowhere (default 127.0.0.1:9809)",
        (o, v) => o with { HttpAddress = SettingValues.Listen(v) });

    /// <summary>What every command of a node has.</summary>
    public static readonly IReadOnlyList<Setting> Node =
        [ContainerdAddress, ContainerdNamespace, StateDir, LogDir, NodeName, HostRoot, EmbeddedContainerd, LogLevel];

    public static readonly IReadOnlyList<Setting> Declaring = [.. Node, Manifests, Kubernetes, NodeLabels];

    public static readonly IReadOnlyList<Setting> Registry = [PlainHttp, DockerConfig, RegistryHostsDir];

    public static readonly IReadOnlyList<Setting> Agent = [.. Declaring, Kubeconfig, LeaseNamespace, AcceptDataLoss, .. Registry, OciRuntime, SystemdCgroup, LogMaxSize, LogMaxFiles, LogMaxTotal, LogReserve, ResyncInterval, LogFormat, OtlpEndpoint, MetricsAddress, HttpAddress];

    public static readonly IReadOnlyList<Setting> Controller = [Kubeconfig, LeaseNamespace, LeaderElectionNamespace, LogLevel, LogFormat, OtlpEndpoint, MetricsAddress];

    /// <summary>What a config file may hold.</summary>
    public static readonly IReadOnlyList<Setting> All = [.. Agent, LeaderElectionNamespace];

    private static Setting Single(string name, string placeholder, string summary, Func<NodeOptions, string, NodeOptions> apply) =>
        new(name, placeholder, summary, SettingShape.Single, (options, values) => apply(options, values[0]));

    private static NodeOptions ApplyManifests(NodeOptions options, IReadOnlyList<string> folders)
    {
        foreach (var folder in folders) SettingValues.NotEmpty(folder);
        if (folders.Distinct().Count() < folders.Count) throw new SettingException("each folder once");
        return options with { Manifests = [.. folders] };
    }

    private static NodeOptions ApplyLabels(NodeOptions options, IReadOnlyList<string> pairs)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pair in pairs)
        {
            var (key, value) = SettingValues.NodeLabel(pair);
            if (!labels.TryAdd(key, value)) throw new SettingException($"each key once; {key} is there twice");
        }
        return options with { NodeLabels = labels };
    }
}

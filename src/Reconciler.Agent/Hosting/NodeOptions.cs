using Microsoft.Extensions.Logging;
using Reconciler.Agent.Http;

namespace Reconciler.Agent.Hosting;

/// <summary>Every setting of the node commands, after flags, environment and the config file were merged and checked.</summary>
public sealed record NodeOptions
{
    public string ContainerdAddress { get; init; } = "/run/containerd/containerd.sock";

    /// <summary>False = the default; an embedded containerd under the state dir is then looked for first.</summary>
    public bool ContainerdAddressGiven { get; init; }

    public string ContainerdNamespace { get; init; } = "reconciler";

    public string StateDir { get; init; } = "/var/lib/reconciler";

    public string LogDir { get; init; } = "/var/log/reconciler";

    public required string NodeName { get; init; }

    /// <summary>Where the host's root is seen from here; <c>/</c> unless in a pod or under a private mount namespace.</summary>
    public string HostRoot { get; init; } = "/";

    /// <summary>Folders as given on the command line.</summary>
    public IReadOnlyList<string> Manifests { get; init; } = [];

    /// <summary>Follow this node's NodeWorkloads in a cluster.</summary>
    public bool Kubernetes { get; init; }

    /// <summary>Null = the service account of the pod.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>Where this node's Lease is; null = the pod's namespace, else reconciler-system.</summary>
    public string? LeaseNamespace { get; init; }

    /// <summary>Where the controllers' Lease is; null = where the agents' are.</summary>
    public string? LeaderElectionNamespace { get; init; }

    /// <summary>What an API server that went back in time lacks may go.</summary>
    public bool AcceptDataLoss { get; init; }

    public IReadOnlyDictionary<string, string> NodeLabels { get; init; } = new Dictionary<string, string>();

    /// <summary>Registry hosts (host[:port]) spoken to without TLS.</summary>
    public IReadOnlyList<string> PlainHttp { get; init; } = [];

    /// <summary>docker config.json with pull credentials; null = $DOCKER_CONFIG or ~/.docker.</summary>
    public string? DockerConfig { get; init; }

    /// <summary>A folder of the host with a hosts.toml per registry; one that is not there configures nothing.</summary>
    public string RegistryHostsDir { get; init; } = "/etc/containerd/certs.d";

    public bool EmbeddedContainerd { get; init; }

    /// <summary>A name on containerd's PATH or an absolute path of the host; null = runc. Of containers made from now on.</summary>
    public string? OciRuntime { get; init; }

    /// <summary>systemd makes the cgroups, in reconciler.slice. Of containers made from now on.</summary>
    public bool SystemdCgroup { get; init; }

    /// <summary>Bytes kept per log file; older ones are cut off.</summary>
    public long LogMaxBytes { get; init; } = 10 << 20;

    /// <summary>Files kept per log, the live one included; 1 to 100.</summary>
    public int LogMaxFiles { get; init; } = 2;

    /// <summary>Bytes of all logs of the node; null = no limit.</summary>
    public long? LogMaxTotal { get; init; }

    /// <summary>Share of the log disk that log files must leave free, 0 to 0.9.</summary>
    public double LogReserve { get; init; } = 0.05;

    /// <summary>Period of the full list that corrects what events missed.</summary>
    public TimeSpan ResyncInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Where health is served; null = nowhere.</summary>
    public ListenAddress? MetricsAddress { get; init; } = ListenAddress.Parse("127.0.0.1:9808", given: false);

    /// <summary>Where the page is; null = nowhere.</summary>
    public ListenAddress? HttpAddress { get; init; } = ListenAddress.Parse("127.0.0.1:9809", given: false);

    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    public LogFormat LogFormat { get; init; }

    /// <summary>Where spans are sent, the path included; null = none is made.</summary>
    public Uri? OtlpEndpoint { get; init; }
}

using System.Globalization;
using System.Text.Json.Nodes;
using Reconciler.Containerd;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.EndToEnd.Tests;

/// <summary>The pod of the DaemonSet on one node, as a kubelet would run it: arguments, environment, mounts, limits and security context are those of the object in the API server.</summary>
internal sealed class AgentPod(ContainerdDaemon daemon, ContainerdClient client, ApiServer api, string node)
{
    private const string ServiceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

    private string Folder => Path.Combine(daemon.Folder, "pod");

    private string LogOf(string id) => Path.Combine(Folder, id + ".log");

    public string Log(string id) => File.Exists(LogOf(id)) ? File.ReadAllText(LogOf(id)) : "";

    /// <summary>Starts it; returns at once.</summary>
    public async Task StartAsync(string id, string image)
    {
        var template = JsonNode.Parse(await api.KubectlAsync("get", "-n", "reconciler-system", "daemonset/reconciler-agent", "-o", "json"))!["spec"]!["template"]!["spec"]!;
        var container = template["containers"]!.AsArray().Single()!;
        Directory.CreateDirectory(Folder);
        await File.WriteAllTextAsync(LogOf(id), "");
        await client.CreateContainerAsync(new Reconciler.Containerd.Container
        {
            Id = id,
            Image = image,
            // One machine, many agents: each takes a free port.
            Args = [.. container["args"]!.AsArray().Select(word => ((string)word!).Replace(":9808", ":0", StringComparison.Ordinal))],
            IO = ContainerIO.Files(LogOf(id), LogOf(id)),
            Spec = await SpecAsync(id, template, container),
        });
    }

    /// <summary>What the kubelet gets when it asks as the probe says; 0 = no answer.</summary>
    public async Task<int> ProbeAsync(string id, string probe)
    {
        var path = await api.KubectlAsync("get", "-n", "reconciler-system", "daemonset/reconciler-agent", "-o", $"jsonpath={{.spec.template.spec.containers[0].{probe}.httpGet.path}}");
        if (Log(id).Split("--metrics-address: serving ").ElementAtOrDefault(1) is not { } serving) return 0;
        using var http = new HttpClient { Timeout = Eventually.DefaultLimit };
        using var answer = await http.GetAsync(new Uri(serving.Split(' ')[0] + path));
        return (int)answer.StatusCode;
    }

    /// <summary>As the kubelet: SIGTERM, then the pod's grace period.</summary>
    public async Task<ExitMessage> StopAsync(string id)
    {
        var grace = await api.KubectlAsync("get", "-n", "reconciler-system", "daemonset/reconciler-agent", "-o", "jsonpath={.spec.template.spec.terminationGracePeriodSeconds}");
        return await client.DestroyContainerAsync(id, new StopOptions { Grace = TimeSpan.FromSeconds(int.Parse(grace, CultureInfo.InvariantCulture)) });
    }

    /// <summary>Runs the binary inside the running pod.</summary>
    public Task<CommandResult> RunAsync(string id, params string[] arguments) => Shell.RunAsync(
        "nsenter",
        [
            "-t", daemon.Pid.ToString(CultureInfo.InvariantCulture), "-m", $"{ContainerdDaemon.Bin}/ctr", "-n", daemon.Namespace,
            "tasks", "exec", "--exec-id", Names.Unique(), id, "/usr/bin/reconciler", .. arguments,
        ]);

    private async Task<OciSpec> SpecAsync(string id, JsonNode template, JsonNode container)
    {
        var spec = DefaultSpec.Create(id, daemon.Namespace);
        var security = container["securityContext"]!;
        spec.Root = new OciRoot { Readonly = (bool?)security["readOnlyRootFilesystem"] == true };
        if ((bool?)security["privileged"] == true) Privilege(spec, await HostDevicesAsync());
        var namespaces = spec.Linux!.Namespaces!.ToList();
        if ((bool?)template["hostNetwork"] == true) namespaces.RemoveAll(own => own.Type is "network" or "uts");
        if ((bool?)template["hostPID"] == true) namespaces.RemoveAll(own => own.Type == "pid");
        spec.Linux.Namespaces = namespaces;
        spec.Linux.Resources!.Memory = new OciMemory { Limit = Bytes((string)container["resources"]!["limits"]!["memory"]!) };
        spec.Process!.Env = [.. container["env"]!.AsArray().Select(variable => $"{variable!["name"]}={(string?)variable["value"] ?? node}"), .. Given()];
        await WriteServiceAccountAsync((string)template["serviceAccountName"]!);
        var volumes = template["volumes"]!.AsArray().ToDictionary(volume => (string)volume!["name"]!, volume => volume!);
        spec.Mounts =
        [
            .. spec.Mounts!,
            .. container["volumeMounts"]!.AsArray().Select(mount => Mount(mount!, volumes[(string)mount!["name"]!])),
            Bind(Folder, ServiceAccountFolder, "rprivate", "ro"),
        ];
        if (spec.Mounts.Any(mount => mount.Options?.Contains("rslave") == true)) spec.Linux.RootfsPropagation = "rslave";
        return spec;
    }

    private static void Privilege(OciSpec spec, IReadOnlyList<OciDevice> devices)
    {
        // By number. "All" ends at what this machine's own root has: runc cannot grant more.
        string[] names =
        [
            "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
            "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
        ];
        var mask = Convert.ToUInt64(File.ReadLines("/proc/self/status").First(line => line.StartsWith("CapEff:", StringComparison.Ordinal))[7..].Trim(), 16);
        var capabilities = names.Where((_, number) => (mask >> number & 1) != 0).Select(name => "CAP_" + name).ToList();
        spec.Process!.Capabilities = new OciCapabilities { Bounding = capabilities, Effective = capabilities, Permitted = capabilities };
        spec.Process.NoNewPrivileges = false;
        spec.Linux!.MaskedPaths = [];
        spec.Linux.ReadonlyPaths = [];
        spec.Linux.Resources!.Devices = [new OciDeviceRule { Allow = true, Access = "rwm" }];
        spec.Linux.Devices = devices;
        foreach (var mount in spec.Mounts!.Where(mount => mount.Type == "sysfs")) mount.Options = [.. mount.Options!.Where(option => option != "ro"), "rw"];
    }

    /// <summary>As the kubelet gives a privileged pod: the host's devices, but for those that each container has of its own.</summary>
    private static async Task<IReadOnlyList<OciDevice>> HostDevicesAsync()
    {
        const string find = "find /dev \\( -path /dev/pts -o -path /dev/shm -o -path /dev/mqueue -o -path /dev/console -o -path /dev/ptmx \\) -prune"
            + " -o \\( -type c -o -type b \\) -exec stat -c '%F|%Hr|%Lr|%n' {} +";
        return
        [
            .. (await Shell.OutputAsync("/bin/sh", "-c", find)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('|', 4)).Select(parts => new OciDevice
            {
                Path = parts[3],
                Type = parts[0].StartsWith("block", StringComparison.Ordinal) ? "b" : "c",
                Major = uint.Parse(parts[1], CultureInfo.InvariantCulture),
                Minor = uint.Parse(parts[2], CultureInfo.InvariantCulture),
            }),
        ];
    }

    private static OciMount Mount(JsonNode mount, JsonNode volume)
    {
        var target = (string)mount["mountPath"]!;
        if (volume["emptyDir"] is not null) return new OciMount { Destination = target, Type = "tmpfs", Source = "tmpfs", Options = ["nosuid", "nodev", "mode=1777"] };
        var propagation = (string?)mount["mountPropagation"] == "HostToContainer" ? "rslave" : "rprivate";
        return Bind((string)volume["hostPath"]!["path"]!, target, propagation, (bool?)mount["readOnly"] == true ? "ro" : "rw");
    }

    private static OciMount Bind(string source, string target, params string[] options) =>
        new() { Destination = target, Type = "bind", Source = source, Options = ["rbind", .. options] };

    /// <summary>What every pod is given, and what this machine needs: a containerd namespace of the test's own, a registry without TLS.</summary>
    private string[] Given() =>
    [
        "KUBERNETES_SERVICE_HOST=127.0.0.1", $"KUBERNETES_SERVICE_PORT={api.Port}",
        $"RECONCILER_CONTAINERD_NAMESPACE={daemon.Namespace}", $"RECONCILER_PLAIN_HTTP={SharedRegistry.Host}",
    ];

    private async Task WriteServiceAccountAsync(string account)
    {
        await File.WriteAllTextAsync(Path.Combine(Folder, "token"), await api.TokenForAsync("reconciler-system", account, node));
        await File.WriteAllTextAsync(Path.Combine(Folder, "namespace"), "reconciler-system");
        File.Copy(api.CaFile, Path.Combine(Folder, "ca.crt"), overwrite: true);
    }

    private static long Bytes(string quantity) =>
        quantity.EndsWith("Mi", StringComparison.Ordinal) ? long.Parse(quantity[..^2], CultureInfo.InvariantCulture) << 20 : throw new FormatException(quantity);
}

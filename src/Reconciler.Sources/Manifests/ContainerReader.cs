using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>One entry of spec.containers.</summary>
internal sealed class ContainerReader(VolumeReader volumes, bool hostNetwork, bool hostPid)
{
    private const int MaxWords = 1000;

    /// <summary>Characters of an argument; Linux takes 128 KiB with the zero byte (MAX_ARG_STRLEN).</summary>
    private const int MaxWord = 131_071;

    /// <summary>Null after a problem that leaves no container to speak of; lesser ones are only reported.</summary>
    public WorkloadContainer? Read(FieldReader fields)
    {
        var name = fields.RequiredText("name", 63);
        if (name is not null && !DnsName.IsLabel(name)) fields.Problem("name", $"\"{FieldReader.Shown(name)}\" is no DNS label", DnsName.LabelRule);
        var image = ReadImage(fields, "imagePullPolicy", "Always", "IfNotPresent", "Never");
        var security = SecurityReader.Read(fields.Mapping("securityContext"));
        var process = new ContainerProcess
        {
            Image = image?.Reference ?? "",
            Command = ReadCommand(fields),
            Args = fields.Texts("args", MaxWords, MaxWord).ToEquatableArray(),
            Env = ReadEnv(fields),
            WorkingDir = ReadWorkingDir(fields),
            Mounts = volumes.ReadMounts(fields, name ?? "", security.Privileged),
            Limits = ResourceReader.Read(fields.Mapping("resources")),
            Security = security,
            HostNetwork = hostNetwork,
            HostPid = hostPid,
        };
        fields.Close(Hint);
        return name is null || image is null ? null : new WorkloadContainer(name, image.PullPolicy, process);
    }

    /// <summary>A field <c>image</c> and the policy beside it.</summary>
    public static WorkloadImage? ReadImage(FieldReader fields, string policyField, params ReadOnlySpan<string> policies)
    {
        var text = fields.RequiredText("image", 512);
        var policy = fields.Choice(policyField, policies);
        if (text is null) return null;
        if (!ImageName.TryNormalize(text, out var reference, out var moving, out var error))
        {
            fields.Problem("image", $"\"{FieldReader.Shown(text)}\" {error}", "[host[:port]/]repository[:tag or @sha256:digest], for example docker.io/library/busybox:1.37");
            return null;
        }
        return new WorkloadImage(reference, policy switch
        {
            "Always" => ImagePullPolicy.Always,
            "Never" => ImagePullPolicy.Never,
            "IfNotPresent" => ImagePullPolicy.IfNotPresent,
            _ => moving ? ImagePullPolicy.Always : ImagePullPolicy.IfNotPresent,
        });
    }

    private static EquatableArray<string> ReadCommand(FieldReader fields)
    {
        var command = fields.Texts("command", MaxWords, MaxWord);
        if (command is ["", ..]) fields.Problem("command[0]", "must not be empty", "name the program, or leave command out for the image's own");
        return command.ToEquatableArray();
    }

    private static EquatableArray<EnvVar> ReadEnv(FieldReader fields)
    {
        var result = new List<EnvVar>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var item in fields.Mappings("env", 1000))
        {
            var name = item.RequiredText("name", 1024);
            var value = item.Text("value", 130_000, secret: true);
            item.Close(field => field == "valueFrom" ? "the agent reads no Secrets and ConfigMaps; write the value, or mount a file by hostPath" : null);
            if (name is null) continue;
            if (name.Any(c => c is '=' or < ' ' or > '~')) item.Problem("name", $"\"{FieldReader.Shown(name)}\" is no name of a variable", "printable ASCII without =");
            if (!names.Add(name)) item.Problem("name", $"\"{FieldReader.Shown(name)}\" is there twice", "keep one");
            result.Add(new EnvVar(name, value ?? ""));
        }
        return result.ToEquatableArray();
    }

    private static string ReadWorkingDir(FieldReader fields)
    {
        if (fields.Text("workingDir", 4095) is not { Length: > 0 } path) return "";
        if (HostPaths.Normalize(path, out var error) is { } normal) return normal;
        fields.Problem("workingDir", error!, "an absolute path without .., for example /app");
        return "";
    }

    private static string? Hint(string name) => name switch
    {
        "ports" => "nothing publishes ports here; with spec.hostNetwork the process listens on the node itself",
        "livenessProbe" or "readinessProbe" or "startupProbe" => "probes do not exist here",
        "envFrom" => "the agent reads no Secrets and ConfigMaps; list the variables in env",
        "lifecycle" => "hooks do not exist here",
        "tty" or "stdin" or "stdinOnce" => "containers have no terminal here",
        "restartPolicy" => "it belongs to spec and counts for all containers",
        _ => null,
    };
}

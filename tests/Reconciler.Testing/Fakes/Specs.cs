using Reconciler.Core.Model;

namespace Reconciler.Testing.Fakes;

/// <summary>Short ways to declare and to place things in tests.</summary>
public static class Specs
{
    public const string Folder = "file:/manifests";
    public const string FileLabel = "file:/manifests/web.yaml";
    public const string Image = "docker.io/library/busybox:latest";
    public const string Digest = "sha256:1111";
    public static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    /// <summary>default/web/NAME; <paramref name="version"/> goes into the hash.</summary>
    public static ContainerSpec Container(string name = "app", string version = "1", string image = Image, string source = FileLabel, string workload = "web")
    {
        var process = new ContainerProcess { Image = image, Env = [new EnvVar("VERSION", version)] };
        return new ContainerSpec
        {
            Key = ResourceKey.Container("default", workload, name), Source = source, Namespace = "default", Workload = workload, Name = name,
            Process = process, Hash = SpecHash.Of(process),
        };
    }

    public static ImageSpec ImageOf(string reference = Image, ImagePullPolicy policy = ImagePullPolicy.IfNotPresent) =>
        new() { Key = ResourceKey.Image(reference), Source = FileLabel, PullPolicy = policy };

    /// <summary>A running first incarnation of the spec, 10 s old.</summary>
    public static ActualContainer Of(ContainerSpec spec, long incarnation = 1) => new()
    {
        Id = $"{spec.Namespace}-{spec.Workload}-{spec.Name}-{incarnation}", Key = spec.Key, SpecHash = spec.Hash, Source = spec.Source,
        State = ContainerState.Running, Incarnation = incarnation, Pid = 7, CreatedAt = Now.AddSeconds(-10), StartedAt = Now.AddSeconds(-10),
        GracePeriod = spec.GracePeriod, ImageReference = spec.Process.Image, ImageDigest = Digest, ImagePresent = true, Process = spec.Process,
    };

    /// <summary>The same, ended now.</summary>
    public static ActualContainer Dead(ContainerSpec spec, int? code, long incarnation = 1) => Of(spec, incarnation) with
    {
        State = ContainerState.Exited, Pid = 0, ExitCode = code, FinishedAt = Now, Reason = code == 0 ? "Completed" : "Error",
    };

    public static ActualImage Present(string reference = Image, string digest = Digest) =>
        new() { Reference = reference, Digest = digest, Managed = true, Resolved = true };

    public static Actual With(params ActualContainer[] containers) => new([.. containers], Present());
}

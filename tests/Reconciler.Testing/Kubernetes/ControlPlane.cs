namespace Reconciler.Testing.Kubernetes;

/// <summary>The programs of a control plane: those of <c>KUBEBUILDER_ASSETS</c> where set, else what tests/control-plane/build.sh made.</summary>
/// <param name="ApiServer">kube-apiserver, or our own.</param>
/// <param name="Etcd">Of the wanted version.</param>
/// <param name="Kubectl">Of the same version as the API server.</param>
/// <param name="IsKubernetes">kube-apiserver, which has other flags and makes tokens itself.</param>
public sealed record ControlPlane(string ApiServer, string Etcd, string Kubectl, bool IsKubernetes)
{
    public const string Variable = "KUBEBUILDER_ASSETS";

    private static readonly TimeSpan BuildLimit = TimeSpan.FromMinutes(30);
    private static readonly Lazy<Task<string>> Built = new(BuildAsync);

    /// <summary>Builds it where it is needed and the cache has none yet, which takes minutes.</summary>
    public static Task<ControlPlane> GetAsync(EtcdVersion etcd) => GetAsync(Environment.GetEnvironmentVariable(Variable), etcd);

    /// <param name="assets">As the variable has it; null or empty = not set.</param>
    /// <param name="etcd">Wanted version.</param>
    public static async Task<ControlPlane> GetAsync(string? assets, EtcdVersion etcd)
    {
        var programs = At(assets, NeedsBuild(assets, etcd) ? await Built.Value : "", etcd);
        return new[] { programs.ApiServer, programs.Etcd, programs.Kubectl }.FirstOrDefault(program => !File.Exists(program)) is { } missing
            ? throw new FileNotFoundException($"{missing} is missing; {Variable} names a folder with kube-apiserver, etcd and kubectl, or is not set")
            : programs;
    }

    /// <summary>etcd 3.4 is in no such folder.</summary>
    public static bool NeedsBuild(string? assets, EtcdVersion etcd) => string.IsNullOrEmpty(assets) || etcd == EtcdVersion.V34;

    /// <param name="assets">As the variable has it; null or empty = not set.</param>
    /// <param name="built">What build.sh printed.</param>
    /// <param name="etcd">Wanted version.</param>
    public static ControlPlane At(string? assets, string built, EtcdVersion etcd)
    {
        var old = Path.Combine(built, "etcd-3.4");
        return string.IsNullOrEmpty(assets)
            ? new ControlPlane(Path.Combine(built, "controlplane"), etcd == EtcdVersion.V34 ? old : Path.Combine(built, "etcd-3.5"), Path.Combine(built, "kubectl"), IsKubernetes: false)
            : new ControlPlane(Path.Combine(assets, "kube-apiserver"), etcd == EtcdVersion.V34 ? old : Path.Combine(assets, "etcd"), Path.Combine(assets, "kubectl"), IsKubernetes: true);
    }

    private static async Task<string> BuildAsync()
    {
        var script = Path.Combine(Checkout.Root, "tests/control-plane/build.sh");
        var built = await Shell.RunAsync(script, [], limit: BuildLimit);
        return built.ExitCode == 0 ? built.Output.Trim() : throw new InvalidOperationException($"{script}: exit code {built.ExitCode}\n{built.Error}");
    }
}

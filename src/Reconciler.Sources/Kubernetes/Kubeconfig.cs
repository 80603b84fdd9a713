using System.Security.Cryptography.X509Certificates;
using System.Text;
using k8s;
using k8s.KubeConfigModels;
using YamlDotNet.RepresentationModel;

namespace Reconciler.Sources.Kubernetes;

/// <summary>A kubeconfig, read by KubernetesClient, which takes one certificate of a CA bundle and knows no tokenFile: both are added here.</summary>
internal static class Kubeconfig
{
    public static KubernetesClientConfiguration Read(string path)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var file = KubernetesClientConfiguration.LoadKubeConfig(path);
        var tokens = TokenFiles(path);
        foreach (var user in file.Users ?? [])
        {
            if (!tokens.TryGetValue(user.Name ?? "", out var token)) continue;
            user.UserCredentials ??= new UserCredentials();
            user.UserCredentials.Token = File.ReadAllText(Path.Combine(folder, token)).Trim();
        }
        var config = KubernetesClientConfiguration.BuildConfigFromConfigObject(file);
        if (Bundle(file, config.CurrentContext, folder) is { Count: > 0 } bundle) config.SslCaCerts = bundle;
        return config;
    }

    /// <summary>By user.</summary>
    private static Dictionary<string, string> TokenFiles(string path)
    {
        using var text = File.OpenText(path);
        var stream = new YamlStream();
        stream.Load(text);
        var found = new Dictionary<string, string>(StringComparer.Ordinal);
        if (stream.Documents is not [{ RootNode: YamlMappingNode root }] || Child(root, "users") is not YamlSequenceNode users) return found;
        foreach (var user in users)
            if (Text(Child(user, "name")) is { } name && Text(Child(Child(user, "user"), "tokenFile")) is { Length: > 0 } file)
                found[name] = file;
        return found;
    }

    private static X509Certificate2Collection? Bundle(K8SConfiguration file, string context, string folder)
    {
        bool Is(string? left, string? right) => string.Equals(left, right, StringComparison.OrdinalIgnoreCase); // as KubernetesClient has it
        var cluster = file.Contexts.FirstOrDefault(candidate => Is(candidate.Name, context))?.ContextDetails?.Cluster;
        var endpoint = file.Clusters.FirstOrDefault(candidate => Is(candidate.Name, cluster))?.ClusterEndpoint;
        var pem = endpoint is { CertificateAuthorityData.Length: > 0 } ? Encoding.UTF8.GetString(Convert.FromBase64String(endpoint.CertificateAuthorityData))
            : endpoint is { CertificateAuthority.Length: > 0 } ? File.ReadAllText(Path.Combine(folder, endpoint.CertificateAuthority))
            : "";
        if (!pem.Contains("-----BEGIN", StringComparison.Ordinal)) return null; // DER, which holds one
        var bundle = new X509Certificate2Collection();
        bundle.ImportFromPem(pem);
        return bundle;
    }

    private static YamlNode? Child(YamlNode? parent, string name) =>
        parent is YamlMappingNode map && map.Children.TryGetValue(new YamlScalarNode(name), out var child) ? child : null;

    private static string? Text(YamlNode? node) => (node as YamlScalarNode)?.Value;
}

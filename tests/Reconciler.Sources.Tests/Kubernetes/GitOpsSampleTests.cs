using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>
/// The examples for Flux 2 and Argo CD against definitions of the fields they use, written from the tools' API references: kinds, required
/// fields, types and spelling. Neither tool runs.
/// </summary>
public sealed class GitOpsSampleTests
{
    private const string Duration = @"{type: string, pattern: '^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$'}";

    private const string GitRepository = $$"""
        required: [interval, url]
        properties:
          interval: {{Duration}}
          url: {type: string, pattern: '^(http|https|ssh)://.*$'}
          ref: {type: object, properties: {branch: {type: string} } }
        """;

    private const string Kustomization = $$"""
        required: [interval, prune, sourceRef]
        properties:
          interval: {{Duration}}
          timeout: {{Duration}}
          prune: {type: boolean}
          wait: {type: boolean}
          path: {type: string}
          targetNamespace: {type: string, minLength: 1, maxLength: 63}
          sourceRef: {type: object, required: [kind, name], properties: {kind: {type: string, enum: [OCIRepository, GitRepository, Bucket]}, name: {type: string} } }
          dependsOn: {type: array, items: {type: object, required: [name], properties: {name: {type: string} } } }
          healthChecks:
            type: array
            items:
              type: object
              required: [kind, name]
              properties: {apiVersion: {type: string}, kind: {type: string}, name: {type: string}, namespace: {type: string} }
        """;

    private const string Application = """
        required: [destination, project]
        properties:
          project: {type: string}
          source: {type: object, required: [repoURL], properties: {repoURL: {type: string}, targetRevision: {type: string}, path: {type: string} } }
          destination: {type: object, properties: {server: {type: string}, namespace: {type: string} } }
          syncPolicy:
            type: object
            properties:
              automated: {type: object, properties: {prune: {type: boolean}, selfHeal: {type: boolean} } }
              syncOptions: {type: array, items: {type: string} }
        """;

    private static readonly string Folder = Path.Combine(Checkout.Root, "samples/gitops");

    [Fact]
    public async Task The_examples_have_the_fields_that_the_tools_read()
    {
        await using var server = await ApiServer.StartAsync();
        await server.ApplyAsync(string.Join(
            "\n---\n",
            Definition("source.toolkit.fluxcd.io", "v1", "GitRepository", "gitrepositories", GitRepository),
            Definition("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations", Kustomization),
            Definition("argoproj.io", "v1alpha1", "Application", "applications", Application),
            "{apiVersion: v1, kind: Namespace, metadata: {name: flux-system} }",
            "{apiVersion: v1, kind: Namespace, metadata: {name: argocd} }"));
        await Eventually.UntilAsync(
            async () => (await server.TryKubectlAsync(
                server.Kubeconfig, "get", "-A", "gitrepositories.source.toolkit.fluxcd.io,kustomizations.kustomize.toolkit.fluxcd.io,applications.argoproj.io")).ExitCode == 0,
            "the kinds are served");

        var told = await server.KubectlAsync("apply", "--dry-run=server", "-f", Folder);

        Assert.Equal(
            [
                "application.argoproj.io/node-workloads created (server dry run)",
                "configmap/argocd-cm created (server dry run)",
                "gitrepository.source.toolkit.fluxcd.io/nodes created (server dry run)",
                "kustomization.kustomize.toolkit.fluxcd.io/node-workloads created (server dry run)",
                "kustomization.kustomize.toolkit.fluxcd.io/reconciler created (server dry run)",
            ],
            told.Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal));
    }

    private static string Definition(string group, string version, string kind, string plural, string spec) => $"""
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata:
          name: {plural}.{group}
        spec:
          group: {group}
          scope: Namespaced
          names:
            kind: {kind}
            plural: {plural}
          versions:
          - name: {version}
            served: true
            storage: true
            schema:
              openAPIV3Schema:
                type: object
                required: [spec]
                properties:
                  spec:
                    type: object
                    {spec.ReplaceLineEndings("\n            ")}
        """;
}

using System.Text;
using Reconciler.Core.Model;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Tests.Manifests;

/// <summary>Documents as tests write them.</summary>
internal static class Given
{
    public static readonly ManifestOptions Options = new() { NodeName = "n1", StateDir = "/var/lib/reconciler" };

    public static ManifestFile Read(string yaml, ManifestOptions? options = null, string file = "f.yaml") =>
        ManifestReader.ReadFile(file, Encoding.UTF8.GetBytes(yaml), "file:dir/" + file, options ?? Options);

    /// <summary>Its first line is line 5.</summary>
    public static string Spec(string spec, string name = "w") =>
        $"apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {{name: {name}}}\nspec:\n{Indent(spec, 2)}";

    /// <summary>One container; <paramref name="fields"/> begin on line 8, <paramref name="spec"/> follows.</summary>
    public static string Container(string fields, string spec = "", string image = "busybox:1") =>
        Spec($"containers:\n- name: c\n  image: {image}\n{Indent(fields, 2)}{spec}");

    /// <summary>The single container of a document without errors.</summary>
    public static ContainerSpec Accepted(string yaml, ManifestOptions? options = null)
    {
        var file = Read(yaml, options);
        Assert.DoesNotContain(file.Problems, problem => !problem.Warning);
        return Assert.Single(file.Documents.SelectMany(document => document.Resources).OfType<ContainerSpec>());
    }

    private static string Indent(string text, int by) =>
        string.Concat(text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"{new string(' ', by)}{line}\n"));
}

using Reconciler.Containerd.Images;

namespace Reconciler.Containerd;

/// <summary>What a container runs with, from the caller's spec and its image.</summary>
internal static class ImageSpec
{
    private const string DefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// <summary>A new spec; neither argument is changed.</summary>
    /// <exception cref="ContainerdException">There is nothing to run.</exception>
    public static OciSpec Fill(Container container, OciSpec spec, ImageConfig image)
    {
        var process = spec.Process ?? new OciProcess();
        var args = Args(container, process, image);
        if (args.Count == 0) throw new ContainerdException($"container {container.Id}: neither it nor image {container.Image} names a command");
        return spec with
        {
            Root = spec.Root ?? new OciRoot(),
            Process = process with
            {
                Terminal = process.Terminal || container.IO is { Terminal: true },
                Args = args,
                Env = Env(image.Env, process.Env ?? []),
                Cwd = process.Cwd is { Length: > 0 } cwd ? cwd : image.WorkingDir.Length > 0 ? "/" + image.WorkingDir.TrimStart('/') : "/",
            },
        };
    }

    public static OciSpec WithUser(OciSpec spec, OciUser user) => spec with { Process = spec.Process! with { User = user } };

    private static IReadOnlyList<string> Args(Container container, OciProcess process, ImageConfig image)
    {
        if (container.Command.Count > 0) return [.. container.Command, .. container.Args];
        if (container.Args.Count > 0) return [.. image.Entrypoint, .. container.Args];
        return process.Args is { Count: > 0 } args ? args : [.. image.Entrypoint, .. image.Cmd];
    }

    /// <summary>The image's in its order, each replaced where the caller's has its key; then the caller's others.</summary>
    private static List<string> Env(IReadOnlyList<string> image, IReadOnlyList<string> own)
    {
        var result = new List<string>();
        var places = new Dictionary<string, int>(StringComparer.Ordinal);
        var start = image.Any(variable => Key(variable) == "PATH") ? image : image.Prepend(DefaultPath);
        foreach (var variable in start.Concat(own))
        {
            if (places.TryGetValue(Key(variable), out var place))
            {
                result[place] = variable;
                continue;
            }
            places[Key(variable)] = result.Count;
            result.Add(variable);
        }
        return result;
    }

    private static string Key(string variable) => variable.Split('=', 2)[0];
}

namespace Reconciler.Containerd.Tests.Package;

internal static class Repository
{
    /// <summary>The folder with the solution.</summary>
    public static string Root { get; } = Find(AppContext.BaseDirectory);

    private static string Find(string folder)
    {
        for (var at = new DirectoryInfo(folder); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, "Reconciler.sln"))) return at.FullName;
        throw new InvalidOperationException($"{folder} is not below the folder of Reconciler.sln");
    }
}

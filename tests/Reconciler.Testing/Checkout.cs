namespace Reconciler.Testing;

public static class Checkout
{
    /// <summary>The repository's folder that the running tests were built in.</summary>
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
            if (File.Exists(Path.Combine(folder, "Reconciler.sln")))
                return folder;
        throw new InvalidOperationException("not inside a checkout");
    }
}

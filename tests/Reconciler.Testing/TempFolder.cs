namespace Reconciler.Testing;

/// <summary>A short-named folder that goes with the test; sockets under it stay below the 107 bytes of a unix address.</summary>
public sealed class TempFolder : IDisposable
{
    public TempFolder()
    {
        // scripts/test.sh sets the root and sweeps it, whatever happens to the test process.
        var root = Environment.GetEnvironmentVariable("RECONCILER_TEST_ROOT") ?? "/tmp";
        Directory.CreateDirectory(root);
        Path = Directory.CreateDirectory(System.IO.Path.Combine(root, "rc-" + Names.Unique())).FullName;
    }

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        Mounts.DetachUnder(Path);
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
        }
    }
}

namespace Reconciler.Testing;

/// <summary>Processes of containers as a test judges them.</summary>
public static class LiveProcess
{
    /// <summary>
    /// It holds files. Its state says less: the first process of a pid namespace leaves its cgroup and closes its files, then sleeps (S) until its children are
    /// reaped, and only then is a zombie.
    /// </summary>
    public static bool Is(int pid)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{pid}/fd").Any();
        }
        catch (IOException)
        {
            return false;
        }
    }
}

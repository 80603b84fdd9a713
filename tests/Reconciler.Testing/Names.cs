using System.Security.Cryptography;

namespace Reconciler.Testing;

public static class Names
{
    /// <summary>Eight characters that no other test of this machine has.</summary>
    public static string Unique() => RandomNumberGenerator.GetString("abcdefghijklmnopqrstuvwxyz0123456789", 8);
}

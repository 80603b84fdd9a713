using System.Text;

namespace Reconciler.Agent.Controller;

/// <summary>
/// Names of a set's NodeWorkloads: SET-HASH, the hash being of the node's name. SET-NODE would be nicer to read and not unique:
/// set a on node b-c and set a-b on node c would want the same one. The object says its node in spec.nodeName.
/// </summary>
internal static class ChildNames
{
    private const int LongestName = 253;
    private const int LongestLabel = 63;

    public static string Of(string set, string node) => Shortened(set, LongestName - ShortHash.Length - 1) + "-" + Hash(node);

    /// <summary>The set's name as a label value.</summary>
    public static string Label(string set) => Shortened(set, LongestLabel);

    private static string Shortened(string name, int longest) =>
        name.Length <= longest ? name : name[..(longest - ShortHash.Length - 1)].TrimEnd('-', '.') + "-" + Hash(name);

    private static string Hash(string name) => ShortHash.Of(Encoding.UTF8.GetBytes(name));
}

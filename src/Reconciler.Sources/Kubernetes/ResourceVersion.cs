namespace Reconciler.Sources.Kubernetes;

/// <summary>Versions of one resource type, comparable since Kubernetes promises integers (KEP-5504).</summary>
public static class ResourceVersion
{
    /// <summary>Below zero = <paramref name="left"/> is older. The empty version is older than all.</summary>
    public static int Compare(string left, string right)
    {
        var length = left.Length.CompareTo(right.Length); // no leading zeros, so the longer one is larger
        return length != 0 ? length : string.CompareOrdinal(left, right);
    }
}

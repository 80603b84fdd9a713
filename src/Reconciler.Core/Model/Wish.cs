namespace Reconciler.Core.Model;

/// <summary>What the sources together say about one key.</summary>
public abstract record Wish
{
    private Wish()
    {
    }

    public sealed record Declared(DesiredResource Resource) : Wish;

    /// <summary>Every source that could hold it is synced and does not: it may be removed.</summary>
    public sealed record NotDeclared : Wish
    {
        public static readonly NotDeclared Instance = new();
    }

    /// <summary>An image that is not declared itself but needed by a declared container: it stays.</summary>
    public sealed record Retained(ResourceKey By) : Wish;

    /// <summary>A source is missing, unreadable or not synced: leave as it is, and say why.</summary>
    public sealed record Doubt(string Reason) : Wish;
}

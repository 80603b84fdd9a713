using Reconciler.Core.Model;

namespace Reconciler.Sources.Manifests;

/// <summary>resources.limits: cpu, memory, pids.</summary>
internal static class ResourceReader
{
    private const int MaxLength = 40;

    public static ResourceLimits Read(FieldReader? resources)
    {
        if (resources is null) return new ResourceLimits();
        var limits = resources.Mapping("limits");
        resources.Close(name => name == "requests" ? "nothing is scheduled here; only limits have a meaning" : null);
        if (limits is null) return new ResourceLimits();
        var cpu = Positive(limits, "cpu", Quantity.Milli, "cores, for example 500m or 2", 1_000_000_000);
        var memory = Bytes(limits, "memory");
        var pids = Positive(limits, "pids", Quantity.Units, "a whole number, for example 100", 4_194_304);
        limits.Close(name => name is "ephemeral-storage" ? "only cpu, memory and pids can be limited" : null);
        return new ResourceLimits(cpu, memory, pids);
    }

    /// <summary>Bytes as a quantity; null where absent or after a problem.</summary>
    public static long? Bytes(FieldReader fields, string name)
    {
        if (fields.IntegerOrText(name) is ScalarNode { Kind: not ScalarKind.Float, Text: [.., 'm' or 'u' or 'n'] small } && Quantity.Units(small) is not null)
        {
            fields.Problem(name, $"{FieldReader.Shown(small)} is a fraction of a byte: m means thousandths", "write M or Mi");
            return null;
        }
        return Positive(fields, name, Quantity.Units, "bytes, for example 64Mi, 1G or 1048576", long.MaxValue / 4);
    }

    private static long? Positive(FieldReader fields, string name, Func<string, long?> parse, string rule, long max)
    {
        switch (fields.IntegerOrText(name))
        {
            case null:
                return null;
            case ScalarNode { Kind: ScalarKind.Float } number:
                // The schema of the cluster knows whole numbers and strings only.
                fields.Problem(name, "must be a whole number or a string", $"quote it: \"{FieldReader.Shown(number.Text)}\"");
                return null;
            case ScalarNode { Kind: ScalarKind.Integer, IsDecimal: false } number:
                fields.NotDecimal(name, number);
                return null;
            case ScalarNode { Kind: ScalarKind.Text or ScalarKind.Integer } scalar:
                if (scalar.Text.Length <= MaxLength && parse(scalar.Text) is { } value && value > 0 && value <= max) return value;
                fields.Problem(name, $"\"{FieldReader.Shown(scalar.Text)}\" is no quantity above zero", rule);
                return null;
            case var other:
                fields.Problem(name, $"must be a quantity, not {other.Described}", rule);
                return null;
        }
    }
}

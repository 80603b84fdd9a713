using System.Text.Json;
using System.Text.Json.Serialization;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Reconciler.Containerd;

/// <summary>The runtime specification as containerd carries it: JSON in an Any.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(OciSpec))]
[JsonSerializable(typeof(OciResources))]
[JsonSerializable(typeof(OciProcess))]
internal sealed partial class OciJson : JsonSerializerContext
{
    public const string SpecType = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

    public static Any ToAny(OciSpec spec) =>
        new() { TypeUrl = SpecType, Value = UnsafeByteOperations.UnsafeWrap(JsonSerializer.SerializeToUtf8Bytes(spec, Default.OciSpec)) };

    /// <summary>Null = there is none, or it is of another kind.</summary>
    public static OciSpec? Read(Any? spec)
    {
        if (spec is null || spec.Value.IsEmpty) return null;
        try
        {
            return JsonSerializer.Deserialize(spec.Value.Span, Default.OciSpec);
        }
        catch (JsonException)
        {
            return null; // another client's, for another runtime
        }
    }
}

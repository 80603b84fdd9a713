using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Reconciler.Containerd;

/// <summary>Bytes with the name of their type, as containerd stores extensions.</summary>
/// <param name="TypeUrl">Any non-empty name; containerd uses type URLs without a leading <c>type.googleapis.com/</c>.</param>
/// <param name="Value">The encoded value.</param>
public sealed record TypedValue(string TypeUrl, byte[] Value)
{
    // Any.Pack puts a prefix before the name, which containerd 1.6 refuses and later ones ignore.
    internal Any ToAny() => new() { TypeUrl = TypeUrl, Value = ByteString.CopyFrom(Value) };

    internal static TypedValue From(Any any) => new(any.TypeUrl, any.Value.ToByteArray());
}

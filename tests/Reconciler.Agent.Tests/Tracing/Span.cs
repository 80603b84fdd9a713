using Google.Protobuf;

namespace Reconciler.Agent.Tests.Tracing;

/// <summary>A span as a collector gets it (opentelemetry-proto, trace/v1/trace.proto).</summary>
/// <param name="TraceId">Hexadecimal.</param>
/// <param name="ParentId">Empty = it is a root.</param>
/// <param name="Start">Nanoseconds since 1970.</param>
/// <param name="Status">0 unset, 1 ok, 2 error.</param>
internal sealed record Span(
    string TraceId, string Id, string ParentId, string Name, int Kind, ulong Start, ulong End, int Status, IReadOnlyDictionary<string, string> Attributes,
    IReadOnlyDictionary<string, string> Resource)
{
    /// <summary>The spans of an ExportTraceServiceRequest.</summary>
    public static IEnumerable<Span> ReadAll(byte[] request)
    {
        foreach (var resourceSpans in Fields(request).Where(field => field.Number == 1))
        {
            var parts = Fields(resourceSpans.Bytes).ToList();
            var resource = parts.Where(part => part.Number == 1).SelectMany(part => AttributesIn(part.Bytes, 1)).ToDictionary(StringComparer.Ordinal);
            foreach (var span in parts.Where(part => part.Number == 2).SelectMany(scope => Fields(scope.Bytes)).Where(field => field.Number == 2))
                yield return Read(span.Bytes, resource);
        }
    }

    private static Span Read(byte[] bytes, IReadOnlyDictionary<string, string> resource)
    {
        var fields = Fields(bytes).ToLookup(field => field.Number);
        string Hex(int number) => Convert.ToHexStringLower(fields[number].Select(field => field.Bytes).FirstOrDefault() ?? []);
        ulong Value(int number) => fields[number].Select(field => field.Value).FirstOrDefault();
        var status = fields[15].SelectMany(field => Fields(field.Bytes)).Where(field => field.Number == 3).Select(field => (int)field.Value).FirstOrDefault();
        return new Span(
            Hex(1), Hex(2), Hex(4), System.Text.Encoding.UTF8.GetString(fields[5].Single().Bytes), (int)Value(6), Value(7), Value(8), status,
            AttributesIn(bytes, 9).ToDictionary(StringComparer.Ordinal), resource);
    }

    private static IEnumerable<KeyValuePair<string, string>> AttributesIn(byte[] message, int number)
    {
        foreach (var attribute in Fields(message).Where(field => field.Number == number))
        {
            var parts = Fields(attribute.Bytes).ToList();
            var value = parts.Where(part => part.Number == 2).SelectMany(part => Fields(part.Bytes)).Single();
            var text = value.Number switch
            {
                1 => System.Text.Encoding.UTF8.GetString(value.Bytes),
                4 => BitConverter.UInt64BitsToDouble(value.Value).ToString(System.Globalization.CultureInfo.InvariantCulture),
                _ => value.Value.ToString(System.Globalization.CultureInfo.InvariantCulture),
            };
            yield return new(System.Text.Encoding.UTF8.GetString(parts.Single(part => part.Number == 1).Bytes), text);
        }
    }

    private static IEnumerable<(int Number, ulong Value, byte[] Bytes)> Fields(byte[] message)
    {
        var input = new CodedInputStream(message);
        while (input.ReadTag() is > 0 and var tag)
        {
            var number = WireFormat.GetTagFieldNumber(tag);
            yield return WireFormat.GetTagWireType(tag) switch
            {
                WireFormat.WireType.Varint => (number, input.ReadUInt64(), []),
                WireFormat.WireType.Fixed64 => (number, input.ReadFixed64(), []),
                WireFormat.WireType.Fixed32 => (number, input.ReadFixed32(), []),
                _ => (number, 0UL, input.ReadBytes().ToByteArray()),
            };
        }
    }
}

using System.Globalization;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text;

namespace Reconciler.Agent.Page;

/// <summary>HTML under construction: what stands in a hole of an interpolated string is text, and escaped, always. Attributes want double quotes around them.</summary>
internal sealed class HtmlText
{
    private readonly StringBuilder _text = new();

#pragma warning disable CA1822, IDE0060 // the handler has written by the time it is called
    public HtmlText Add([InterpolatedStringHandlerArgument("")] Markup markup) => this;
#pragma warning restore CA1822, IDE0060

    public override string ToString() => _text.ToString();

    [InterpolatedStringHandler]
    public readonly ref struct Markup(int literalLength, int formattedCount, HtmlText html)
    {
        private readonly StringBuilder _text = html._text;

        public int Room => literalLength + formattedCount;

        public void AppendLiteral(string markup) => _text.Append(markup);

        public void AppendFormatted(string? text) => _text.Append(WebUtility.HtmlEncode(text));

        public void AppendFormatted(long number) => _text.Append(CultureInfo.InvariantCulture, $"{number}");
    }
}

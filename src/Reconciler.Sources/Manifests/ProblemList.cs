using System.Collections.Immutable;
using Reconciler.Core.Ports;

namespace Reconciler.Sources.Manifests;

/// <summary>Everything found wrong in one document; bounded, so that a hostile one cannot fill the log.</summary>
internal sealed class ProblemList(string file)
{
    private const int Max = 50;

    private readonly ImmutableArray<Problem>.Builder _items = ImmutableArray.CreateBuilder<Problem>();
    private int _more;

    public string File => file;

    /// <summary>Collects by path what the readers ask of a document; null = nobody wants to know.</summary>
    public Dictionary<string, KnownField>? Known { get; init; }

    /// <summary>The document is refused.</summary>
    public bool Refused { get; private set; }

    public void Add(int line, string field, string message, string remedy) => Add(new Problem(file, line, field, message, remedy));

    public void Warn(int line, string field, string message, string remedy) => Add(new Problem(file, line, field, message, remedy, Warning: true));

    public ImmutableArray<Problem> ToImmutable() => _more == 0
        ? _items.ToImmutable()
        : _items.ToImmutable().Add(new Problem(file, _items[0].Line, "", $"{_more} more problems in this document", "mend the ones above first"));

    private void Add(Problem problem)
    {
        Refused |= !problem.Warning;
        if (_items.Count < Max) _items.Add(problem);
        else _more++;
    }
}

namespace Reconciler.Containerd.Registries;

/// <summary>One challenge of a WWW-Authenticate header.</summary>
/// <param name="Scheme">Lower case: bearer, basic.</param>
/// <param name="Parameters">Keys in lower case.</param>
internal sealed record AuthChallenge(string Scheme, IReadOnlyDictionary<string, string> Parameters)
{
    private const int MaxChallenges = 16;

    public string? this[string key] => Parameters.GetValueOrDefault(key);

    /// <summary>All challenges of all headers in their order; what cannot be read is left out.</summary>
    public static IReadOnlyList<AuthChallenge> Parse(IEnumerable<string> headers)
    {
        var challenges = new List<AuthChallenge>();
        foreach (var header in headers)
        {
            var reader = new Reader(header);
            while (challenges.Count < MaxChallenges && reader.Next() is { } challenge) challenges.Add(challenge);
        }
        return challenges;
    }

    private ref struct Reader(string text)
    {
        private readonly string _text = text;
        private int _at;

        public AuthChallenge? Next()
        {
            Skip(", \t");
            var scheme = Token();
            if (scheme.Length == 0) return null;
            var parameters = new Dictionary<string, string>(StringComparer.Ordinal);
            while (true)
            {
                Skip(", \t");
                var start = _at;
                var key = Token();
                Skip(" \t");
                if (key.Length == 0 || _at >= _text.Length || _text[_at] != '=')
                {
                    _at = start; // the scheme of the next challenge
                    break;
                }
                _at++;
                Skip(" \t");
                parameters[key.ToLowerInvariant()] = _at < _text.Length && _text[_at] == '"' ? Quoted() : Token();
            }
            return new AuthChallenge(scheme.ToLowerInvariant(), parameters);
        }

        private string Quoted()
        {
            var value = new System.Text.StringBuilder();
            for (_at++; _at < _text.Length && _text[_at] != '"'; _at++)
            {
                if (_text[_at] == '\\' && _at + 1 < _text.Length) _at++;
                value.Append(_text[_at]);
            }
            if (_at < _text.Length) _at++;
            return value.ToString();
        }

        private string Token()
        {
            var start = _at;
            while (_at < _text.Length && _text[_at] is not (' ' or '\t' or ',' or '=' or '"')) _at++;
            return _text[start.._at];
        }

        private void Skip(string characters)
        {
            while (_at < _text.Length && characters.Contains(_text[_at])) _at++;
        }
    }
}

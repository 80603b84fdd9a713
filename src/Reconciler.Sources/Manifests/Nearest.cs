namespace Reconciler.Sources.Manifests;

/// <summary>Finds what was probably meant.</summary>
public static class Nearest
{
    /// <summary>The known word with the fewest edits, at most a third of its length and at least one; null = none is near.</summary>
    public static string? Find(string word, ReadOnlySpan<string> known)
    {
        if (word.Length > 64) return null;
        string? best = null;
        var bestDistance = int.MaxValue;
        foreach (var candidate in known)
        {
            var distance = Distance(word.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance >= bestDistance || distance > Math.Max(1, candidate.Length / 3)) continue;
            best = candidate;
            bestDistance = distance;
        }
        return best;
    }

    private static int Distance(string left, string right)
    {
        var row = new int[right.Length + 1];
        for (var j = 0; j <= right.Length; j++) row[j] = j;
        for (var i = 1; i <= left.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var above = row[j];
                row[j] = Math.Min(Math.Min(above, row[j - 1]) + 1, diagonal + (left[i - 1] == right[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }
        return row[^1];
    }
}

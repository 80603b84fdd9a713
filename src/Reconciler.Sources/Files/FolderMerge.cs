using System.Collections.Immutable;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Files;

/// <summary>A listing and the last good documents to the state the folder declares. Pure.</summary>
internal sealed class FolderMerge(string flag, string sourcePrefix, ManifestOptions options)
{
    /// <param name="Order">Place in path order.</param>
    /// <param name="File">Relative path.</param>
    /// <param name="Line">Where the document begins; 0 = remembered.</param>
    /// <param name="Identity">namespace/name.</param>
    /// <param name="Document">What would apply; null = refused, and no good version is known.</param>
    /// <param name="Certain">False = only remembered: it may or may not still be in the unreadable part of the file.</param>
    private sealed record Claim(int Order, string File, int Line, string Identity, GoodDocument? Document, bool Certain);

    private sealed class Pass
    {
        public List<Claim> Claims { get; } = [];

        public List<(Claim Claim, GoodDocument Document)> Accepted { get; } = [];

        public List<Problem> Problems { get; } = [];

        public HashSet<string> Held { get; } = new(StringComparer.Ordinal);
    }

    public (SourceState State, FolderMemory Memory) Merge(FolderListing listing, FolderMemory memory)
    {
        var doubt = listing.Doubt.Length > 0 ? listing.Doubt
            : memory.Device is { } device && device != listing.Device && !memory.Files.IsEmpty && listing.Files.IsEmpty && listing.Unread.IsEmpty
                ? $"{flag} is empty and on another device than before: unmounted? (if it is meant so, put a .yaml file with a comment there)"
            : "";
        if (doubt.Length > 0) return (LastGood(memory, doubt), memory);
        var pass = new Pass();
        pass.Problems.AddRange(listing.Problems);
        foreach (var file in listing.Files) AddClaims(pass, file, memory.Of(file.Path));
        var present = listing.Files.Select(file => file.Path).ToHashSet(StringComparer.Ordinal);
        foreach (var (path, documents) in memory.Files)
            if (!present.Contains(path) && listing.Unread.Any(folder => path.StartsWith(folder, StringComparison.Ordinal)))
                Remember(pass, path, documents);
        foreach (var claims in pass.Claims.GroupBy(claim => claim.Identity, StringComparer.Ordinal).ToList()) Decide(pass, [.. claims], memory);
        AddIgnored(pass, listing);
        pass.Accepted.Sort((left, right) => left.Claim.Order.CompareTo(right.Claim.Order));
        return (StateOf(pass), new FolderMemory(listing.Device, MemoryOf(pass)));
    }

    private static void AddClaims(Pass pass, ScannedFile file, ImmutableArray<GoodDocument> remembered)
    {
        pass.Problems.AddRange(file.Content.Problems);
        var told = new HashSet<string>(StringComparer.Ordinal);
        var untold = false;
        foreach (var document in file.Content.Documents)
        {
            if (document.Refused) pass.Held.Add(file.Path);
            if (document.Identity is not { } identity)
            {
                untold = true;
                continue;
            }
            told.Add(identity);
            var good = document.Refused ? remembered.FirstOrDefault(old => old.Identity == identity) : GoodDocument.Of(document);
            pass.Claims.Add(new Claim(pass.Claims.Count, file.Path, document.Line, identity, good, Certain: true));
        }
        if (untold) Remember(pass, file.Path, remembered.Where(old => !told.Contains(old.Identity)));
    }

    private static void Remember(Pass pass, string path, IEnumerable<GoodDocument> documents)
    {
        pass.Held.Add(path);
        foreach (var document in documents) pass.Claims.Add(new Claim(pass.Claims.Count, path, 0, document.Identity, document, Certain: false));
    }

    /// <summary>Which of the claims to one identity applies.</summary>
    private void Decide(Pass pass, Claim[] claims, FolderMemory memory)
    {
        if (claims.Length > 1 && claims.Any(claim => claim.Certain)) claims = [.. claims.Where(claim => claim.Certain)];
        if (claims.Length == 1)
        {
            Accept(pass, claims[0], claims[0].Document);
            return;
        }
        var owner = claims.Select(claim => claim.File).FirstOrDefault(file => memory.Of(file).Any(old => old.Identity == claims[0].Identity));
        foreach (var claim in claims)
        {
            var others = claims.Where(other => other.Order != claim.Order).Select(other => $"{Full(other.File)}:{other.Line}");
            var stays = owner is null ? "none of them applies" : $"the one in {Full(owner)} stays";
            pass.Problems.Add(new Problem(
                Full(claim.File), claim.Line, "metadata.name", $"{claim.Identity} is declared in {string.Join(" and ", others)}, too; {stays}", "keep one, or rename one"));
        }
        var ofOwner = claims.Where(claim => claim.File == owner).ToArray();
        if (ofOwner.Length == 1) Accept(pass, ofOwner[0], ofOwner[0].Document);
        else if (ofOwner.Length > 1) Accept(pass, ofOwner[0], memory.Of(owner!).First(old => old.Identity == claims[0].Identity));
        foreach (var claim in claims)
            if (ofOwner.Length != 1 || claim.File != owner)
                pass.Held.Add(claim.File);
    }

    private static void Accept(Pass pass, Claim claim, GoodDocument? document)
    {
        if (document is not null) pass.Accepted.Add((claim, document));
    }

    private void AddIgnored(Pass pass, FolderListing listing)
    {
        var kinds = listing.Files.SelectMany(file => file.Content.Ignored).GroupBy(kind => kind, StringComparer.Ordinal).OrderBy(kind => kind.Key, StringComparer.Ordinal).ToList();
        if (kinds.Count == 0) return;
        var shown = string.Join(", ", kinds.Take(5).Select(kind => $"{(kind.Key.Length > 0 ? kind.Key : "kustomization")} x{kind.Count()}")) + (kinds.Count > 5 ? ", ..." : "");
        pass.Problems.Add(new Problem(
            flag, 0, "", $"{kinds.Sum(kind => kind.Count())} documents of other kinds are ignored: {shown}", "only NodeWorkload and NodeWorkloadSet are read here", Warning: true));
    }

    private SourceState StateOf(Pass pass) => new()
    {
        Source = sourcePrefix[..^1],
        Synced = true,
        Resources = WorkloadMapper.Merge(pass.Accepted.SelectMany(item => item.Document.Resources(sourcePrefix + item.Claim.File, options))),
        Held = [.. pass.Held.Select(file => sourcePrefix + file)],
        Problems = [.. pass.Problems.OrderBy(problem => problem.File, StringComparer.Ordinal).ThenBy(problem => problem.Line)],
    };

    private SourceState LastGood(FolderMemory memory, string doubt) => new()
    {
        Source = sourcePrefix[..^1],
        Synced = false,
        Doubt = doubt,
        Resources = WorkloadMapper.Merge(memory.Files.SelectMany(file => file.Value.SelectMany(document => document.Resources(sourcePrefix + file.Key, options)))),
    };

    private static ImmutableSortedDictionary<string, ImmutableArray<GoodDocument>> MemoryOf(Pass pass) => pass.Accepted
        .GroupBy(item => item.Claim.File, StringComparer.Ordinal)
        .ToImmutableSortedDictionary(file => file.Key, file => file.Select(item => item.Document).ToImmutableArray(), StringComparer.Ordinal);

    private string Full(string file) => flag.EndsWith('/') ? flag + file : $"{flag}/{file}";
}

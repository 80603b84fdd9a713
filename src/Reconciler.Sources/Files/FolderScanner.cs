using System.Collections.Immutable;
using Reconciler.Core.Ports;

namespace Reconciler.Sources.Files;

/// <summary>Walks a folder and reads its manifests; dot names are skipped, links followed, each real folder once.</summary>
internal sealed class FolderScanner(string folder, FileCache files)
{
    private const int MaxFiles = 10_000;
    private const int MaxDepth = 32;
    private const int Attempts = 5;

    /// <summary>Called with each folder and linked file before it is read.</summary>
    public Action<string>? BeforeRead { get; init; }

    /// <summary>One consistent listing: where a folder changed under the walk, the walk is repeated.</summary>
    public FolderListing Scan()
    {
        for (var attempt = 1; ; attempt++)
        {
            var root = RootIdentity.Of(folder);
            var stamp = FileStamp.Of(folder, followLinks: true, out var error);
            if (root is null || stamp is not { } found)
                return new FolderListing { Doubt = error is Native.NotFound ? $"{folder} does not exist" : $"{folder} cannot be reached (errno {error})" };
            if (!found.IsDirectory) return new FolderListing { Doubt = $"{folder} is not a folder" };
            var walk = new Walk(this);
            walk.Run();
            var still = walk.IsUnchanged() && RootIdentity.Of(folder) == root;
            if (!still && attempt < Attempts) continue;
            if (!still) return new FolderListing { Doubt = $"{folder} keeps changing", Again = true };
            return walk.Doubt.Length > 0 ? new FolderListing { Doubt = walk.Doubt } : walk.Listing(found.Device);
        }
    }

    private sealed record Candidate(string Path, FileStamp? Stamp, bool IsLink);

    private sealed class Walk(FolderScanner scanner)
    {
        private readonly Dictionary<string, FileStamp?> _folders = new(StringComparer.Ordinal);
        private readonly HashSet<(uint, uint, ulong)> _visited = [];
        private readonly Queue<(string Path, int Depth)> _linked = new();
        private readonly List<Candidate> _candidates = [];
        private readonly List<Problem> _problems = [];
        private readonly List<string> _unread = [];

        public string Doubt { get; private set; } = "";

        public void Run()
        {
            Enter("", 0);
            // Real folders first: where a link and a folder lead to the same files, the folder's paths name them.
            while (Doubt.Length == 0 && _linked.TryDequeue(out var link)) Enter(link.Path, link.Depth);
        }

        public bool IsUnchanged() => _folders.All(pair => FileStamp.Of(scanner.Full(pair.Key), followLinks: true, out _) == pair.Value);

        public FolderListing Listing(string device)
        {
            var real = _candidates.Where(file => !file.IsLink).Select(file => file.Stamp?.Id).ToHashSet();
            var chosen = new List<Candidate>();
            foreach (var file in _candidates.OrderBy(file => file.Path, StringComparer.Ordinal))
                if (!file.IsLink || file.Stamp is not { } target || real.Add(target.Id))
                    chosen.Add(file);
            var files = chosen.Select(file => scanner.Read(file.Path)).ToImmutableArray();
            return new FolderListing
            {
                Device = device,
                Files = files,
                Again = files.Any(file => file.Unstable),
                Unread = [.. _unread],
                Problems = [.. _problems],
            };
        }

        private void Enter(string path, int depth)
        {
            if (depth > MaxDepth)
            {
                Doubt = $"{scanner.Full(path)} is deeper than {MaxDepth} folders";
                return;
            }
            scanner.BeforeRead?.Invoke(scanner.Full(path));
            var stamp = FileStamp.Of(scanner.Full(path), followLinks: true, out _);
            _folders[path] = stamp;
            if (stamp is { } found && !_visited.Add(found.Id)) return;
            string[] names;
            try
            {
                names = [.. Directory.EnumerateFileSystemEntries(scanner.Full(path)).Select(Path.GetFileName)!];
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (path.Length == 0) Doubt = $"{scanner.Full(path)} cannot be read: {e.Message}";
                _unread.Add(path + "/");
                _problems.Add(new Problem(scanner.Full(path), 0, "", $"cannot be read: {e.Message}", "let the agent read it, or remove it"));
                return;
            }
            Array.Sort(names, StringComparer.Ordinal);
            foreach (var name in names)
                if (name[0] != '.' && Doubt.Length == 0)
                    Visit(path.Length == 0 ? name : $"{path}/{name}", depth);
        }

        private void Visit(string path, int depth)
        {
            var link = FileStamp.Of(scanner.Full(path), followLinks: false, out _) is { IsLink: true };
            var stamp = FileStamp.Of(scanner.Full(path), followLinks: true, out _);
            if (stamp is { IsDirectory: true })
            {
                if (link) _linked.Enqueue((path, depth + 1));
                else Enter(path, depth + 1);
                return;
            }
            if (Path.GetExtension(path) is not (".yaml" or ".yml" or ".json")) return;
            if (link) scanner.BeforeRead?.Invoke(scanner.Full(path));
            _candidates.Add(new Candidate(path, stamp, link));
            if (_candidates.Count > MaxFiles) Doubt = $"{scanner.Full("")} holds more than {MaxFiles} manifests";
        }
    }

    private ScannedFile Read(string path) => files.Read(Full(path), path);

    private string Full(string path) => path.Length == 0 ? folder : folder.EndsWith('/') ? folder + path : $"{folder}/{path}";
}

using System.Collections.Immutable;
using System.Text;
using Reconciler.Core.Ports;
using Reconciler.Sources.Files;

namespace Reconciler.Sources.Manifests;

/// <summary>Reads manifests: YAML or JSON, several documents per file, lists unfolded. Never throws for what is in a file.</summary>
public static class ManifestReader
{
    public const string ApiVersion = "reconciler.dev/v1alpha1";

    /// <summary>Bytes.</summary>
    public const int MaxFileSize = 1 << 20;

    public const int MaxDocuments = 1000;

    private const string Group = "reconciler.dev/";

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>A folder (or one file) as it is now, without memory of earlier versions.</summary>
    /// <param name="path">Folder or file as the user gave it; used in problems and source labels.</param>
    /// <param name="options">This node.</param>
    public static ManifestFolder ReadFolder(string path, ManifestOptions options) => ManifestFolder.Read(path, options);

    /// <param name="file">Path as the user gave it, for problems.</param>
    /// <param name="content">The file's bytes.</param>
    /// <param name="source">Source label of what it declares.</param>
    /// <param name="options">This node.</param>
    public static ManifestFile ReadFile(string file, ReadOnlySpan<byte> content, string source, ManifestOptions options)
    {
        if (content.Length > MaxFileSize) return Unreadable(file, $"is larger than {MaxFileSize} bytes", "split it");
        if (content.StartsWith("\uFEFF"u8)) content = content[3..];
        string text;
        try
        {
            text = StrictUtf8.GetString(content);
        }
        catch (DecoderFallbackException)
        {
            return Unreadable(file, "is not UTF-8 text", "save it as UTF-8");
        }
        // A tab is white space between JSON tokens and nothing else; YAML's reader takes it for bad indentation.
        if (file.EndsWith(".json", StringComparison.OrdinalIgnoreCase)) text = text.Replace('\t', ' ');
        return new FileReading(file, source, options).Read(text);
    }

    /// <summary>One object as an API server gives it; problems name no line.</summary>
    /// <param name="name">What problems call it.</param>
    /// <param name="json">UTF-8 JSON.</param>
    /// <param name="source">Source label of what it declares.</param>
    /// <param name="options">This node.</param>
    internal static ManifestFile ReadObject(string name, ReadOnlyMemory<byte> json, string source, ManifestOptions options) =>
        new FileReading(name, source, options).Read(JsonNodes.Read(json));

    internal static ManifestFile Unreadable(string file, string message, string remedy) => new()
    {
        Documents = [new ManifestDocument { Line = 0, Identity = null, Refused = true }],
        Problems = [new Problem(file, 0, "", message, remedy)],
    };

    private sealed class FileReading(string file, string source, ManifestOptions options)
    {
        private readonly ImmutableArray<ManifestDocument>.Builder _documents = ImmutableArray.CreateBuilder<ManifestDocument>();
        private readonly ImmutableArray<Problem>.Builder _problems = ImmutableArray.CreateBuilder<Problem>();
        private readonly ImmutableArray<string>.Builder _ignored = ImmutableArray.CreateBuilder<string>();
        private int _count;

        public ManifestFile Read(string text)
        {
            foreach (var document in DocumentText.Split(text))
            {
                var problems = new ProblemList(file);
                try
                {
                    if (NodeReader.Read(document.Text, document.LinesBefore) is { } root) ReadRoot(root, "", problems);
                }
                catch (ManifestSyntaxException e)
                {
                    problems.Add(e.Line, "", e.Message, e.Remedy);
                    Refuse(document.LinesBefore + 1, null, problems);
                }
                if (_count > MaxDocuments) break;
            }
            return new ManifestFile { Documents = _documents.ToImmutable(), Problems = _problems.ToImmutable(), Ignored = _ignored.ToImmutable() };
        }

        public ManifestFile Read(ManifestNode root)
        {
            ReadRoot(root, "", new ProblemList(file));
            return new ManifestFile { Documents = _documents.ToImmutable(), Problems = _problems.ToImmutable(), Ignored = _ignored.ToImmutable() };
        }

        private void ReadRoot(ManifestNode node, string path, ProblemList problems)
        {
            if (++_count > MaxDocuments)
            {
                if (_count > MaxDocuments + 1) return;
                problems.Add(node.Line, path, $"more than {MaxDocuments} documents in one file", "split it");
                Refuse(node.Line, null, problems);
                return;
            }
            if (node is not MappingNode root)
            {
                problems.Add(node.Line, path, $"must be a mapping, not {node.Described}", $"begin with apiVersion: {ApiVersion}");
                Refuse(node.Line, null, problems);
                return;
            }
            var version = root.FindText("apiVersion");
            var kind = root.FindText("kind");
            if (kind is "List" && version is "v1" || kind is "NodeWorkloadList" or "NodeWorkloadSetList" && version == ApiVersion) ReadList(root, path);
            else if (IsForeign(version, kind)) _ignored.Add($"{FieldReader.Shown(version ?? "")} {FieldReader.Shown(kind ?? "")}".Trim());
            else ReadObject(root, path, version, kind, problems);
        }

        private void ReadList(MappingNode root, string path)
        {
            if (root.Find("items") is not SequenceNode items)
            {
                var problems = new ProblemList(file);
                if (root.Find("items") is { } other and not ScalarNode { Kind: ScalarKind.Null })
                {
                    problems.Add(other.Line, path.Length == 0 ? "items" : path + ".items", $"must be a list, not {other.Described}", "write each object after a dash");
                    Refuse(root.Line, null, problems);
                }
                return;
            }
            for (var i = 0; i < items.Items.Count && _count <= MaxDocuments; i++)
                ReadRoot(items.Items[i], path.Length == 0 ? $"items[{i}]" : $"{path}.items[{i}]", new ProblemList(file));
        }

        private void ReadObject(MappingNode root, string path, string? version, string? kind, ProblemList problems)
        {
            var identity = IdentityOf(root);
            CheckEnvelope(root, version, kind, problems);
            var set = kind == "NodeWorkloadSet";
            var workload = !set && kind != "NodeWorkload" ? null : new DocumentReader(options, problems).Read(root, path, set);
            if (problems.Refused)
            {
                Refuse(root.Line, identity, problems);
                return;
            }
            _problems.AddRange(problems.ToImmutable());
            _documents.Add(new ManifestDocument
            {
                Line = root.Line,
                Identity = identity,
                Refused = false,
                Resources = workload is null ? [] : WorkloadMapper.Map(workload, source),
                Json = NodeJson.Write(root),
            });
        }

        private static void CheckEnvelope(MappingNode root, string? version, string? kind, ProblemList problems)
        {
            if (version != ApiVersion)
            {
                var line = root.Find("apiVersion")?.Line ?? root.Line;
                problems.Add(line, "apiVersion", version is null ? "is required" : $"\"{FieldReader.Shown(version)}\" is not known", $"write {ApiVersion}");
            }
            if (kind is "NodeWorkload" or "NodeWorkloadSet") return;
            var remedy = kind is not null && Nearest.Find(kind, ["NodeWorkload", "NodeWorkloadSet"]) is { } near ? $"did you mean \"{near}\"?" : "NodeWorkload or NodeWorkloadSet";
            problems.Add(root.Find("kind")?.Line ?? root.Line, "kind", kind is null ? "is required" : $"\"{FieldReader.Shown(kind)}\" is not known", remedy);
        }

        /// <summary>Other people's objects may lie beside ours; what looks like a slip of ours may not pass for one.</summary>
        private bool IsForeign(string? version, string? kind)
        {
            if (version is null && kind is null) return Path.GetFileNameWithoutExtension(file) is "kustomization" or "Kustomization";
            if (version is null || kind is null || version.StartsWith(Group, StringComparison.Ordinal)) return false;
            return kind is not ("NodeWorkload" or "NodeWorkloadSet") && Nearest.Find(version, [ApiVersion]) is null;
        }

        private static string? IdentityOf(MappingNode root)
        {
            if (root.Find("metadata") is not MappingNode metadata || metadata.FindText("name") is not { } name) return null;
            return metadata.Find("namespace") switch
            {
                null or ScalarNode { Kind: ScalarKind.Null } => $"default/{name}",
                ScalarNode { Kind: ScalarKind.Text } ns => $"{ns.Text}/{name}",
                _ => null,
            };
        }

        private void Refuse(int line, string? identity, ProblemList problems)
        {
            _problems.AddRange(problems.ToImmutable());
            _documents.Add(new ManifestDocument { Line = line, Identity = identity, Refused = true });
        }
    }
}

using System.Text;
using Reconciler.Sources.Manifests;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Reconciler.Agent.Hosting;

/// <summary>The file of <c>--config</c>: one YAML mapping whose keys are the flags without dashes.</summary>
internal sealed class ConfigFile
{
    private const int MaxBytes = 1 << 20;

    private readonly Dictionary<string, (IReadOnlyList<string> Values, long Line)> _entries = new(StringComparer.Ordinal);

    private ConfigFile(string path) => Path = path;

    public string Path { get; }

    public static ConfigFile Read(string path)
    {
        var file = new ConfigFile(path);
        try
        {
            if (new FileInfo(path).Length > MaxBytes) throw new SettingException($"{path}: is larger than 1 MiB");
            file.Parse(new Parser(new StringReader(File.ReadAllText(path, Encoding.UTF8))));
        }
        catch (YamlException e)
        {
            throw new SettingException($"{path}:{e.Start.Line}: not YAML: {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SettingException($"{path}: cannot be read: {e.Message}");
        }
        return file;
    }

    public bool TryGet(Setting setting, out IReadOnlyList<string> values, out string place)
    {
        var found = _entries.TryGetValue(setting.Name, out var entry);
        values = found ? entry.Values : [];
        place = $"{Path}:{entry.Line}: {setting.Name}";
        return found;
    }

    private void Parse(Parser parser)
    {
        parser.Consume<StreamStart>();
        if (parser.TryConsume<StreamEnd>(out _)) return;
        parser.Consume<DocumentStart>();
        if (parser.Current is Scalar { Value: "" }) return; // only comments
        if (parser.Current is not MappingStart) throw Wrong(parser.Current!, "a mapping of settings, e.g. state-dir: /var/lib/reconciler");
        parser.Consume<MappingStart>();
        while (!parser.TryConsume<MappingEnd>(out _)) ParseEntry(parser);
        parser.Consume<DocumentEnd>();
        if (parser.Current is DocumentStart) throw Wrong(parser.Current, "one document only");
    }

    private void ParseEntry(Parser parser)
    {
        if (parser.Current is not Scalar key) throw Wrong(parser.Current!, "the name of a setting");
        parser.MoveNext();
        var setting = Settings.All.FirstOrDefault(s => s.Name == key.Value)
            ?? throw Wrong(key, $"a setting; \"{key.Value}\" is none{(Nearest.Find(key.Value.Replace('_', '-'), [.. Settings.All.Select(s => s.Name)]) is { } near ? $", did you mean {near}?" : "")}");
        var values = ParseValues(parser, setting);
        if (!_entries.TryAdd(setting.Name, (values, key.Start.Line))) throw Wrong(key, $"each setting once; {key.Value} is there twice");
    }

    private List<string> ParseValues(Parser parser, Setting setting)
    {
        var values = new List<string>();
        if (setting.Shape == SettingShape.Repeatable && parser.TryConsume<SequenceStart>(out _))
        {
            while (!parser.TryConsume<SequenceEnd>(out _)) values.Add(ParseScalar(parser, "a list of plain values"));
            return values;
        }
        if (setting.Shape == SettingShape.Pairs && parser.TryConsume<MappingStart>(out _))
        {
            while (!parser.TryConsume<MappingEnd>(out _)) values.Add($"{ParseScalar(parser, "a plain key")}={ParseScalar(parser, "a plain value")}");
            return values;
        }
        var right = setting.Shape switch
        {
            SettingShape.Repeatable => $"{setting.Name}: a list",
            SettingShape.Pairs => $"{setting.Name}: a mapping",
            _ => $"{setting.Name}: one plain value",
        };
        var single = ParseScalar(parser, right);
        values.AddRange(setting.Shape == SettingShape.Pairs ? SettingsReader.Split(single) : [single]);
        return values;
    }

    private string ParseScalar(Parser parser, string right)
    {
        if (parser.Current is not Scalar scalar) throw Wrong(parser.Current!, right);
        parser.MoveNext();
        return scalar.Value;
    }

    private SettingException Wrong(ParsingEvent at, string right) => new($"{Path}:{at.Start.Line}: right is: {right}");
}

using System.Globalization;

namespace Reconciler.Containerd;

/// <summary>Users as images and people write them, made into numbers with an image's /etc/passwd and /etc/group.</summary>
internal static class ImageUser
{
    /// <param name="text"><c>user</c> or <c>user:group</c>, each a name or a number; empty = root.</param>
    /// <param name="passwd">Text of /etc/passwd; empty = there is none.</param>
    /// <param name="group">Text of /etc/group; empty = there is none.</param>
    /// <exception cref="ContainerdException">A name is not in the files, or a number is out of range.</exception>
    public static OciUser Resolve(string text, string passwd, string group)
    {
        var parts = text.Split(':', 2);
        var name = parts[0].Length == 0 ? "0" : parts[0];
        var isNumber = IsNumber(name);
        var entry = Entries(passwd, 4).FirstOrDefault(fields => isNumber ? fields[2] == name : fields[0] == name);
        if (entry is null && !isNumber) throw new ContainerdException($"unable to find user {name}: no matching entries in the image's passwd file");
        var uid = Number(entry?[2] ?? name, "user");
        var groups = Entries(group, 3).ToList();
        var gid = parts.Length == 2 && parts[1].Length > 0 ? Group(parts[1], groups) : entry is null ? 0 : Number(entry[3], "group");
        var more = entry is null ? [] : groups.Where(fields => Members(fields).Contains(entry[0])).Select(fields => Number(fields[2], "group"));
        // The primary group is listed as well, or a program that drops to the supplementary ones would fall out of it.
        return new OciUser { Uid = uid, Gid = gid, AdditionalGids = [.. more.Prepend(gid).Distinct()] };
    }

    private static uint Group(string text, List<string[]> groups)
    {
        if (IsNumber(text)) return Number(text, "group");
        var found = groups.Find(fields => fields[0] == text)
            ?? throw new ContainerdException($"unable to find group {text}: no matching entries in the image's group file");
        return Number(found[2], "group");
    }

    private static string[] Members(string[] fields) => fields.Length > 3 ? fields[3].Split(',', StringSplitOptions.RemoveEmptyEntries) : [];

    private static IEnumerable<string[]> Entries(string text, int fields) => text
        .Split('\n')
        .Select(line => line.Trim())
        .Where(line => line.Length > 0 && line[0] != '#')
        .Select(line => line.Split(':'))
        .Where(parts => parts.Length >= fields);

    private static bool IsNumber(string text) => text.All(char.IsAsciiDigit);

    private static uint Number(string text, string what) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= int.MaxValue
            ? number
            : throw new ContainerdException($"unable to find {what} {text}: not a number of 0 to {int.MaxValue}");
}

using System.Runtime.InteropServices;

namespace Reconciler.Containerd.Images;

/// <summary>os/architecture[/variant] in Go's words, normalised: arm64 has no v8, arm is v7 unless it says otherwise.</summary>
internal sealed record Platform(string Os, string Architecture, string Variant)
{
    public static Platform Host { get; } = Create("linux", RuntimeInformation.OSArchitecture switch
    {
        System.Runtime.InteropServices.Architecture.X64 => "amd64",
        System.Runtime.InteropServices.Architecture.X86 => "386",
        System.Runtime.InteropServices.Architecture.Arm64 => "arm64",
        System.Runtime.InteropServices.Architecture.Arm or System.Runtime.InteropServices.Architecture.Armv6 => "arm",
        System.Runtime.InteropServices.Architecture.Ppc64le => "ppc64le",
        System.Runtime.InteropServices.Architecture.S390x => "s390x",
        System.Runtime.InteropServices.Architecture.LoongArch64 => "loong64",
        System.Runtime.InteropServices.Architecture.RiscV64 => "riscv64",
        var other => other.ToString().ToLowerInvariant(),
    }, "");

    public static Platform Create(string os, string architecture, string variant) => (architecture, variant) switch
    {
        ("x86_64" or "x86-64", _) => new Platform(os, "amd64", variant == "v1" ? "" : variant),
        ("amd64", "v1") => new Platform(os, "amd64", ""),
        ("i386", _) => new Platform(os, "386", ""),
        ("aarch64", _) or ("arm64", "8" or "v8") => new Platform(os, "arm64", ""),
        ("arm", "") => new Platform(os, "arm", "v7"),
        ("arm", "5" or "6" or "7" or "8") => new Platform(os, "arm", "v" + variant),
        ("armhf", _) => new Platform(os, "arm", "v7"),
        ("armel", _) => new Platform(os, "arm", "v6"),
        _ => new Platform(os, architecture, variant),
    };

    /// <exception cref="ArgumentException">Not of the form os/architecture[/variant].</exception>
    public static Platform Parse(string text)
    {
        var parts = text.Split('/');
        return parts.Length is 2 or 3 && parts.All(part => part.Length > 0 && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.'))
            ? Create(parts[0].ToLowerInvariant(), parts[1].ToLowerInvariant(), parts.Length == 3 ? parts[2].ToLowerInvariant() : "")
            : throw new ArgumentException($"platform \"{text}\": it must be os/architecture or os/architecture/variant, for instance linux/arm64", nameof(text));
    }

    /// <summary>How well content for <paramref name="offered"/> serves this platform: 0 = exactly, larger = worse, null = not at all.</summary>
    public int? Distance(Platform offered)
    {
        if (offered.Os != Os) return null;
        if (offered.Architecture == Architecture)
        {
            if (offered.Variant == Variant) return 0;
            return Architecture switch
            {
                "arm" => Level(offered.Variant) is { } level && Level(Variant) is { } own && level <= own ? own - level : null,
                "arm64" or "amd64" => (Level(offered.Variant) ?? Base) <= (Level(Variant) ?? Base)
                    ? (Level(Variant) ?? Base) - (Level(offered.Variant) ?? Base)
                    : null,
                _ => null,
            };
        }
        return (Architecture, offered.Architecture) switch
        {
            ("amd64", "386") => 100,
            ("arm64", "arm") when Level(offered.Variant) is <= 8 => 100 + 8 - Level(offered.Variant)!.Value,
            _ => null,
        };
    }

    public override string ToString() => Variant.Length == 0 ? $"{Os}/{Architecture}" : $"{Os}/{Architecture}/{Variant}";

    private int Base => Architecture == "arm64" ? 8 : 1;

    private static int? Level(string variant) =>
        variant.Length == 2 && variant[0] == 'v' && char.IsAsciiDigit(variant[1]) ? variant[1] - '0' : null;
}

using System.Text.RegularExpressions;
using Reconciler.Testing;

namespace Reconciler.EndToEnd.Tests;

/// <summary>The package, made once and unpacked.</summary>
public sealed class DebianPackage : IAsyncLifetime
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    private readonly TempFolder _folder = new();

    public string Version { get; } = "0.0.1~" + Names.Unique();

    public string Path { get; private set; } = "";

    /// <summary>Something of root/ (the files) or control/.</summary>
    public string this[string name] => _folder[name];

    public async ValueTask InitializeAsync()
    {
        Path = await BuildAsync();
        await Shell.OutputAsync("dpkg-deb", "-x", Path, this["root"]);
        await Shell.OutputAsync("dpkg-deb", "-e", Path, this["control"]);
    }

    public async Task<string> BuildAsync()
    {
        var result = await Shell.RunAsync(System.IO.Path.Combine(Checkout.Root, "scripts/package.sh"), [Version], limit: Limit);
        Assert.True(result.ExitCode == 0, result.Error);
        return System.IO.Path.Combine(Checkout.Root, result.Output.Trim());
    }

    public ValueTask DisposeAsync()
    {
        if (Path.Length > 0) File.Delete(Path);
        _folder.Dispose();
        return ValueTask.CompletedTask;
    }
}

/// <summary>What <c>scripts/package.sh</c> makes.</summary>
public sealed partial class DebianPackageTests(DebianPackage package) : IClassFixture<DebianPackage>
{
    [Fact]
    public async Task It_holds_what_a_machine_needs_and_is_the_same_bytes_each_time()
    {
        var first = await File.ReadAllBytesAsync(package.Path, TestContext.Current.CancellationToken);
        Assert.Equal(first, await File.ReadAllBytesAsync(await package.BuildAsync(), TestContext.Current.CancellationToken));

        string[] files =
        [
            "usr/bin/reconciler", "usr/lib/systemd/system/reconciler.service", "etc/reconciler/config.yaml", "usr/share/doc/reconciler/copyright",
            "usr/share/doc/reconciler/changelog.gz", "usr/share/bash-completion/completions/reconciler", "usr/share/zsh/vendor-completions/_reconciler",
        ];
        Assert.All(files, file => Assert.True(File.Exists(Path.Combine(package["root"], file)), file));
        Assert.True(Directory.Exists(package["root/etc/reconciler/manifests"]));
        Assert.Equal("/etc/reconciler/config.yaml\n", await File.ReadAllTextAsync(package["control/conffiles"], TestContext.Current.CancellationToken));
        var control = await File.ReadAllTextAsync(package["control/control"], TestContext.Current.CancellationToken);
        Assert.Contains($"Version: {package.Version}\n", control, StringComparison.Ordinal);
        Assert.Contains("containerd (>= 1.6) | containerd.io (>= 1.6)", control, StringComparison.Ordinal);
        foreach (var script in new[] { "postinst", "prerm", "postrm" }) await Shell.OutputAsync("sh", "-n", package["control/" + script]);
        Assert.All(
            (await Shell.OutputAsync("dpkg-deb", "-c", package.Path)).Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Contains(" root/root ", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Every_command_has_a_manual_page_with_all_of_its_flags_and_completion_is_the_programs_own()
    {
        var pages = 0;
        var commands = new Queue<string[]>([[]]);
        while (commands.TryDequeue(out var command))
        {
            var help = await Shell.OutputAsync(AgentNode.Binary, [.. command, "--help"]);
            var page = (await Shell.OutputAsync("zcat", package["root/usr/share/man/man1/" + string.Join('-', ["reconciler", .. command]) + ".1.gz"])).Replace("\\-", "-", StringComparison.Ordinal);
            Assert.All(Flag().Matches(help), flag => Assert.Contains(flag.Value, page, StringComparison.Ordinal));
            foreach (var section in new[] { ".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n" }) Assert.Contains(section, page, StringComparison.Ordinal);
            foreach (Match sub in SubCommand().Matches(help.Split("Commands:\n").ElementAtOrDefault(1) ?? "")) commands.Enqueue([.. command, sub.Groups[1].Value]);
            pages++;
        }
        Assert.Equal(Directory.GetFiles(package["root/usr/share/man/man1"]).Length, pages);
        Assert.True(pages > 12);
        foreach (var (shell, file) in new[] { ("bash", "bash-completion/completions/reconciler"), ("zsh", "zsh/vendor-completions/_reconciler") })
        {
            Assert.Equal(
                await Shell.OutputAsync(AgentNode.Binary, "completion", shell),
                await File.ReadAllTextAsync(Path.Combine(package["root"], "usr/share", file), TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task Its_config_file_is_one_that_the_program_takes()
    {
        var result = await Shell.RunAsync(AgentNode.Binary, ["validate", "--config", package["root/etc/reconciler/config.yaml"], "-f", package["root/etc/reconciler/manifests"]]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
    }

    [GeneratedRegex(@"--[a-z][a-z-]+")]
    private static partial Regex Flag();

    /// <summary>The last of a command's names, as in "image, images".</summary>
    [GeneratedRegex(@"^  (?:[a-z]+, )*([a-z]+)(?=  | <)", RegexOptions.Multiline)]
    private static partial Regex SubCommand();
}

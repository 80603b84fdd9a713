using System.IO.Compression;
using Reconciler.Testing;
using Reconciler.Testing.Containerd;

namespace Reconciler.EndToEnd.Tests;

/// <summary>The client library as its users get it: packed, restored from a feed, compiled to native code.</summary>
public sealed class PackageTests : IDisposable
{
    private const string Version = "0.0.1-test";

    private readonly TempFolder _folder = new();

    private static string Root { get; } = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(AgentNode.Binary)!, "../.."));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_program_of_the_packages_README_builds_from_the_package_without_a_warning_and_runs_natively()
    {
        await PackAsync();
        Directory.CreateDirectory(_folder["hello"]);
        await using var daemon = await ContainerdDaemon.StartAsync();
        var program = (await ReadmeProgramAsync()).Replace("Address = socket", $"Address = socket, Namespace = \"{daemon.Namespace}\", Registry = new() {{ PlainHttpHosts = [\"{SharedRegistry.Host}\"] }}", StringComparison.Ordinal);
        await File.WriteAllTextAsync(_folder["hello/Program.cs"], program, TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(_folder["hello/hello.csproj"], $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <PublishAot>true</PublishAot>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <InvariantGlobalization>true</InvariantGlobalization>
                <RestoreAdditionalProjectSources>{_folder["feed"]}</RestoreAdditionalProjectSources>
                <RestorePackagesPath>{_folder["packages"]}</RestorePackagesPath>
                <RestoreFallbackFolders>{PackageCache}</RestoreFallbackFolders>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Reconciler.Containerd" Version="{Version}" />
              </ItemGroup>
            </Project>
            """, TestContext.Current.CancellationToken);
        var output = await DotnetAsync("publish", _folder["hello"], "-o", _folder["out"], "--nologo", "-v", "q");
        Assert.DoesNotContain("warning", output, StringComparison.OrdinalIgnoreCase);

        var result = await Shell.RunAsync(_folder["out/hello"], [daemon.Address, SharedRegistry.Busybox]);
        Assert.Equal((0, "hello from a container\nended with 0\n", ""), (result.ExitCode, result.Output, result.Error));
        Assert.Equal("", (await daemon.CtrAsync("containers", "list", "-q")).Trim());
    }

    [Fact]
    public async Task The_package_holds_README_license_documentation_and_symbols()
    {
        await PackAsync();
        using var package = await ZipFile.OpenReadAsync(_folder[$"feed/Reconciler.Containerd.{Version}.nupkg"], TestContext.Current.CancellationToken);
        var names = package.Entries.Select(entry => entry.FullName).ToList();
        Assert.Contains("README.md", names);
        Assert.Contains("lib/net10.0/Reconciler.Containerd.dll", names);
        Assert.Contains("lib/net10.0/Reconciler.Containerd.xml", names);
        using var nuspec = new StreamReader(package.GetEntry("Reconciler.Containerd.nuspec")!.Open());
        var text = await nuspec.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Contains("<license type=\"expression\">Apache-2.0</license>", text, StringComparison.Ordinal);
        Assert.Contains("<readme>README.md</readme>", text, StringComparison.Ordinal);
        Assert.DoesNotContain("Reconciler.Core", text, StringComparison.Ordinal);
        using var symbols = await ZipFile.OpenReadAsync(_folder[$"feed/Reconciler.Containerd.{Version}.snupkg"], TestContext.Current.CancellationToken);
        Assert.Contains(symbols.Entries, entry => entry.FullName == "lib/net10.0/Reconciler.Containerd.pdb");
    }

    private static string PackageCache =>
        Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget/packages");

    private Task PackAsync() => DotnetAsync(
        "pack", Path.Combine(Root, "src/Reconciler.Containerd"), "-c", "Release", "--no-build", $"-p:PackageVersion={Version}", "-o", _folder["feed"], "--nologo");

    private static async Task<string> ReadmeProgramAsync()
    {
        var readme = await File.ReadAllTextAsync(Path.Combine(Root, "src/Reconciler.Containerd/README.md"));
        var start = readme.IndexOf("```csharp\n", StringComparison.Ordinal) + "```csharp\n".Length;
        return readme[start..readme.IndexOf("```\n", start, StringComparison.Ordinal)];
    }

    private static async Task<string> DotnetAsync(params string[] arguments)
    {
        // A build server that outlives the test would hold its output open.
        var environment = new Dictionary<string, string> { ["MSBUILDDISABLENODEREUSE"] = "1", ["DOTNET_CLI_USE_MSBUILD_SERVER"] = "0", ["UseSharedCompilation"] = "false" };
        var result = await Shell.RunAsync("dotnet", arguments, environment, TimeSpan.FromMinutes(15));
        Assert.True(result.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}: {result.ExitCode}\n{result.Output}{result.Error}");
        return result.Output + result.Error;
    }
}

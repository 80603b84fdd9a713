using System.Text;
using Reconciler.Containerd.Registries;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Registries;

public sealed class DockerConfigTests(DockerConfigTests.HelperFolder folder) : IClassFixture<DockerConfigTests.HelperFolder>
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("""{"auths":{"r.io":{"auth":"dTpwOnc="}}}""", "r.io", "u p:w")]
    [InlineData("""{"auths":{"r.io":{"username":"u","password":"p"}}}""", "r.io", "u p")]
    [InlineData("""{"auths":{"https://r.io":{"auth":"dTpw"}}}""", "r.io", "u p")]
    [InlineData("""{"auths":{"https://r.io/v2/":{"auth":"dTpw"}}}""", "r.io", "u p")]
    [InlineData("""{"auths":{"r.io:5000":{"auth":"dTpw"}}}""", "r.io:5000", "u p")]
    [InlineData("""{"auths":{"r.io:5000":{"auth":"dTpw"}}}""", "r.io", null)]
    [InlineData("""{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}""", "docker.io", "u p")]
    [InlineData("""{"auths":{"r.io":{"auth":"YTpi"},"r.io/team":{"auth":"dTpw"}}}""", "r.io", "u p")]
    [InlineData("""{"auths":{"r.io":{"auth":"dTpw"},"r.io/te":{"auth":"YTpi"}}}""", "r.io", "u p")]
    [InlineData("""{"auths":{"r.io":{"identitytoken":"i","auth":"dTpw"}}}""", "r.io", "identity i")]
    [InlineData("""{"auths":{"r.io":{"registrytoken":"t"}}}""", "r.io", "bearer t")]
    [InlineData("""{"auths":{"r.io":{}}}""", "r.io", null)]
    [InlineData("""{"auths":{"other":{"auth":"%%%"},"r.io":{"auth":"dTpw"}}}""", "r.io", "u p")]
    [InlineData("{}", "r.io", null)]
    public async Task Logins_are_found(string json, string domain, string? expected)
    {
        var found = await DockerConfig.Parse(Encoding.UTF8.GetBytes(json)).FindAsync(domain, "team/app", TimeProvider.System, Stop);

        Assert.Equal(expected, Text(found));
    }

    [Theory]
    [InlineData("""{"auths":{"r.io":{"auth":"%%%"}}}""")]
    [InlineData("""{"auths":{"r.io":{"auth":"bm9jb2xvbg=="}}}""")]
    public async Task A_broken_login_is_an_error_for_its_registry(string json)
    {
        var config = DockerConfig.Parse(Encoding.UTF8.GetBytes(json));

        Assert.Equal(PullErrorKind.Unauthorized, (await Assert.ThrowsAsync<PullException>(() => config.FindAsync("r.io", "a", TimeProvider.System, Stop))).Kind);
        Assert.Null(await config.FindAsync("other.io", "a", TimeProvider.System, Stop));
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("no json")]
    public async Task A_broken_file_is_an_error_that_names_it(string text)
    {
        using var files = new TempFolder();
        await File.WriteAllTextAsync(files["config.json"], text, Stop);

        var error = await Assert.ThrowsAsync<PullException>(() => DockerConfig.LoadAsync(files["config.json"], Stop));

        Assert.Contains(files["config.json"], error.Message, StringComparison.Ordinal);
        Assert.Null(await (await DockerConfig.LoadAsync(files["none.json"], Stop)).FindAsync("r.io", "a", TimeProvider.System, Stop));
    }

    [Fact]
    public void No_secret_is_in_a_text_form() =>
        Assert.DoesNotContain("hush", new RegistryCredentials.Password("me", "hush").ToString(), StringComparison.Ordinal);

    [Theory]
    [InlineData("cat >/dev/null; echo '{\"ServerURL\":\"x\",\"Username\":\"u\",\"Secret\":\"p\"}'", "u p")]
    [InlineData("read -r s; echo \"{\\\"Username\\\":\\\"$s\\\",\\\"Secret\\\":\\\"p\\\"}\"", "r.io p")]
    [InlineData("echo '{\"Username\":\"<token>\",\"Secret\":\"i\"}'", "identity i")]
    [InlineData("echo 'credentials not found in native keychain'; exit 1", null)]
    public async Task A_credential_helper_is_asked(string script, string? expected)
    {
        var helper = await folder.AddAsync(script);
        foreach (var json in new[] { $$"""{"credHelpers":{"r.io":"{{helper}}"} }""", $$"""{"credsStore":"{{helper}}"}""" })
        {
            var found = await DockerConfig.Parse(Encoding.UTF8.GetBytes(json)).FindAsync("r.io", "a", TimeProvider.System, Stop);
            Assert.Equal(expected, Text(found));
        }
    }

    [Theory]
    [InlineData("echo broken; exit 3")]
    [InlineData("echo no json")]
    public async Task A_failing_credential_helper_is_an_error_that_names_it(string script)
    {
        var helper = await folder.AddAsync(script);
        var config = DockerConfig.Parse(Encoding.UTF8.GetBytes($$"""{"credsStore":"{{helper}}"}"""));

        var error = await Assert.ThrowsAsync<PullException>(() => config.FindAsync("r.io", "a", TimeProvider.System, Stop));

        Assert.Contains("docker-credential-" + helper, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_credential_helper_is_an_error()
    {
        var config = DockerConfig.Parse("""{"credsStore":"there-is-none"}"""u8.ToArray());

        await Assert.ThrowsAsync<PullException>(() => config.FindAsync("r.io", "a", TimeProvider.System, Stop));
    }

    private static string? Text(RegistryCredentials? credentials) => credentials switch
    {
        null => null,
        RegistryCredentials.Password password => $"{password.User} {password.Secret}",
        RegistryCredentials.IdentityToken identity => "identity " + identity.Token,
        RegistryCredentials.RegistryToken registry => "bearer " + registry.Token,
        _ => throw new InvalidOperationException(),
    };

    /// <summary>A folder of PATH for helpers.</summary>
    public sealed class HelperFolder : IDisposable
    {
        private readonly TempFolder _folder = new();

        public HelperFolder() => Environment.SetEnvironmentVariable("PATH", $"{Environment.GetEnvironmentVariable("PATH")}:{_folder.Path}");

        /// <summary>Written by another process: a file that this one had open for writing cannot be run while a fork of it lives.</summary>
        public async Task<string> AddAsync(string script)
        {
            var name = "test" + Names.Unique();
            await Shell.OutputAsync("/bin/sh", "-c", "printf '%s\\n' '#!/bin/sh' \"$2\" > \"$1\" && chmod 700 \"$1\"", "sh", _folder["docker-credential-" + name], script);
            return name;
        }

        public void Dispose() => _folder.Dispose();
    }
}

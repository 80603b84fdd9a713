using System.Globalization;
using CsCheck;
using Reconciler.Containerd.Registries;
using Reconciler.Testing;

namespace Reconciler.Containerd.Tests.Registries;

public sealed class HostsFileTests : IDisposable
{
    private static readonly RegistryHost Own = new(new Uri("https://own.test/v2/"));

    private static readonly string[] Parts = ["[", "]", "host", ".", "'m.test'", "=", "\n", "{", "}", ",", "true", "\"", "ca", "client", "header", " ", "1"];

    private readonly TempFolder _folder = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("", "https://own.test/v2/ All")]
    [InlineData("# nothing", "https://own.test/v2/ All")]
    [InlineData("server = 'https://up.test'", "https://up.test/v2/ All")]
    [InlineData("server = 'up.test:5000/'", "https://up.test:5000/v2/ All")]
    [InlineData("server = 'http://[::1]:5000/v2'", "http://[::1]:5000/v2/ All")]
    [InlineData("server = 'https://up.test/team'", "https://up.test/team/v2/ All")]
    [InlineData("server = 'https://up.test/team'\noverride_path = true", "https://up.test/team/ All")]
    [InlineData("server = 'https://up.test'\noverride_path = true", "https://up.test/ All")]
    [InlineData("capabilities = ['pull']\nskip_verify = true", "https://own.test/v2/ Pull skip")]
    [InlineData("[host.'https://b.test']\n[host.'https://a.test']\n", "https://b.test/v2/ All | https://a.test/v2/ All | https://own.test/v2/ All")]
    [InlineData("[host]\n[host.'m.test']\ncapabilities = ['PULL', 'resolve', 'referrers']", "https://m.test/v2/ Pull, Resolve | https://own.test/v2/ All")]
    [InlineData("[host.'m.test']\ncapabilities = []", "https://m.test/v2/ All | https://own.test/v2/ All")]
    [InlineData("[host.'m.test']\nca = 'a.pem'\nclient = '/c/b.pem'", "https://m.test/v2/ All ca=/d/a.pem client=/c/b.pem+ | https://own.test/v2/ All")]
    [InlineData("ca = ['a.pem', '/b.pem']\nclient = ['x.pem', ['y.cert', 'y.key'], ['z.pem', '']]",
        "https://own.test/v2/ All ca=/d/a.pem,/b.pem client=/d/x.pem+,/d/y.cert+/d/y.key,/d/z.pem+")]
    [InlineData("[header]\nx-a = 'one'\nx-b = ['two', 'three']", "https://own.test/v2/ All x-a:one x-b:two x-b:three")]
    [InlineData("[host.'m.test']\nskip_verify = false\n[host.'m.test'.header]\nAuthorization = 'Basic eA=='", "https://m.test/v2/ All Authorization:Basic eA== | https://own.test/v2/ All")]
    [InlineData("host.'m.test'.header = {x-a = 'b'}\nhost.'n.test' = {capabilities = ['pull']}", "https://m.test/v2/ All x-a:b | https://n.test/v2/ Pull | https://own.test/v2/ All")]
    [InlineData("[host.'m.test']\ndial_timeout = '1m1.5s'", "https://m.test/v2/ All dial=61.5 | https://own.test/v2/ All")]
    public void A_file_is_read_in_its_order(string toml, string expected) =>
        Assert.Equal(expected, string.Join(" | ", Read(toml).Select(Text)));

    [Theory]
    [InlineData("server = 5", ":1: server: ", "a text")]
    [InlineData("\nserver = 'ftp://x.test'", ":2: server: ", "https://")]
    [InlineData("server = 'https://'", ":1: server: ", "a host")]
    [InlineData("server = 'https://me:secret@x.test'", ":1: server: ", "config.json")]
    [InlineData("server = 'https://x.test/?a=b'", ":1: server: ", "without ?")]
    [InlineData("[host.'a b']", ":1: host.\"a b\": ", "https://")]
    [InlineData("host = 'https://m.test'", ":1: host: ", "[host.")]
    [InlineData("[[host]]", ":1: host: ", "single brackets")]
    [InlineData("[host]\n'https://m.test' = 1", ":2: host.\"https://m.test\": ", "[host.")]
    [InlineData("# c\n[host.'m.test']\ncapabilities = ['pull', 'pul']", ":3: host.\"m.test\".capabilities: ", "pull, resolve and push")]
    [InlineData("capabilities = 'pull'", ":1: capabilities: ", "a list")]
    [InlineData("capabilities = [true]", ":1: capabilities: ", "pull, resolve and push")]
    [InlineData("[host.'m.test']\nskip-verify = true", ":2: host.\"m.test\".skip-verify: ", "skip_verify")]
    [InlineData("skip_verify = 'yes'", ":1: skip_verify: ", "true or false")]
    [InlineData("override_path = 1", ":1: override_path: ", "true or false")]
    [InlineData("ca = true", ":1: ca: ", "a path or a list of paths")]
    [InlineData("ca = ['a', 1]", ":1: ca: ", "a path or a list of paths")]
    [InlineData("ca = ''", ":1: ca: ", "a path or a list of paths")]
    [InlineData("client = [['a']]", ":1: client: ", "pairs")]
    [InlineData("client = [['a', 'b', 'c']]", ":1: client: ", "pairs")]
    [InlineData("client = 1.5", ":1: client: ", "pairs")]
    [InlineData("[header]\nx-a = 1", ":2: header.x-a: ", "a text or a list of texts")]
    [InlineData("[header]\n'x a' = 'hush'", ":2: header.\"x a\": ", "HTTP request header")]
    [InlineData("[header]\nContent-Length = 'hush'", ":2: header.Content-Length: ", "HTTP request header")]
    [InlineData("[header]\nx-a = \"hush\\r\\nx-b: c\"", ":2: header.x-a: ", "printable ASCII")]
    [InlineData("header = 'hush'", ":1: header: ", "a table")]
    [InlineData("[header.a.b]", ":1: header.a.b: ", "a table")]
    [InlineData("[ca]\nx = 1", ":1: ca: ", "a path or a list")]
    [InlineData("ca.x = 1", ":1: ca.x: ", "not a table")]
    [InlineData("dial_timeout = '0s'", ":1: dial_timeout: ", "10m")]
    [InlineData("dial_timeout = '3'", ":1: dial_timeout: ", "3s")]
    [InlineData("dial_timeout = 3", ":1: dial_timeout: ", "3s")]
    [InlineData("dial_timeout = '999999h'", ":1: dial_timeout: ", "10m")]
    [InlineData("proxy = 'x'", ":1: proxy: ", "capabilities, ca, client")]
    [InlineData("[host.'m.test']\nserver = 'x'", ":2: host.\"m.test\".server: ", "at the top")]
    [InlineData("[host.'m.test'.host.'n.test']", ":1: host.\"m.test\".host.\"n.test\": ", "one of")]
    [InlineData("server = 'a.test'\nserver = 'b.test'", ":2: ", "already defined")]
    [InlineData("server = \"open", ":1: ", "not TOML")]
    [InlineData("\n\nca = [1,", ":3: ", "not TOML")]
    public void What_is_not_right_is_named_with_file_line_key_and_remedy(string toml, string place, string right)
    {
        var error = Assert.Throws<PullException>(() => Read(toml));

        Assert.StartsWith("/d/hosts.toml" + place, error.Message, StringComparison.Ordinal);
        Assert.Contains(right, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("hush", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ca = ", "[")]
    [InlineData("header = ", "{a = ")]
    public void Deep_nesting_is_refused(string start, string level) =>
        Assert.StartsWith("/d/hosts.toml: ", Assert.Throws<PullException>(() => Read(start + string.Concat(Enumerable.Repeat(level, 20_000)))).Message, StringComparison.Ordinal);

    [Fact]
    public void Any_text_is_read_or_refused() => CsCheck.Check.Sample(
        CsCheck.Gen.Int[0, Parts.Length - 1].Array[0, 14],
        parts =>
        {
            try
            {
                return Read(string.Concat(parts.Select(part => Parts[part]))).Count > 0;
            }
            catch (PullException)
            {
                return true;
            }
        },
        iter: 3000);

    [Theory]
    [InlineData("r.test:5000", "r.test_5000_|r.test:5000|_default", "https://r.test_5000_/v2/")]
    [InlineData("r.test:5000", "r.test:5000|_default", "https://r.test:5000/v2/")]
    [InlineData("r.test:5000", "r.test|_default", "https://_default/v2/")]
    [InlineData("r.test", "r.test|_default", "https://r.test/v2/")]
    [InlineData("[::1]", "[::1]", "https://[::1]/v2/")]
    [InlineData("r.test", "other.test", "https://own.test/v2/")]
    public async Task The_folder_is_the_registrys_or_the_default(string domain, string folders, string expected)
    {
        foreach (var name in folders.Split('|'))
        {
            Directory.CreateDirectory(_folder["certs.d/" + name]);
            await File.WriteAllTextAsync(_folder[$"certs.d/{name}/hosts.toml"], $"server = 'https://{name.Replace("_default", "default", StringComparison.Ordinal).Replace("test_5000_", "test.port", StringComparison.Ordinal)}'", Stop);
        }

        var found = Assert.Single(await new HostsDirectory(_folder["certs.d"], "/").FindAsync(domain, Own, Stop));

        Assert.Equal(expected.Replace("_default", "default", StringComparison.Ordinal).Replace("test_5000_", "test.port", StringComparison.Ordinal), found.Root.ToString());
    }

    [Fact]
    public async Task Without_the_folder_nothing_is_configured() =>
        Assert.Equal([Own], await new HostsDirectory(_folder["none"], "/").FindAsync("r.test", Own, Stop));

    [Fact]
    public async Task Without_a_file_dockers_certificate_files_count_and_paths_are_below_the_host_root()
    {
        Directory.CreateDirectory(_folder["etc/r.test"]);
        foreach (var name in new[] { "b.crt", "a.crt", "c.cert", "c.key", "d.cert", "README" }) await File.WriteAllTextAsync(_folder["etc/r.test/" + name], "", Stop);
        var directory = new HostsDirectory("/etc", _folder.Path);

        var certificates = Assert.Single(await directory.FindAsync("r.test", Own, Stop));
        await File.WriteAllTextAsync(_folder["etc/r.test/hosts.toml"], "ca = ['/pki/a.pem', 'b.pem']", Stop);
        var file = Assert.Single(await directory.FindAsync("r.test", Own, Stop));

        var at = _folder["etc/r.test"];
        Assert.Equal($"https://own.test/v2/ All ca={at}/a.crt,{at}/b.crt client={at}/c.cert+{at}/c.key,{at}/d.cert+", Text(certificates));
        Assert.Equal($"https://own.test/v2/ All ca={_folder.Path}/pki/a.pem,{at}/b.pem", Text(file));
    }

    [Theory]
    [InlineData("docker.io", "https://registry-1.docker.io/v2/", false, "docker.io")]
    [InlineData("docker.io", "https://m.test/v2/", true, "m.test")]
    [InlineData("r.test", "https://r.test/v2/", false, "r.test")]
    [InlineData("r.test:443", "https://r.test/v2/", false, "r.test:443")]
    [InlineData("R.test", "https://r.test/v2/", false, "R.test")]
    [InlineData("r.test", "https://r.test:5000/v2/", true, "r.test:5000")]
    [InlineData("r.test", "https://registry-1.docker.io/v2/", true, "docker.io")]
    public void A_mirror_is_another_host_and_has_a_login_of_its_own(string domain, string root, bool mirror, string login)
    {
        var host = new RegistryHost(new Uri(root));

        Assert.Equal((mirror, login), (host.IsMirrorOf(domain), host.LoginDomain(domain)));
        Assert.Equal(mirror ? "?ns=" + Uri.EscapeDataString(domain) : "", new RegistryEndpoint(domain, host, "a/b").Blob("sha256:1").Query);
    }

    public void Dispose() => _folder.Dispose();

    private static IReadOnlyList<RegistryHost> Read(string toml) => new HostsFile("/d/hosts.toml", path => Path.Combine("/d", path)).Read(toml, Own);

    private static string Text(RegistryHost host) => string.Join(' ', new[]
    {
        host.Root.ToString(),
        host.Capabilities.ToString(),
        host.Tls?.SkipVerify == true ? "skip" : "",
        host.Tls?.Ca.Count > 0 ? "ca=" + string.Join(',', host.Tls.Ca.Select(file => file.Path)) : "",
        host.Tls?.Client.Count > 0 ? "client=" + string.Join(',', host.Tls.Client.Select(pair => $"{pair.Certificate.Path}+{pair.Key?.Path}")) : "",
        host.DialTimeout is { } dial ? "dial=" + dial.TotalSeconds.ToString(CultureInfo.InvariantCulture) : "",
    }.Concat(host.Headers.Select(header => $"{header.Key}:{header.Value}")).Where(part => part.Length > 0));
}

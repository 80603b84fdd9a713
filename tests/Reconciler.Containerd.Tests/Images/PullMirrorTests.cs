using Reconciler.Containerd.Tests.Registries;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Containerd.Tests.Images;

/// <summary>Pulls through a folder of hosts.toml files into a real containerd.</summary>
public sealed class PullMirrorTests(SharedDaemon shared) : IAsyncDisposable
{
    private const int Megabyte = 1024 * 1024;

    private readonly FakeRegistry _mirror = new();
    private readonly FakeRegistry _origin = new();
    private readonly TempFolder _folder = new();
    private readonly string _repository = "m" + Names.Unique();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_mirror_gives_the_content_and_the_registry_the_digest()
    {
        var (image, layer) = Large();
        var reference = Add(image);
        Write($"[host.'http://{_mirror.Host}']\ncapabilities = ['pull']");
        await using var client = await ConnectAsync();

        var pulled = await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Equal((reference, image.Manifest.Digest), (pulled.Name, pulled.Digest));
        Assert.Equal("HEAD", Assert.Single(_origin.Requests).Method);
        Assert.Single(_mirror.BlobGets(layer.Digest));
        Assert.True(await client.IsUnpackedAsync(reference, Stop));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task What_a_mirror_breaks_off_the_registry_goes_on_with()
    {
        var (image, layer) = Large();
        var reference = Add(image);
        Write($"[host.'http://{_mirror.Host}']");
        _mirror.Intercept = request => IsGet(request, layer) ? _mirror.Serve(request) with { CutAfter = 700_000 } : null;
        await using var client = await ConnectAsync();

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Single(_mirror.BlobGets(layer.Digest));
        Assert.Equal("bytes=700000-", Assert.Single(_origin.BlobGets(layer.Digest))["Range"]);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public async Task Wrong_content_of_a_mirror_is_fetched_from_the_registry(int more)
    {
        var (image, layer) = Large();
        var reference = Add(image);
        Write($"[host.'http://{_mirror.Host}']");
        _mirror.Intercept = request => IsGet(request, layer) ? new FakeAnswer(200, new byte[layer.Bytes.Length + more]) : null;
        await using var client = await ConnectAsync();

        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Single(_mirror.BlobGets(layer.Digest));
        Assert.Null(Assert.Single(_origin.BlobGets(layer.Digest))["Range"]);
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task A_file_is_read_by_each_pull_and_one_that_is_not_right_fails_it()
    {
        var reference = Add(PullTests.Unique());
        Write("[host.'http://x.test']\ncapabilites = ['pull']");
        await using var client = await ConnectAsync();

        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync(reference, cancellation: Stop));
        Assert.False(await client.IsRegistryReachableAsync(reference, Stop));
        Write("# all is right");
        await client.PullImageAsync(reference, cancellation: Stop);

        Assert.Contains($"{_folder[Folder]}/hosts.toml:2: host.\"http://x.test\".capabilites: right is: ", error.Message, StringComparison.Ordinal);
        Assert.True(await client.IsRegistryReachableAsync(reference, Stop));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task A_folder_that_is_no_absolute_path_is_refused_before_any_call() =>
        await Assert.ThrowsAsync<ArgumentException>(() => ContainerdClient.ConnectAsync(new ContainerdClientOptions { Registry = new RegistryOptions { HostsDirectory = "certs.d" } }, Stop));

    [Fact]
    public async Task A_registry_counts_as_reachable_when_its_mirror_is()
    {
        using var dead = new DeadPort();
        Directory.CreateDirectory(_folder["_default"]);
        await File.WriteAllTextAsync(_folder["_default/hosts.toml"], $"[host.'http://{_mirror.Host}']", Stop);
        await using var client = await ConnectAsync();

        Assert.True(await client.IsRegistryReachableAsync($"{dead.Host}/x", Stop));
    }

    public async ValueTask DisposeAsync()
    {
        await _mirror.DisposeAsync();
        await _origin.DisposeAsync();
        _folder.Dispose();
    }

    private string Folder => $"{_origin.Host.Replace(':', '_')}_";

    private static bool IsGet(FakeRequest request, Blob blob) => request.Method == "GET" && request.Path.EndsWith(blob.Digest, StringComparison.Ordinal);

    private static (TestImage Image, Blob Layer) Large()
    {
        var content = new byte[2 * Megabyte];
        new Random(Names.Unique().GetHashCode(StringComparison.Ordinal)).NextBytes(content);
        using var archive = new Archive();
        var image = TestImage.Create([archive.File("large", content).ToArray()], gzip: false);
        return (image, image.Layers[0]);
    }

    private string Add(TestImage image)
    {
        _mirror.Add(image, _repository);
        return _origin.Add(image, _repository);
    }

    private void Write(string toml)
    {
        Directory.CreateDirectory(_folder[Folder]);
        File.WriteAllText(_folder[Folder + "/hosts.toml"], toml);
    }

    private Task<ContainerdClient> ConnectAsync() => ContainerdClient.ConnectAsync(
        SharedDaemon.OptionsFor(shared.Daemon) with
        {
            Registry = new RegistryOptions { PlainHttpHosts = [_origin.Host], DockerConfigPath = "/nonexistent", HostsDirectory = _folder.Path },
        },
        Stop);
}

using System.Text.Json.Nodes;
using Reconciler.Containerd.Tests.Registries;

namespace Reconciler.Containerd.Tests.Images;

/// <content>Image records, and the JSON stream.</content>
public sealed partial class PullTests
{
    [Fact]
    public async Task Records_are_listed_filtered_tagged_labelled_and_removed()
    {
        var image = Unique();
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var client = await ConnectAsync();
        await client.PullImageAsync(reference, cancellation: Stop);
        var other = $"{registries.Open.Host}/{_repository}:other";

        var tagged = await client.TagImageAsync(reference, other, new Dictionary<string, string> { ["x"] = "1" }, Stop);
        await client.UpdateImageLabelsAsync(other, new Dictionary<string, string> { ["x"] = "", ["y/z.w"] = "2" }, Stop);

        Assert.Equal((other, image.Manifest.Digest, "other", image.Config.Digest), (tagged.Name, tagged.Digest, tagged.Tag, tagged.Id));
        var found = Assert.Single(await client.ListImagesAsync([$"name=={other}"], Stop));
        Assert.Equal(["y/z.w"], found.Labels.Keys);
        Assert.Equal(2, (await client.ListImagesAsync([$"name=={other}", $"name=={reference}"], Stop)).Count);
        Assert.Empty(await client.ListImagesAsync(["name==none"], Stop));
        await Assert.ThrowsAsync<ArgumentException>(() => client.ListImagesAsync(["=="], Stop));
        await client.RemoveImageAsync(reference, cancellation: Stop);
        await client.RemoveImageAsync(other, synchronous: true, Stop);
        foreach (var call in new Func<Task>[]
        {
            () => client.RemoveImageAsync(other, cancellation: Stop),
            () => client.TagImageAsync(other, "z", cancellation: Stop),
            () => client.UpdateImageLabelsAsync(other, new Dictionary<string, string> { ["a"] = "b" }, Stop),
            () => client.IsUnpackedAsync(other, Stop),
            () => client.ResolveImageAsync(other, Stop),
        })
            Assert.Equal(ContainerdError.ImageNotfound, (await Assert.ThrowsAsync<ContainerdException>(call)).Code);
    }

    [Fact]
    public async Task A_list_reads_the_content_of_a_digest_once()
    {
        var reference = await registries.Open.PushAsync(Unique(), _repository, "1");
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        await using (var puller = await ConnectAsync()) await puller.PullImageAsync(reference, cancellation: Stop);
        await client.ListImagesAsync([$"name=={reference}"], Stop);
        var before = recorder.Methods.Count;

        await client.ListImagesAsync([$"name=={reference}"], Stop);

        Assert.Equal(["Images.List"], recorder.Methods.Skip(before));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Theory]
    [InlineData("Bad Reference", null)]
    [InlineData("busybox", "nonsense")]
    public async Task Bad_arguments_are_refused_before_any_call(string reference, string? platform)
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        var before = recorder.Methods.Count;

        await Assert.ThrowsAsync<ArgumentException>(() => client.PullImageAsync(reference, options: new PullOptions { Platform = platform }, cancellation: Stop));

        Assert.Equal(before, recorder.Methods.Count);
    }

    [Fact]
    public async Task A_registry_is_reachable_or_not()
    {
        using var dead = new DeadPort();
        await using var client = await ConnectAsync(plainHttp: dead.Host);

        Assert.True(await client.IsRegistryReachableAsync($"{registries.Closed.Host}/x", Stop)); // a refusal is an answer
        Assert.False(await client.IsRegistryReachableAsync($"{dead.Host}/x", Stop));
    }

    [Fact]
    public async Task The_json_stream_is_an_array_of_frames_with_the_image_first()
    {
        var image = Unique();
        var reference = await registries.Open.PushAsync(image, _repository, "1");
        await using var client = await ConnectAsync();
        using var json = new MemoryStream();

        await client.PullImageAsync(reference, json, cancellation: Stop);

        var frames = JsonNode.Parse(json.ToArray())!.AsArray();
        Assert.NotEmpty(frames);
        Assert.All(frames, frame => Assert.Equal(reference, (string?)frame![0]!["Ref"]));
        var last = frames[^1]!.AsArray();
        Assert.Equal("done", (string?)last[0]!["Status"]);
        Assert.Equal(["Ref", "Status", "Offset", "Total", "StartedAt", "UpdatedAt", "Code", "ErrorMessage"], last[0]!.AsObject().Select(member => member.Key));
        Assert.Equal(
            [reference, "manifest-" + image.Manifest.Digest, "config-" + image.Config.Digest, .. image.Layers.Select(layer => "layer-" + layer.Digest)],
            last.Select(item => (string)item!["Ref"]!));
        await client.RemoveImageAsync(reference, synchronous: true, Stop);
    }

    [Fact]
    public async Task The_json_stream_of_a_failed_pull_ends_with_the_error()
    {
        await using var client = await ConnectAsync();
        using var json = new MemoryStream();

        var error = await Assert.ThrowsAsync<PullException>(() => client.PullImageAsync($"{registries.Open.Host}/{_repository}:none", json, cancellation: Stop));

        var last = Assert.Single(JsonNode.Parse(json.ToArray())!.AsArray()[^1]!.AsArray())!;
        Assert.Equal((500, error.Message), ((int)last["Code"]!, (string)last["ErrorMessage"]!));
    }

    [Fact]
    public async Task A_dead_reader_of_the_json_stream_ends_the_pull()
    {
        var reference = await registries.Open.PushAsync(Unique(), _repository, "1");
        await using var client = await ConnectAsync();
        using var dead = new MemoryStream([], writable: true); // of a fixed size: nothing goes in

        await Assert.ThrowsAsync<NotSupportedException>(() => client.PullImageAsync(reference, dead, cancellation: Stop));
    }
}

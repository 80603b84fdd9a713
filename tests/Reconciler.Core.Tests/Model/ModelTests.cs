using CsCheck;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Model;

public sealed class ModelTests
{
    private static readonly Gen<string> Word = Gen.String[Gen.Char["abz09-_é\"\\ \n"], 0, 8];

    private static readonly Gen<EquatableArray<string>> Words = Word.Array[0, 3].Select(words => words.ToEquatableArray());

    private static readonly Gen<Volume> Volumes = Gen.OneOf<Volume>(
        Gen.Select(Word, Word, Gen.OneOf(Gen.Const(""), Gen.Const("Directory"), Gen.Const("FileOrCreate"))).Select((name, path, type) => (Volume)new Volume.HostPath(name, "/" + path, type)),
        Word.Select(name => (Volume)new Volume.EmptyDir(name, false, null)),
        Gen.Select(Word, Gen.Long[1, 1L << 40]).Select((name, limit) => (Volume)new Volume.EmptyDir(name, true, limit)));

    private static readonly Gen<ContainerProcess> Processes = Gen.Select(
        Word, Words, Words, Gen.Select(Word, Word).Select((name, value) => new EnvVar(name, value)).Array[0, 3],
        Gen.Select(Word, Gen.Bool, Volumes).Select((path, readOnly, volume) => new Mount(path, readOnly, volume)).Array[0, 3],
        Gen.Long[1, 4000].Nullable(), Gen.Bool, Gen.Bool.Nullable()).Select((image, command, args, env, mounts, limit, flag, escalation) => new ContainerProcess
        {
            Image = image, Command = command, Args = args, Env = env.ToEquatableArray(), Mounts = mounts.ToEquatableArray(), WorkingDir = image,
            Limits = new ResourceLimits(limit, limit * 3, limit), HostNetwork = flag, HostPid = !flag,
            Security = new SecuritySettings
            {
                RunAsUser = limit, Privileged = flag, AddCapabilities = args, DropCapabilities = command, ReadOnlyRootFilesystem = flag,
                AllowPrivilegeEscalation = escalation, SeccompUnconfined = flag,
            },
        });

    [Fact]
    public void What_is_recorded_reads_back_equal_and_hashes_equal() => Processes.Sample(process =>
    {
        var back = SpecHash.Parse(SpecHash.Canonical(process));
        Assert.Equal(process, back);
        Assert.Equal(SpecHash.Of(process), SpecHash.Of(back!));
    }, iter: 500);

    [Fact]
    public void Different_processes_have_different_hashes() => Gen.Select(Processes, Processes).Sample((a, b) =>
        Assert.Equal(a == b, SpecHash.Of(a) == SpecHash.Of(b)), iter: 500);

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("{\"image\":1}")]
    [InlineData("{\"image\":\"a\",\"env\":7}")]
    public void Foreign_bytes_are_no_process(string bytes) => Assert.Null(SpecHash.Parse(System.Text.Encoding.UTF8.GetBytes(bytes)));

    [Fact]
    public void An_observation_groups_newest_first_and_knows_who_uses_an_image()
    {
        var app = Container();
        var other = Container("other", image: "docker.io/library/other:1");
        var node = NodeObservation.From(
            [Of(app), Of(app, 3), Of(app, 2) with { ImageDigest = "sha256:gone" }, Of(other) with { ImageDigest = "sha256:2" }],
            [Present(), Present("unused:1", "sha256:3"), Present("kept@sha256:2", "sha256:2")]);
        Assert.Equal([3L, 2, 1], node.Find(app.Key, null).Containers.Select(c => c.Incarnation));
        Assert.Equal([true, false, true], node.Find(app.Key, null).Containers.Select(c => c.ImagePresent));
        Assert.Null(node.Find(app.Key, null).Image);
        Assert.Equal([app.Key], node.Find(app.Key, Image).Image!.UsedBy);
        Assert.Equal([other.Key], node.Find(ResourceKey.Image("kept@sha256:2"), null).Image!.UsedBy);
        Assert.Empty(node.Find(ResourceKey.Image("unused:1"), null).Image!.UsedBy);
        Assert.Equal(Actual.Nothing, node.Find(ResourceKey.Image("absent"), null));
    }
}

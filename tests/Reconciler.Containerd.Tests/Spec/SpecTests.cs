using System.Text.Json;
using System.Text.Json.Nodes;
using Reconciler.Containerd.Images;

namespace Reconciler.Containerd.Tests.Spec;

[Trait("containerd", "none")]
public sealed class SpecTests
{
    private static readonly ImageConfig Image = new() { Env = ["PATH=/bin", "A=image", "B=image"], Entrypoint = ["/entry"], Cmd = ["cmd"], WorkingDir = "/srv/app" };

    [Theory]
    [InlineData(null, null, null, "/entry cmd")]
    [InlineData(null, null, "spec x", "spec x")]
    [InlineData(null, "a b", "spec x", "/entry a b")]
    [InlineData("c", null, "spec x", "c")]
    [InlineData("c d", "a", null, "c d a")]
    public void Command_and_args_go_as_in_kubernetes(string? command, string? args, string? spec, string expected)
    {
        var container = new Container { Id = "x", Image = "i", Command = Words(command), Args = Words(args) };

        var filled = ImageSpec.Fill(container, new OciSpec { Process = new OciProcess { Args = Words(spec) } }, Image);

        Assert.Equal(Words(expected), filled.Process!.Args!);
    }

    [Fact]
    public void Nothing_to_run_is_told() =>
        Assert.Throws<ContainerdException>(() => ImageSpec.Fill(new Container { Id = "x", Image = "i" }, new OciSpec(), new ImageConfig()));

    [Fact]
    public void Environment_is_overridden_by_key()
    {
        var spec = new OciSpec { Process = new OciProcess { Env = ["C=own", "A=own", "EMPTY"] } };

        var filled = ImageSpec.Fill(new Container { Id = "x", Image = "i" }, spec, Image);

        Assert.Equal(["PATH=/bin", "A=own", "B=image", "C=own", "EMPTY"], filled.Process!.Env!);
        Assert.Equal(["C=own", "A=own", "EMPTY"], spec.Process.Env!);
    }

    [Theory]
    [InlineData(null, "/srv/app", "/srv/app")]
    [InlineData("/own", "/srv/app", "/own")]
    [InlineData("", "", "/")]
    [InlineData(null, "relative", "/relative")]
    public void Working_folder_is_the_specs_then_the_images(string? own, string image, string expected)
    {
        var spec = new OciSpec { Process = new OciProcess { Cwd = own } };

        Assert.Equal(expected, ImageSpec.Fill(new Container { Id = "x", Image = "i" }, spec, Image with { WorkingDir = image }).Process!.Cwd);
    }

    [Fact]
    public void An_image_without_a_path_gets_the_usual_one() => Assert.Equal(
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        ImageSpec.Fill(new Container { Id = "x", Image = "i" }, new OciSpec(), Image with { Env = [] }).Process!.Env!);

    [Fact]
    public void What_the_model_does_not_name_is_kept()
    {
        const string text = """
            {"ociVersion":"1.1.0","process":{"terminal":true,"user":{"uid":1,"gid":2,"username":"x"},"args":["a"],"noNewPrivileges":false,"scheduler":{"policy":"SCHED_OTHER"}},
             "root":{"path":"rootfs","readonly":true},"linux":{"resources":{"memory":{"limit":5,"disableOOMKiller":true},"hugepageLimits":[]},"intelRdt":{"closID":"y"}},"vm":{"z":1}}
            """;

        var spec = JsonSerializer.Deserialize(text, OciJson.Default.OciSpec)!;

        Assert.Equal((1u, true, 5), (spec.Process!.User!.Uid, spec.Linux!.Resources!.Memory!.DisableOOMKiller, spec.Linux.Resources.Memory.Limit));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(text), JsonNode.Parse(JsonSerializer.Serialize(spec, OciJson.Default.OciSpec))));
    }

    [Fact]
    public void The_default_spec_has_its_values()
    {
        var json = JsonNode.Parse(JsonSerializer.Serialize(DefaultSpec.Create("x", "ns"), OciJson.Default.OciSpec))!;

        Assert.Equal("/ns/x", (string?)json["linux"]!["cgroupsPath"]);
        Assert.Equal(["pid", "ipc", "uts", "mount", "network"], json["linux"]!["namespaces"]!.AsArray().Select(item => (string?)item!["type"]));
        Assert.Equal(
            ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/run"], json["mounts"]!.AsArray().Select(item => (string?)item!["destination"]));
        Assert.Equal("[{\"allow\":false,\"access\":\"rwm\"}]", json["linux"]!["resources"]!["devices"]!.ToJsonString());
        Assert.Equal("[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1024,\"hard\":1024}]", json["process"]!["rlimits"]!.ToJsonString());
        Assert.Equal(14, json["process"]!["capabilities"]!["bounding"]!.AsArray().Count);
        Assert.Null(json["process"]!["capabilities"]!["inheritable"]);
        Assert.Null(json["linux"]!["seccomp"]);
        Assert.ThrowsAny<ArgumentException>(() => DefaultSpec.Create("a/b"));
    }

    [Fact]
    public void The_seccomp_filter_follows_the_capabilities()
    {
        var plain = DefaultSeccomp.Create(["CAP_CHOWN"]).Syscalls!;
        var admin = DefaultSeccomp.Create(["CAP_SYS_ADMIN"]).Syscalls!;

        Assert.Equal("SCMP_ACT_ERRNO", DefaultSeccomp.Create([]).DefaultAction);
        Assert.Contains("read", plain[0].Names);
        Assert.DoesNotContain(plain, rule => rule.Names.Contains("mount"));
        Assert.Contains(admin, rule => rule.Names.Contains("mount") && rule.Args is null);
        Assert.Equal("SCMP_CMP_MASKED_EQ", Assert.Single(plain, rule => rule.Names.Contains("clone")).Args![0].Op);
        Assert.Null(Assert.Single(admin, rule => rule.Names.Contains("clone")).Args);
        Assert.Equal(38u, Assert.Single(plain, rule => rule.Names.Contains("clone3")).ErrnoRet);
        Assert.Equal(3, plain.Count(rule => rule.Names.Contains("socket")));
        Assert.DoesNotContain(plain, rule => rule.Names.Contains("io_uring_setup"));
    }

    [Theory]
    [InlineData("SIGTERM", 15)]
    [InlineData("term", 15)]
    [InlineData("9", 9)]
    [InlineData("SIGRTMIN+3", 37)]
    [InlineData("RTMAX-1", 63)]
    [InlineData("SIGRTMIN", 34)]
    [InlineData("0", null)]
    [InlineData("65", null)]
    [InlineData("SIG", null)]
    [InlineData("", null)]
    [InlineData("RTMIN+x", null)]
    [InlineData("NOPE", null)]
    public void Signals_are_parsed(string text, int? expected) => Assert.Equal(expected, Containerd.Signals.Parse(text));

    private static string[] Words(string? text) => text?.Split(' ') ?? [];
}

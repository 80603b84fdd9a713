using Reconciler.Core.Model;
using Reconciler.Sources.Manifests;

namespace Reconciler.Sources.Tests.Manifests;

public sealed class MappingTests
{
    [Fact]
    public void Defaults_are_Kubernetes_defaults()
    {
        var container = Given.Accepted(Given.Spec("containers: [{name: c, image: busybox}]"));

        Assert.Equal(new ContainerSpec
        {
            Key = ResourceKey.Container("default", "w", "c"),
            Source = "file:dir/f.yaml",
            Namespace = "default",
            Workload = "w",
            Name = "c",
            Process = new ContainerProcess { Image = "docker.io/library/busybox:latest" },
            PullPolicy = ImagePullPolicy.Always,
            Hash = SpecHash.Of(new ContainerProcess { Image = "docker.io/library/busybox:latest" }),
        }, container);
    }

    [Fact]
    public void Every_field_arrives()
    {
        var container = Given.Accepted("""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkload
            metadata: {name: w, namespace: team, uid: u-1, labels: {a/b: c}, annotations: {note: "1"}, resourceVersion: "7"}
            status: {anything: [1, 2]}
            spec:
              nodeName: n1
              revision: abc
              hostNetwork: true
              hostPID: true
              restartPolicy: OnFailure
              terminationGracePeriodSeconds: 5
              suspend: true
              volumes:
              - {name: data, hostPath: {path: /data//x/, type: DirectoryOrCreate}}
              - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
              - {name: kept, emptyDir: {}}
              containers:
              - name: c
                image: registry.example:5000/a/b:1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                imagePullPolicy: Never
                command: [sh, -c]
                args: ["echo $HOME"]
                workingDir: /app/
                env: [{name: A, value: "1"}, {name: B}]
                volumeMounts:
                - {name: tmp, mountPath: /tmp}
                - {name: data, mountPath: /data/deep, readOnly: true}
                - {name: kept, mountPath: /data}
                resources: {limits: {cpu: 250m, memory: 64Mi, pids: "20"}}
                securityContext:
                  runAsUser: 1000
                  runAsGroup: 0
                  capabilities: {add: [CAP_NET_ADMIN, CHOWN], drop: [ALL]}
                  readOnlyRootFilesystem: true
                  allowPrivilegeEscalation: false
                  seccompProfile: {type: Unconfined}
            """);

        Assert.Equal(("team", "u-1", ImagePullPolicy.Never, RestartPolicy.OnFailure, TimeSpan.FromSeconds(5), true),
            (container.Namespace, container.Uid, container.PullPolicy, container.RestartPolicy, container.GracePeriod, container.Suspend));
        Assert.Equal(new ContainerProcess
        {
            Image = "registry.example:5000/a/b@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            Command = ["sh", "-c"],
            Args = ["echo $HOME"],
            WorkingDir = "/app",
            Env = [new EnvVar("A", "1"), new EnvVar("B", "")],
            Mounts =
            [
                new Mount("/data", false, new Volume.EmptyDir("kept", false, null)),
                new Mount("/data/deep", true, new Volume.HostPath("data", "/data/x", "DirectoryOrCreate")),
                new Mount("/tmp", false, new Volume.EmptyDir("tmp", true, 1 << 20)),
            ],
            Limits = new ResourceLimits(250, 64 << 20, 20),
            Security = new SecuritySettings
            {
                RunAsUser = 1000,
                RunAsGroup = 0,
                AddCapabilities = ["CHOWN", "NET_ADMIN"],
                DropCapabilities = ["ALL"],
                ReadOnlyRootFilesystem = true,
                AllowPrivilegeEscalation = false,
                SeccompUnconfined = true,
            },
            HostNetwork = true,
            HostPid = true,
        }, container.Process);
    }

    [Fact]
    public void The_hash_of_defaults_spelled_out_is_the_hash_of_defaults()
    {
        var plain = Given.Accepted(Given.Container(""));
        var spelled = Given.Accepted(Given.Container(
            """
            imagePullPolicy: IfNotPresent
            command: []
            args: []
            env: []
            workingDir: ""
            volumeMounts: []
            resources: {limits: {}}
            securityContext:
              privileged: false
              readOnlyRootFilesystem: false
              allowPrivilegeEscalation: true
              capabilities: {add: [], drop: []}
              seccompProfile: {type: RuntimeDefault}
            """,
            "hostNetwork: false\nhostPID: false\nrestartPolicy: Always\nterminationGracePeriodSeconds: 30\nsuspend: false\n",
            "docker.io/library/busybox:1"));

        Assert.Equal(plain, spelled);
    }

    // These hashes are a contract: a changed one restarts every container of that form at the next upgrade.
    [Theory]
    [InlineData("", "", "v1-62ac4aa0f64e38b30aa3610891dc4b0c")]
    [InlineData("command: [sleep, \"9\"]\nenv: [{name: A, value: b}]\nresources: {limits: {memory: 1Gi}}", "hostNetwork: true\n", "v1-b823251823a38c20ec78eb2608180224")]
    [InlineData("securityContext: {privileged: true}\nvolumeMounts: [{name: v, mountPath: /v, readOnly: true}]", "volumes: [{name: v, hostPath: {path: /etc, type: Directory}}]\n", "v1-f9d305bb5b3727366d156cf31c2ce050")]
    public void Hashes_never_change(string fields, string spec, string hash) => Assert.Equal(hash, Given.Accepted(Given.Container(fields, spec)).Hash);

    [Theory]
    [InlineData("imagePullPolicy: Always", "")]
    [InlineData("", "restartPolicy: Never\n")]
    [InlineData("", "terminationGracePeriodSeconds: 1\n")]
    [InlineData("", "suspend: true\n")]
    [InlineData("", "images: [{image: other}]\n")]
    [InlineData("", "volumes: [{name: unused, emptyDir: {}}]\n")]
    public void What_may_change_without_a_restart_is_not_in_the_hash(string fields, string spec) =>
        Assert.Equal(Given.Accepted(Given.Container("")).Hash, FirstContainer(Given.Container(fields, spec)).Hash);

    [Theory]
    [InlineData("securityContext: {privileged: true}", true)]
    [InlineData("securityContext: {privileged: true, seccompProfile: {type: RuntimeDefault}}", false)]
    [InlineData("securityContext: {privileged: false}", false)]
    public void Only_privileged_containers_are_unconfined_by_default(string fields, bool unconfined) =>
        Assert.Equal(unconfined, Given.Accepted(Given.Container(fields)).Process.Security.SeccompUnconfined);

    [Theory]
    [InlineData("busybox", "docker.io/library/busybox:latest", ImagePullPolicy.Always)]
    [InlineData("busybox:latest", "docker.io/library/busybox:latest", ImagePullPolicy.Always)]
    [InlineData("busybox:1.37", "docker.io/library/busybox:1.37", ImagePullPolicy.IfNotPresent)]
    [InlineData("org/app", "docker.io/org/app:latest", ImagePullPolicy.Always)]
    [InlineData("index.docker.io/app:1", "docker.io/library/app:1", ImagePullPolicy.IfNotPresent)]
    [InlineData("localhost/app:1", "localhost/app:1", ImagePullPolicy.IfNotPresent)]
    [InlineData("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", ImagePullPolicy.Always)]
    [InlineData("\"[::1]:5000/a:1\"", "[::1]:5000/a:1", ImagePullPolicy.IfNotPresent)]
    [InlineData("ghcr.io/a/b-c_d__e.f/g---h:V_1.0", "ghcr.io/a/b-c_d__e.f/g---h:V_1.0", ImagePullPolicy.IfNotPresent)]
    [InlineData("a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "docker.io/library/a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ImagePullPolicy.IfNotPresent)]
    public void Image_names_are_normalised_as_Docker_does(string written, string reference, ImagePullPolicy policy)
    {
        var container = Given.Accepted(Given.Container("", image: written));
        Assert.Equal((reference, policy), (container.Process.Image, container.PullPolicy));
    }

    [Theory]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    [InlineData("a..b/c:1")]
    [InlineData("a/b:1:2")]
    [InlineData("host:70000/a")]
    [InlineData("a/-b")]
    [InlineData("a/b_-c")]
    [InlineData("\"a b\"")]
    [InlineData("a@sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("/a")]
    [InlineData("\":1\"")]
    public void Bad_image_names_are_refused(string written) => Assert.True(Given.Read(Given.Container("", image: written)).Documents[0].Refused);

    [Theory]
    [InlineData("cpu: 1", 1000, null)]
    [InlineData("cpu: \"0.5\"", 500, null)]
    [InlineData("cpu: \".25\"", 250, null)]
    [InlineData("cpu: \"1.0001\"", 1001, null)]
    [InlineData("cpu: \"100m\"", 100, null)]
    [InlineData("memory: 1Ki", null, 1024L)]
    [InlineData("memory: 1k", null, 1000L)]
    [InlineData("memory: 1.5M", null, 1_500_000L)]
    [InlineData("memory: \"1e3\"", null, 1000L)]
    [InlineData("memory: 128974848", null, 128974848L)]
    [InlineData("memory: 2Gi", null, 2L << 30)]
    public void Quantities_are_Kubernetes_quantities(string limit, int? milliCpu, long? memory) =>
        Assert.Equal(new ResourceLimits(milliCpu, memory), Given.Accepted(Given.Container($"resources: {{limits: {{{limit}}}}}")).Process.Limits);

    [Theory]
    [InlineData("", true)]
    [InlineData("nodeNames: [n1, n2]", true)]
    [InlineData("nodeNames: [n2]", false)]
    [InlineData("nodeSelector: {matchLabels: {disk: ssd}}", true)]
    [InlineData("nodeSelector: {matchLabels: {disk: tape}}", false)]
    [InlineData("nodeSelector: {matchLabels: {kubernetes.io/hostname: n1}}", true)]
    [InlineData("nodeSelector: {matchLabels: {disk: ssd}}\nnodeNames: [n2]", false)]
    [InlineData("nodeSelector: {matchExpressions: [{key: disk, operator: In, values: [tape, ssd]}]}", true)]
    [InlineData("nodeSelector: {matchExpressions: [{key: disk, operator: NotIn, values: [ssd]}]}", false)]
    [InlineData("nodeSelector: {matchExpressions: [{key: gpu, operator: NotIn, values: [x]}]}", true)]
    [InlineData("nodeSelector: {matchExpressions: [{key: gpu, operator: Exists}]}", false)]
    [InlineData("nodeSelector: {matchExpressions: [{key: gpu, operator: DoesNotExist}]}", true)]
    [InlineData("tolerations: [{operator: Exists}]\nupdateStrategy: {type: RollingUpdate, maxUnavailable: 25%}\nminReadySeconds: 5\nprogressDeadlineSeconds: 60", true)]
    public void A_set_is_expanded_on_the_nodes_it_selects(string spec, bool here)
    {
        var yaml = Given.Spec(spec + "\ntemplate:\n  metadata: {labels: {a: b}}\n  spec: {containers: [{name: c, image: busybox:1}]}", "s")
            .Replace("kind: NodeWorkload", "kind: NodeWorkloadSet", StringComparison.Ordinal);
        var file = Given.Read(yaml, Given.Options with { NodeLabels = new Dictionary<string, string> { ["disk"] = "ssd" } });

        Assert.False(Assert.Single(file.Documents).Refused);
        Assert.Equal(here ? [ResourceKey.Container("default", "s", "c")] : [], file.Documents[0].Resources.Select(resource => resource.Key));
    }

    [Fact]
    public void A_workload_of_another_node_declares_nothing_here()
    {
        var document = Assert.Single(Given.Read(Given.Spec("images: [{image: a}]\nnodeName: n2")).Documents);
        Assert.False(document.Refused);
        Assert.Empty(document.Resources);
    }

    [Fact]
    public void Lists_are_unfolded_and_other_kinds_counted()
    {
        var file = Given.Read("""
            apiVersion: v1
            kind: List
            items:
            - {apiVersion: reconciler.dev/v1alpha1, kind: NodeWorkload, metadata: {name: a}, spec: {images: [{image: x}]}}
            - {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}
            ---
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkloadList
            items:
            - {apiVersion: reconciler.dev/v1alpha1, kind: NodeWorkload, metadata: {name: b}, spec: {images: [{image: z}]}}
            ---
            apiVersion: v1
            kind: ConfigMap
            """);

        Assert.Empty(file.Problems);
        Assert.Equal(["default/a", "default/b"], file.Documents.Select(document => document.Identity));
        Assert.Equal(["apps/v1 Deployment", "v1 ConfigMap"], file.Ignored);
        Assert.Single(Given.Read("resources: [a.yaml]", file: "kustomization.yaml").Ignored);
    }

    [Fact]
    public void Anchors_and_merge_keys_are_followed()
    {
        var container = Given.Accepted("""
            apiVersion: reconciler.dev/v1alpha1
            kind: NodeWorkload
            metadata: {name: w}
            spec:
              hostNetwork: &yes true
              hostPID: *yes
              containers:
              - <<: &base {image: busybox:1, command: [sleep, "9"]}
                name: c
                image: busybox:2
            """);

        Assert.Equal(("docker.io/library/busybox:2", true), (container.Process.Image, container.Process.HostPid));
        Assert.Equal(["sleep", "9"], container.Process.Command);
    }

    [Fact]
    public void Json_is_read_with_tabs_escapes_and_line_numbers()
    {
        var good = Given.Read("\uFEFF{\n\t\"apiVersion\": \"reconciler.dev\\/v1alpha1\",\n\t\"kind\": \"NodeWorkload\",\n\t\"metadata\": {\"name\": \"w\"},\n\t\"spec\": {\"containers\": [{\"name\": \"c\", \"image\": \"a\", \"args\": [\"\\u00e9\\ud83d\\ude00\\n\"]}]}\n}", file: "f.json");
        Assert.Equal("é😀\n", Assert.IsType<ContainerSpec>(Assert.Single(good.Documents[0].Resources)).Process.Args[0]);

        var bad = Given.Read("{\"apiVersion\": \"reconciler.dev/v1alpha1\", \"kind\": \"NodeWorkload\",\n\"metadata\": {\"name\": \"w\"},\n\"spec\": {\"imagse\": []}}", file: "f.json");
        Assert.Contains(bad.Problems, problem => problem is { Line: 3, Field: "spec.imagse" });
    }

    [Fact]
    public void Directives_document_ends_and_windows_lines_are_read()
    {
        var yaml = "%YAML 1.2\n---\n" + Given.Spec("images: [{image: a}]", "one") + "...\n# between\n---\n" + Given.Spec("images: [{image: b}]", "two") + "---\n";

        foreach (var text in new[] { yaml, yaml.Replace("\n", "\r\n", StringComparison.Ordinal) })
        {
            var file = Given.Read(text);
            Assert.Empty(file.Problems);
            Assert.Equal([("default/one", 3), ("default/two", 11)], file.Documents.Select(document => (document.Identity!, document.Line)));
        }
    }

    [Fact]
    public void Null_means_absent() =>
        Assert.Equal(Given.Accepted(Given.Container("")), Given.Accepted(Given.Container("env:\ncommand: ~\nresources: null\n", "volumes:\n")));

    [Fact]
    public void A_remembered_document_reads_back_the_same()
    {
        var yaml = Given.Container(
            "env: [{name: A, value: \"yes\"}, {name: B, value: \"1\"}, {name: C, value: \"a\\\"\\u2028é\"}]\nresources: {limits: {cpu: \".5\", memory: \"1e6\", pids: 007}}",
            "terminationGracePeriodSeconds: 08\n");
        var file = Given.Read(yaml);
        var again = ManifestReader.ReadFile("x.json", file.Documents[0].Json, "file:dir/f.yaml", Given.Options);

        Assert.NotEmpty(file.Documents[0].Resources);
        Assert.Equal(file.Documents[0].Resources.AsEnumerable(), again.Documents[0].Resources);
    }

    private static ContainerSpec FirstContainer(string yaml) => Given.Read(yaml).Documents[0].Resources.OfType<ContainerSpec>().First();
}

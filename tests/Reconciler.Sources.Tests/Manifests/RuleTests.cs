namespace Reconciler.Sources.Tests.Manifests;

/// <summary>Each rule with the document that breaks it, and what is said: line, field, part of the message, part of the remedy.</summary>
public sealed class RuleTests
{
    public static TheoryData<string, int, string, string, string> Containers => new()
    {
        { "comand: [x]", 8, "spec.containers[0].comand", "unknown field", "did you mean \"command\"?" },
        { "ports: []", 8, "spec.containers[0].ports", "unknown field", "hostNetwork" },
        { "command: sleep 9", 8, "spec.containers[0].command", "must be a list, not a string", "dash" },
        { "command: [sleep, 9]", 8, "spec.containers[0].command[1]", "must be a string, not a number", "quote it: \"9\"" },
        { "command: [\"\"]", 8, "spec.containers[0].command[0]", "must not be empty", "" },
        { "args: [a, ~]", 8, "spec.containers[0].args[1]", "must be a string, not null", "" },
        { "env:\n- {name: A, value: yes}", 9, "spec.containers[0].env[0].value", "must be a string, not a boolean", "quote it" },
        { "env:\n- {name: A, value: 1.5}", 9, "spec.containers[0].env[0].value", "must be a string, not a number", "quote it" },
        { "env:\n- {name: A, value: x}\n- {name: A, value: y}", 10, "spec.containers[0].env[1].name", "is there twice", "keep one" },
        { "env:\n- {name: \"A=B\", value: x}", 9, "spec.containers[0].env[0].name", "no name of a variable", "" },
        { "env:\n- name: A\n  valueFrom: {secretKeyRef: {name: s, key: k}}", 10, "spec.containers[0].env[0].valueFrom", "unknown field", "Secrets" },
        { "env:\n- {value: x}", 9, "spec.containers[0].env[0].name", "is required", "" },
        { "env: {A: x}", 8, "spec.containers[0].env", "must be a list, not a mapping", "" },
        { "workingDir: app", 8, "spec.containers[0].workingDir", "must be an absolute path", "" },
        { "workingDir: /a/../b", 8, "spec.containers[0].workingDir", "must not contain ..", "" },
        { "imagePullPolicy: always", 8, "spec.containers[0].imagePullPolicy", "is not known", "did you mean \"Always\"?" },
        { "resources: {limits: {memory: 128m}}", 8, "spec.containers[0].resources.limits.memory", "m means thousandths", "M or Mi" },
        { "resources: {limits: {memory: 1mb}}", 8, "spec.containers[0].resources.limits.memory", "no quantity", "64Mi" },
        { "resources: {limits: {memory: 0}}", 8, "spec.containers[0].resources.limits.memory", "no quantity above zero", "" },
        { "resources: {limits: {cpu: -1}}", 8, "spec.containers[0].resources.limits.cpu", "no quantity", "500m" },
        { "resources: {limits: {cpu: 0.5}}", 8, "spec.containers[0].resources.limits.cpu", "must be a whole number or a string", "quote it: \"0.5\"" },
        { "resources: {limits: {cpu: [1]}}", 8, "spec.containers[0].resources.limits.cpu", "must be a quantity, not a list", "" },
        { "resources: {limits: {pids: many}}", 8, "spec.containers[0].resources.limits.pids", "no quantity", "100" },
        { "resources: {limits: {gpu: 1}}", 8, "spec.containers[0].resources.limits.gpu", "unknown field", "" },
        { "resources: {requests: {cpu: 1}}", 8, "spec.containers[0].resources.requests", "unknown field", "only limits" },
        { "securityContext: {runAsUser: -1}", 8, "spec.containers[0].securityContext.runAsUser", "out of range", "2147483647" },
        { "securityContext: {runAsUser: 2147483648}", 8, "spec.containers[0].securityContext.runAsUser", "out of range", "" },
        { "securityContext: {runAsGroup: root}", 8, "spec.containers[0].securityContext.runAsGroup", "must be a whole number, not a string", "" },
        { "securityContext: {privileged: \"true\"}", 8, "spec.containers[0].securityContext.privileged", "must be true or false, not a string", "without quotes" },
        { "securityContext: {privileged: yes}", 8, "spec.containers[0].securityContext.privileged", "must be true or false", "" },
        { "securityContext: {privileged: true, allowPrivilegeEscalation: false}", 8, "spec.containers[0].securityContext.allowPrivilegeEscalation", "cannot be false", "" },
        { "securityContext: {capabilities: {add: [NET_ADMON]}}", 8, "spec.containers[0].securityContext.capabilities.add[0]", "no capability", "did you mean \"NET_ADMIN\"?" },
        { "securityContext: {seccompProfile: {type: Localhost}}", 8, "spec.containers[0].securityContext.seccompProfile.type", "is not known", "RuntimeDefault" },
        { "securityContext: {seccompProfile: {}}", 8, "spec.containers[0].securityContext.seccompProfile.type", "is required", "" },
        { "securityContext: {runAsNonRoot: true}", 8, "spec.containers[0].securityContext.runAsNonRoot", "unknown field", "runAsUser" },
        { "volumeMounts:\n- {name: date, mountPath: /d}", 9, "spec.containers[0].volumeMounts[0].name", "no volume \"date\"", "spec.volumes" },
        { "name: other", 8, "spec.containers[0].name", "is there twice, first on line 6", "keep one" },
    };

    public static TheoryData<string, int, string, string, string> Specs => new()
    {
        { "suspend: true", 5, "spec.containers", "neither containers nor images", "" },
        { "containers: []\nimages: []", 5, "spec.containers", "neither containers nor images", "" },
        { "containers:\n- {image: busybox:1}", 6, "spec.containers[0].name", "is required", "" },
        { "containers:\n- {name: c}", 6, "spec.containers[0].image", "is required", "" },
        { "containers:\n- {name: C_1, image: busybox:1}", 6, "spec.containers[0].name", "no DNS label", "a-z" },
        { "containers:\n- {name: c, image: busybox:1}\n- {name: c, image: busybox:1}", 7, "spec.containers[1].name", "is there twice", "" },
        { "containers:\n- {name: c, image: Busybox}", 6, "spec.containers[0].image", "upper-case", "host" },
        { "containers:\n- {name: c, image: \"busybox:\"}", 6, "spec.containers[0].image", "bad tag", "" },
        { "containers:\n- {name: c, image: \"busybox@sha256:12\"}", 6, "spec.containers[0].image", "bad digest", "" },
        { "containers:\n- {name: c, image: \"https://x.example/y\"}", 6, "spec.containers[0].image", "scheme", "" },
        { "containers:\n- just text", 6, "spec.containers[0]", "must be a mapping, not a string", "" },
        { "images:\n- {image: busybox:1}\n- {image: docker.io/library/busybox:1}", 7, "spec.images[1].image", "is there twice", "" },
        { "images:\n- {image: busybox:1, imagePullPolicy: Always}", 6, "spec.images[0].imagePullPolicy", "unknown field", "pullPolicy" },
        { "images:\n- {image: busybox:1, pullPolicy: Never}", 6, "spec.images[0].pullPolicy", "is not known", "IfNotPresent" },
        { "images: [{image: a}]\nrestartPolicy: never", 6, "spec.restartPolicy", "is not known", "did you mean \"Never\"?" },
        { "images: [{image: a}]\nterminationGracePeriodSeconds: -1", 6, "spec.terminationGracePeriodSeconds", "out of range", "" },
        { "images: [{image: a}]\nterminationGracePeriodSeconds: 1.5", 6, "spec.terminationGracePeriodSeconds", "whole number", "" },
        { "images: [{image: a}]\nsuspend: 1", 6, "spec.suspend", "must be true or false, not a number", "" },
        { "images: [{image: a}]\nhostNetwrok: true", 6, "spec.hostNetwrok", "unknown field", "did you mean \"hostNetwork\"?" },
        { "images: [{image: a}]\nnodeName: N1", 6, "spec.nodeName", "no node's name", "" },
        { "images: [{image: a}]\ninitContainers: []", 6, "spec.initContainers", "unknown field", "side by side" },
        { "images: [{image: a}]\nvolumes:\n- {name: v}", 7, "spec.volumes[0].name", "exactly one of", "emptyDir: {}" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, emptyDir: {}, hostPath: {path: /x}}", 7, "spec.volumes[0].name", "exactly one of", "" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, emptyDir: {}}\n- {name: v, emptyDir: {}}", 8, "spec.volumes[1].name", "is there twice", "" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, emptyDir: {sizeLimit: 1Gi}}", 7, "spec.volumes[0].emptyDir.sizeLimit", "cannot be held on disk", "medium: Memory" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, emptyDir: {medium: Memory}}", 7, "spec.volumes[0].emptyDir.sizeLimit", "is required with medium Memory", "64Mi" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, emptyDir: {medium: memory, sizeLimit: 1Mi}}", 7, "spec.volumes[0].emptyDir.medium", "is not known", "Memory" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, hostPath: {path: data}}", 7, "spec.volumes[0].hostPath.path", "must be an absolute path", "" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, hostPath: {path: /a/../b}}", 7, "spec.volumes[0].hostPath.path", "must not contain ..", "" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, hostPath: {path: /a, type: Dir}}", 7, "spec.volumes[0].hostPath.type", "is not known", "DirectoryOrCreate" },
        { "images: [{image: a}]\nvolumes:\n- {name: v, secret: {secretName: s}}", 7, "spec.volumes[0].secret", "unknown field", "only hostPath and emptyDir" },
    };

    public static TheoryData<string, int, string, string, string> Documents => new()
    {
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nspec: {images: [{image: a}]}", 1, "metadata", "is required", "" },
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {name: w}", 1, "spec", "is required", "" },
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {generateName: w-}\nspec: {images: [{image: a}]}", 3, "metadata.generateName", "cannot be followed", "use name" },
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {name: W}\nspec: {images: [{image: a}]}", 3, "metadata.name", "no DNS name", "" },
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {name: w, namespace: a.b}\nspec: {images: [{image: a}]}", 3, "metadata.namespace", "no DNS label", "" },
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorkload\nmetadata: {name: w, labels: {a: 1}}\nspec: {images: [{image: a}]}", 3, "metadata.labels.a", "must be a string", "quote it" },
        { "apiVersion: reconciler.dev/v1alpha1\nkind: NodeWorklod\nmetadata: {name: w}", 2, "kind", "is not known", "did you mean \"NodeWorkload\"?" },
        { "apiVersion: reconciler.dev/v1\nkind: NodeWorkload\nmetadata: {name: w}\nspec: {images: [{image: a}]}", 1, "apiVersion", "is not known", "reconciler.dev/v1alpha1" },
        { "kind: NodeWorkload\nmetadata: {name: w}\nspec: {images: [{image: a}]}", 1, "apiVersion", "is required", "" },
        { "just text", 1, "", "must be a mapping, not a string", "apiVersion" },
        { "# nothing\n---\n\n- a", 4, "", "must be a mapping, not a list", "" },
        { "a: [", 1, "", "is not YAML", "" },
        { "a: 1\nb:\n\tc: 2", 3, "", "invalid tab", "" },
        { "apiVersion: v1\nkind: List\nitems: {}", 3, "items", "must be a list", "" },
        { "apiVersion: v1\nkind: List\nitems:\n- apiVersion: reconciler.dev/v1alpha1\n  kind: NodeWorkload\n  metadata: {name: w}\n  spec: {}", 7, "items[0].spec.containers", "neither", "" },
        { "a: *b", 1, "", "an alias has no anchor", "define" },
        { "a: !ruby/object x", 1, "", "has no meaning here", "remove" },
    };

    public static TheoryData<string, int, string, string, string> Sets => new()
    {
        { "nodeNames: [n1]", 5, "spec.template", "is required", "" },
        { "template: {}", 5, "spec.template.spec", "is required", "" },
        { "template: {spec: {images: [{image: a}], nodeName: n1}}", 5, "spec.template.spec.nodeName", "unknown field", "nodeSelector" },
        { "template: {metadata: {name: x}, spec: {images: [{image: a}]}}", 5, "spec.template.metadata.name", "unknown field", "the set's name" },
        { "containers: []\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.containers", "unknown field", "template.spec" },
        { "nodeSelector: {kubernetes.io/os: linux}\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.nodeSelector.kubernetes.io/os", "unknown field", "matchLabels" },
        { "nodeSelector: {matchExpressions: [{key: a, operator: in}]}\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.nodeSelector.matchExpressions[0].operator", "is not known", "did you mean \"In\"?" },
        { "nodeSelector: {matchExpressions: [{key: a, operator: In}]}\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.nodeSelector.matchExpressions[0].values", "is required with In", "" },
        { "nodeSelector: {matchExpressions: [{key: a, operator: Exists, values: [x]}]}\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.nodeSelector.matchExpressions[0].values", "has no meaning", "" },
        { "updateStrategy: {maxUnavailable: 0}\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.updateStrategy.maxUnavailable", "above 0", "25%" },
        { "updateStrategy: {rollingUpdate: {maxUnavailable: 1}}\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.updateStrategy.rollingUpdate", "unknown field", "itself" },
        { "tolerations: [{operator: Sometimes}]\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.tolerations[0].operator", "is not known", "" },
        { "progressDeadlineSeconds: 0\ntemplate: {spec: {images: [{image: a}]}}", 5, "spec.progressDeadlineSeconds", "out of range", "" },
    };

    [Theory]
    [MemberData(nameof(Containers))]
    public void A_containers_rule(string fields, int line, string field, string message, string remedy) =>
        Refuses(Given.Container(fields), line, field, message, remedy);

    [Theory]
    [MemberData(nameof(Specs))]
    public void A_specs_rule(string spec, int line, string field, string message, string remedy) => Refuses(Given.Spec(spec), line, field, message, remedy);

    [Theory]
    [MemberData(nameof(Documents))]
    public void A_documents_rule(string yaml, int line, string field, string message, string remedy) => Refuses(yaml, line, field, message, remedy);

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_sets_rule(string spec, int line, string field, string message, string remedy) =>
        Refuses(Given.Spec(spec).Replace("kind: NodeWorkload", "kind: NodeWorkloadSet", StringComparison.Ordinal), line, field, message, remedy);

    [Fact]
    public void All_problems_of_a_document_are_found_at_once()
    {
        var file = Given.Read(Given.Spec("replicas: 3\ncontainers:\n- name: C\n  image: \"a b\"\n  env: [{name: A, value: 1}]\n  volumeMounts: [{name: v, mountPath: d}]\nsuspend: 0"));

        Assert.Equal(
            ["spec.suspend", "spec.containers[0].name", "spec.containers[0].image", "spec.containers[0].env[0].value", "spec.containers[0].volumeMounts[0].mountPath", "spec.containers[0].volumeMounts[0].name", "spec.replicas"],
            file.Problems.Where(problem => !problem.Warning).Select(problem => problem.Field));
    }

    [Fact]
    public void A_refused_document_leaves_its_neighbours_alone()
    {
        var file = Given.Read(Given.Spec("images: [{image: a}]", "one") + "---\n" + Given.Spec("images: [{image: ", "two") + "\n---\n" + Given.Spec("images: [{image: c}]", "three"));

        Assert.Equal([false, true, false], file.Documents.Select(document => document.Refused));
        Assert.Equal(["default/one", null, "default/three"], file.Documents.Select(document => document.Identity));
        Assert.Equal([1, 6, 14], file.Documents.Select(document => document.Line));
    }

    [Fact]
    public void The_number_of_containers_and_images_is_bounded()
    {
        var containers = string.Concat(Enumerable.Range(0, 33).Select(i => $"- {{name: c{i}, image: a}}\n"));
        var images = string.Concat(Enumerable.Range(0, 257).Select(i => $"- {{image: a{i}}}\n"));

        Refuses(Given.Spec("containers:\n" + containers), 6, "spec.containers", "has 33 entries", "at most 32");
        Refuses(Given.Spec("images:\n" + images), 6, "spec.images", "has 257 entries", "at most 256");
    }

    [Fact]
    public void A_cluster_wants_the_nodes_name()
    {
        var yaml = Given.Spec("images: [{image: a}]");

        Assert.Empty(Given.Read(yaml).Problems);
        var problem = Assert.Single(Given.Read(yaml, Given.Options with { Cluster = true }).Problems);
        Assert.Equal(("spec.nodeName", "is required in a cluster"), (problem.Field, problem.Message));
        Assert.Empty(Given.Read(Given.Spec("images: [{image: a}]\nnodeName: n1"), Given.Options with { Cluster = true }).Problems);
    }

    [Theory]
    [InlineData("/var/lib/reconciler", true, false)]
    [InlineData("/var/lib", true, false)]
    [InlineData("/var/lib/reconciler/volumes/x", true, false)]
    [InlineData("/var//./lib/", true, false)]
    [InlineData("/", false, false)]
    [InlineData("/", true, true)]
    [InlineData("/var/lib/reconciler2", false, true)]
    [InlineData("/etc", false, true)]
    public void What_reaches_the_state_dir_needs_privilege(string path, bool readOnly, bool allowed)
    {
        var mount = $"volumeMounts: [{{name: v, mountPath: /v, readOnly: {(readOnly ? "true" : "false")}}}]";
        var volumes = $"  volumes: [{{name: v, hostPath: {{path: {path}}}}}]\n";

        Assert.Equal(allowed, !Given.Read(Given.Container(mount, volumes.TrimStart())).Documents[0].Refused);
        Assert.False(Given.Read(Given.Container(mount + "\nsecurityContext: {privileged: true}", volumes.TrimStart())).Documents[0].Refused);
    }

    [Fact]
    public void A_volume_in_memory_belongs_to_one_container() => Refuses(
        Given.Spec("""
            containers:
            - {name: a, image: x, volumeMounts: [{name: v, mountPath: /v}]}
            - {name: b, image: x, volumeMounts: [{name: v, mountPath: /v}]}
            volumes:
            - {name: v, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
            """),
        9, "spec.volumes[0].emptyDir", "belongs to one container", "a, b");

    [Fact]
    public void One_path_takes_one_mount() => Refuses(
        Given.Container("volumeMounts:\n- {name: v, mountPath: /v}\n- {name: v, mountPath: /v/}\n- {name: v, mountPath: /}", "volumes: [{name: v, emptyDir: {}}]"),
        10, "spec.containers[0].volumeMounts[1].mountPath", "/v is mounted twice", "");

    [Theory]
    [InlineData("env: [{name: A, value: 48151623}]")]
    [InlineData("env: [{name: A, value: [48151623]}]")]
    [InlineData("env: [48151623]")]
    [InlineData("env: 48151623")]
    [InlineData("env: [{name: A, value: 48151623, valueFrom: {}}, {name: A, value: 48151623}]")]
    [InlineData("env: [{name: A, value: \"48151623\\0\"}]")]
    [InlineData("env: [{name: A, value: \"48151623}]")]
    [InlineData("env: [{name: A, value: *48151623}]")]
    [InlineData("env: [{name: A, value: !48151623 x}]")]
    [InlineData("env: [{name: A, value: %48151623}]")]
    [InlineData("env: [{name: A, value: @48151623}]")]
    [InlineData("env: [{name: A, value: '48151623'48151623}]")]
    [InlineData("env: [{name: A, value: &48151623 }]\nargs: 1")]
    public void No_message_repeats_the_value_of_a_variable(string fields)
    {
        var problems = Given.Read(Given.Container(fields)).Problems;

        Assert.Contains(problems, problem => !problem.Warning);
        Assert.All(problems, problem => Assert.DoesNotContain("48151623", problem.ToString(), StringComparison.Ordinal));
    }

    [Fact]
    public void Warnings_do_not_refuse()
    {
        var file = Given.Read(Given.Container("", "volumes: [{name: v, emptyDir: {}}]"));

        Assert.False(file.Documents[0].Refused);
        Assert.Equal(["spec.volumes[0].name", "spec.hostNetwork"], file.Problems.Select(problem => problem.Field));
        Assert.All(file.Problems, problem => Assert.True(problem.Warning));
        Assert.Contains("loopback only", file.Problems[1].Message, StringComparison.Ordinal);
    }

    private static void Refuses(string yaml, int line, string field, string message, string remedy)
    {
        var file = Given.Read(yaml);
        Assert.Contains(file.Documents, document => document.Refused && document.Resources.IsEmpty);
        Assert.True(
            file.Problems.Any(problem => !problem.Warning && problem.File == "f.yaml" && problem.Line == line && problem.Field == field
                && problem.Message.Contains(message, StringComparison.Ordinal) && problem.Remedy.Contains(remedy, StringComparison.Ordinal)),
            string.Join('\n', file.Problems));
    }
}

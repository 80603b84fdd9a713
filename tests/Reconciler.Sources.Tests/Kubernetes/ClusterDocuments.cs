using Reconciler.Sources.Tests.Manifests;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>Documents on either side of every bound and rule of the schema; each refused one has one defect.</summary>
internal static class ClusterDocuments
{
    private const string Images = "images: [{image: a}]\n";

    /// <summary>Document and the field that is at fault.</summary>
    public static IEnumerable<(string Yaml, string Field)> Refused =>
    [
        .. Containers.Select(row => (Container(row.Fields, row.Spec), "spec.containers[0]." + row.Field)),
        .. Specs.Select(row => (Workload(row.Spec), "spec" + row.Field)),
        .. Sets.Select(row => (Set(row.Spec), "spec." + row.Field)),
        (Given.Spec(Images), "spec.nodeName"),
        (Head("NodeWorkload"), "spec"),
        (Head("NodeWorkloadSet"), "spec"),
    ];

    public static IEnumerable<string> Accepted =>
    [
        .. GoodContainers.Select(row => Container(row.Fields, row.Spec)),
        .. GoodSpecs.Select(Workload),
        .. GoodSets.Select(Set),
    ];

    public static string Workload(string spec) => Given.Spec(spec.Contains("nodeName:", StringComparison.Ordinal) ? spec : "nodeName: n1\n" + spec);

    public static string Container(string fields, string spec = "") => Given.Container(fields, "nodeName: n1\n" + spec);

    public static string Set(string spec) => Given.Spec(spec.Contains("template:", StringComparison.Ordinal) ? spec : spec + "\ntemplate: {spec: {images: [{image: a}]}}")
        .Replace("kind: NodeWorkload", "kind: NodeWorkloadSet", StringComparison.Ordinal);

    private static (string Fields, string Spec, string Field)[] Containers =>
    [
        ($"command: [{Long(131_072)}]", "", "command[0]"),
        ($"command: [{Many(1001, _ => "a")}]", "", "command"),
        ("command: [\"\", a]", "", "command"),
        ($"args: [a, {Long(131_072)}]", "", "args[1]"),
        ($"args: [{Many(1001, _ => "a")}]", "", "args"),
        ($"env: [{Many(1001, i => $"{{name: A{i}}}")}]", "", "env"),
        ($"env: [{{name: {Long(1025)}}}]", "", "env[0].name"),
        ("env: [{name: \"\"}]", "", "env[0].name"),
        ("env: [{name: \"a\\tb\"}]", "", "env[0].name"),
        ("env: [{name: é}]", "", "env[0].name"),
        ($"env: [{{name: A, value: {Long(130_001)}}}]", "", "env[0].value"),
        ($"workingDir: /{Long(4095)}", "", "workingDir"),
        ("workingDir: /a/..", "", "workingDir"),
        ("imagePullPolicy: \"\"", "", "imagePullPolicy"),
        ($"volumeMounts: [{Many(65, i => $"{{name: v, mountPath: /m{i}}}")}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts"),
        ("volumeMounts: [{mountPath: /m}]", "", "volumeMounts[0].name"),
        ("volumeMounts: [{name: \"\", mountPath: /m}]", "", "volumeMounts[0].name"),
        ($"volumeMounts: [{{name: {Long(64)}, mountPath: /m}}]", "", "volumeMounts[0].name"),
        ("volumeMounts: [{name: v}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts[0].mountPath"),
        ("volumeMounts: [{name: v, mountPath: \"\"}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts[0].mountPath"),
        ("volumeMounts: [{name: v, mountPath: /./}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts[0].mountPath"),
        ($"volumeMounts: [{{name: v, mountPath: /{Long(4095)}}}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts[0].mountPath"),
        ("volumeMounts: [{name: v, mountPath: /m}, {name: v, mountPath: /m}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts[1].mountPath"),
        ("volumeMounts: [{name: v, mountPath: /m, readOnly: 1}]", "volumes: [{name: v, emptyDir: {}}]\n", "volumeMounts[0].readOnly"),
        ("volumeMounts: [{name: v, mountPath: /m}]", "volumes: [{name: v, hostPath: {path: //.}}]\n", "volumeMounts[0].name"),
        ("resources: {limits: {cpu: 1000001}}", "", "resources.limits.cpu"),
        ("resources: {limits: {cpu: 0}}", "", "resources.limits.cpu"),
        ("resources: {limits: {cpu: 1x}}", "", "resources.limits.cpu"),
        ($"resources: {{limits: {{cpu: \"{new string('0', 40)}1\"}}}}", "", "resources.limits.cpu"),
        ("resources: {limits: {memory: 2Ei}}", "", "resources.limits.memory"),
        ("resources: {limits: {memory: -1}}", "", "resources.limits.memory"),
        ("resources: {limits: {memory: 1000u}}", "", "resources.limits.memory"),
        ($"resources: {{limits: {{memory: \"{new string('0', 40)}1\"}}}}", "", "resources.limits.memory"),
        ("resources: {limits: {pids: 4194305}}", "", "resources.limits.pids"),
        ("resources: {limits: {pids: \"\"}}", "", "resources.limits.pids"),
        ($"resources: {{limits: {{pids: \"{new string('0', 40)}1\"}}}}", "", "resources.limits.pids"),
        ("securityContext: {runAsUser: 2147483648}", "", "securityContext.runAsUser"),
        ("securityContext: {runAsGroup: -1}", "", "securityContext.runAsGroup"),
        ("securityContext: {runAsGroup: 2147483648}", "", "securityContext.runAsGroup"),
        ("securityContext: {privileged: true, allowPrivilegeEscalation: false}", "", "securityContext.allowPrivilegeEscalation"),
        ($"securityContext: {{capabilities: {{add: [{Many(65, _ => "CHOWN")}]}}}}", "", "securityContext.capabilities.add"),
        ($"securityContext: {{capabilities: {{drop: [{Many(65, _ => "CHOWN")}]}}}}", "", "securityContext.capabilities.drop"),
        ("securityContext: {capabilities: {add: [chown]}}", "", "securityContext.capabilities.add[0]"),
        ("securityContext: {capabilities: {drop: [ALL, CAP_]}}", "", "securityContext.capabilities.drop[1]"),
    ];

    private static (string Spec, string Field)[] Specs =>
    [
        ("nodeName: \"\"\n" + Images, ".nodeName"),
        ($"nodeName: {Long(254)}\n" + Images, ".nodeName"),
        ("nodeName: a..b\n" + Images, ".nodeName"),
        (Images + "revision: -a", ".revision"),
        (Images + $"revision: {Long(64)}", ".revision"),
        (Images + "terminationGracePeriodSeconds: 2147483648", ".terminationGracePeriodSeconds"),
        ($"containers: [{Many(33, i => $"{{name: c{i}, image: a}}")}]", ".containers"),
        ($"containers: [{{name: {Long(64)}, image: a}}]", ".containers[0].name"),
        ("containers: [{name: \"\", image: a}]", ".containers[0].name"),
        ("containers: [{name: a-, image: a}]", ".containers[0].name"),
        ("containers: [{name: c, image: \"\"}]", ".containers[0].image"),
        ($"containers: [{{name: c, image: {string.Join('/', Enumerable.Repeat("abcdefg", 65))}}}]", ".containers[0].image"),
        ($"containers: [{{name: c, image: {new string('a', 64)}}}]", ".containers[0].image"),
        ($"images: [{Many(257, i => $"{{image: a{i}}}")}]", ".images"),
        ("images: [{pullPolicy: Always}]", ".images[0].image"),
        ("images: [{image: \"\"}]", ".images[0].image"),
        ("images: [{image: a:}]", ".images[0].image"),
        ($"images: [{{image: {string.Join('/', Enumerable.Repeat("abcdefg", 65))}}}]", ".images[0].image"),
        ($"images: [{{image: docker.io/library/{new string('0', 64)}}}]", ".images[0].image"),
        ("images: [{image: a}, {image: a}]", ".images[1].image"),
        ("images: [{image: a, pullPolicy: Never}]", ".images[0].pullPolicy"),
        (Images + $"volumes: [{Many(65, i => $"{{name: v{i}, emptyDir: {{}}}}")}]", ".volumes"),
        (Images + "volumes: [{emptyDir: {}}]", ".volumes[0].name"),
        (Images + "volumes: [{name: \"\", emptyDir: {}}]", ".volumes[0].name"),
        (Images + "volumes: [{name: V, emptyDir: {}}]", ".volumes[0].name"),
        (Images + $"volumes: [{{name: {Long(64)}, emptyDir: {{}}}}]", ".volumes[0].name"),
        (Images + "volumes: [{name: v, hostPath: {}}]", ".volumes[0].hostPath.path"),
        (Images + "volumes: [{name: v, hostPath: {path: \"\"}}]", ".volumes[0].hostPath.path"),
        (Images + "volumes: [{name: v, hostPath: {path: /.., type: \"\"}}]", ".volumes[0].hostPath.path"),
        (Images + $"volumes: [{{name: v, hostPath: {{path: /{Long(4095)}}}}}]", ".volumes[0].hostPath.path"),
        (Images + "volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 0}}]", ".volumes[0].emptyDir.sizeLimit"),
        (Images + "volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1m}}]", ".volumes[0].emptyDir.sizeLimit"),
        (Images + $"volumes: [{{name: v, emptyDir: {{medium: Memory, sizeLimit: \"{new string('0', 40)}1\"}}}}]", ".volumes[0].emptyDir.sizeLimit"),
        ("containers:\n- {name: a, image: x, volumeMounts: [{name: v, mountPath: /v}]}\n- {name: b, image: x, volumeMounts: [{name: v, mountPath: /v}]}\nvolumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]", ".volumes[0]"),
    ];

    private static (string Spec, string Field)[] Sets =>
    [
        ($"nodeSelector: {{matchLabels: {{{Many(101, i => $"a{i}: b")}}}}}", "nodeSelector.matchLabels"),
        ("nodeSelector: {matchLabels: {a/b/c: d}}", "nodeSelector.matchLabels"),
        ("nodeSelector: {matchLabels: {a: -b}}", "nodeSelector.matchLabels"),
        ($"nodeSelector: {{matchLabels: {{a: {Long(64)}}}}}", "nodeSelector.matchLabels"),
        ($"nodeSelector: {{matchExpressions: [{Many(101, _ => "{key: a, operator: Exists}")}]}}", "nodeSelector.matchExpressions"),
        ("nodeSelector: {matchExpressions: [{operator: Exists}]}", "nodeSelector.matchExpressions[0].key"),
        ("nodeSelector: {matchExpressions: [{key: \"\", operator: Exists}]}", "nodeSelector.matchExpressions[0].key"),
        ("nodeSelector: {matchExpressions: [{key: a/, operator: Exists}]}", "nodeSelector.matchExpressions[0].key"),
        ($"nodeSelector: {{matchExpressions: [{{key: {Long(318)}, operator: Exists}}]}}", "nodeSelector.matchExpressions[0].key"),
        ("nodeSelector: {matchExpressions: [{key: a}]}", "nodeSelector.matchExpressions[0].operator"),
        ("nodeSelector: {matchExpressions: [{key: a, operator: NotIn, values: []}]}", "nodeSelector.matchExpressions[0].values"),
        ("nodeSelector: {matchExpressions: [{key: a, operator: DoesNotExist, values: [b]}]}", "nodeSelector.matchExpressions[0].values"),
        ("nodeSelector: {matchExpressions: [{key: a, operator: In, values: [b, c_]}]}", "nodeSelector.matchExpressions[0].values[1]"),
        ($"nodeSelector: {{matchExpressions: [{{key: a, operator: In, values: [{Long(64)}]}}]}}", "nodeSelector.matchExpressions[0].values[0]"),
        ($"nodeSelector: {{matchExpressions: [{{key: a, operator: In, values: [{Many(1001, _ => "a")}]}}]}}", "nodeSelector.matchExpressions[0].values"),
        ("nodeNames: [a, b, a]", "nodeNames[2]"),
        ("nodeNames: [\"\"]", "nodeNames[0]"),
        ("nodeNames: [a_b]", "nodeNames[0]"),
        ($"nodeNames: [{Long(254)}]", "nodeNames[0]"),
        ($"nodeNames: [{Many(5001, i => $"n{i}")}]", "nodeNames"),
        ($"tolerations: [{Many(101, _ => "{}")}]", "tolerations"),
        ("tolerations: [{key: a/b/c}]", "tolerations[0].key"),
        ($"tolerations: [{{key: {Long(318)}}}]", "tolerations[0].key"),
        ("tolerations: [{key: a, value: b-}]", "tolerations[0].value"),
        ($"tolerations: [{{key: a, value: {Long(64)}}}]", "tolerations[0].value"),
        ("tolerations: [{key: a, operator: Exists, value: b}]", "tolerations[0].value"),
        ("tolerations: [{effect: Evict}]", "tolerations[0].effect"),
        ("tolerations: [{tolerationSeconds: -1}]", "tolerations[0].tolerationSeconds"),
        ("tolerations: [{tolerationSeconds: 2147483648}]", "tolerations[0].tolerationSeconds"),
        ("updateStrategy: {type: Recreate}", "updateStrategy.type"),
        ("updateStrategy: {maxUnavailable: 2147483648}", "updateStrategy.maxUnavailable"),
        ("updateStrategy: {maxUnavailable: 0%}", "updateStrategy.maxUnavailable"),
        ("updateStrategy: {maxUnavailable: 101%}", "updateStrategy.maxUnavailable"),
        ("updateStrategy: {maxUnavailable: \"1\"}", "updateStrategy.maxUnavailable"),
        ("updateStrategy: {maxUnavailable: 0}", "updateStrategy.maxUnavailable"),
        ("minReadySeconds: -1", "minReadySeconds"),
        ("minReadySeconds: 2147483648", "minReadySeconds"),
        ("progressDeadlineSeconds: 2147483648", "progressDeadlineSeconds"),
        ("template: {metadata: {labels: {a b: c}}, spec: {images: [{image: a}]}}", "template.metadata.labels"),
        ("template: {metadata: {labels: {a: .}}, spec: {images: [{image: a}]}}", "template.metadata.labels"),
        ($"template: {{metadata: {{labels: {{a: {Long(64)}}}}}, spec: {{images: [{{image: a}}]}}}}", "template.metadata.labels"),
        ($"template: {{metadata: {{labels: {{{Many(101, i => $"a{i}: b")}}}}}, spec: {{images: [{{image: a}}]}}}}", "template.metadata.labels"),
        ($"template: {{metadata: {{annotations: {{{Many(101, i => $"a{i}: b")}}}}}, spec: {{images: [{{image: a}}]}}}}", "template.metadata.annotations"),
        ("template: {spec: {suspend: true}}", "template.spec.containers"),
    ];

    private static (string Fields, string Spec)[] GoodContainers =>
    [
        ("", ""),
        ("command: []\nargs: [\"\"]\nenv: []\nvolumeMounts: []\nresources: {}\nsecurityContext: {}", "images: []\nvolumes: []\n"),
        ("command:\nargs: ~\nresources: {limits: null}", "volumes:\n"),
        ($"command: [{Long(131_071)}]\nargs: [{Many(1000, _ => "a")}]", ""),
        ($"env: [{{name: {Long(1024)}, value: {Long(130_000)}}}, {{name: \"a b\"}}]", ""),
        ($"workingDir: /{Long(4094)}\nimagePullPolicy: Never", ""),
        ("workingDir: /a//./...b/.c/", ""),
        ("workingDir: \"\"", ""),
        ("resources: {limits: {cpu: 1M, memory: 2305843009213693951, pids: 4194304}}", ""),
        ("resources: {limits: {cpu: 1m, memory: \"1e3\", pids: \"7\"}}", ""),
        ("securityContext: {runAsUser: 0, runAsGroup: 2147483647, capabilities: {add: [CAP_NET_ADMIN, ALL], drop: [CHOWN]}, readOnlyRootFilesystem: true, seccompProfile: {type: Unconfined}}", ""),
        ("securityContext: {privileged: true, allowPrivilegeEscalation: true}", ""),
        ("securityContext: {privileged: false, allowPrivilegeEscalation: false}", ""),
        ($"volumeMounts: [{Many(64, i => $"{{name: v, mountPath: /m{i}}}")}]", "volumes: [{name: v, emptyDir: {}}]\n"),
        ($"volumeMounts: [{{name: v, mountPath: //{Long(4093)}}}]", $"volumes: [{{name: v, hostPath: {{path: /{Long(4094)}, type: Socket}}}}]\n"),
        ("volumeMounts: [{name: v, mountPath: /m, readOnly: true}]", "volumes: [{name: v, hostPath: {path: /}}]\n"),
        ("volumeMounts: [{name: v, mountPath: /m}]\nsecurityContext: {privileged: true}", "volumes: [{name: v, hostPath: {path: /}}]\n"),
        ("volumeMounts: [{name: v, mountPath: /m}]", "volumes: [{name: v, emptyDir: {medium: Memory, sizeLimit: 64Mi}}]\n"),
        ("volumeMounts: [{name: v, mountPath: /m}]", "volumes: [{name: v, emptyDir: {medium: \"\"}}]\nhostNetwork: true\nhostPID: true\nsuspend: true\nrestartPolicy: OnFailure\nterminationGracePeriodSeconds: 0\n"),
    ];

    private static string[] GoodSpecs =>
    [
        Images + $"nodeName: {Long(253)}\nterminationGracePeriodSeconds: 2147483647\nrevision: {Long(63)}",
        $"containers: [{Many(32, i => $"{{name: c{i}, image: a}}")}]",
        $"images: [{Many(256, i => $"{{image: a{i}}}")}]",
        $"images: [{{image: {string.Join('/', Enumerable.Repeat("abcdefg", 29))}, pullPolicy: IfNotPresent}}]",
        Images + $"volumes: [{Many(64, i => $"{{name: v{i}, emptyDir: {{}}}}")}]",
    ];

    private static string[] GoodSets =>
    [
        "",
        "nodeSelector: {}\nnodeNames: []\ntolerations: []\nupdateStrategy: {}",
        $"nodeSelector: {{matchLabels: {{{Many(100, i => $"example.org/a{i}: \"\"")}}}}}",
        $"nodeSelector: {{matchExpressions: [{{key: a.b/c, operator: NotIn, values: [{Many(1000, i => $"v{i}")}]}}, {{key: d, operator: Exists, values: []}}]}}",
        $"nodeNames: [{Many(5000, i => $"n{i}")}]",
        "tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 0}, {key: a, value: b, effect: \"\"}, {operator: Exists, value: \"\"}, {key: \"\"}]",
        "updateStrategy: {type: OnDelete, maxUnavailable: 100%}\nminReadySeconds: 2147483647\nprogressDeadlineSeconds: 1",
        "updateStrategy: {maxUnavailable: 2147483647}",
        "template: {metadata: {labels: {a/b: c}, annotations: {a: \"\"}}, spec: {containers: [{name: c, image: a}]}}",
    ];

    private static string Head(string kind) => $"apiVersion: reconciler.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: w}}\n";

    private static string Long(int length) => new('a', length);

    private static string Many(int count, Func<int, string> item) => string.Join(", ", Enumerable.Range(0, count).Select(item));
}

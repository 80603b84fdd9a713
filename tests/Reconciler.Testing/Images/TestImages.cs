using System.Text;
using System.Text.Json.Nodes;

namespace Reconciler.Testing.Images;

public static class TestImages
{
    private static readonly string[] Applets =
    [
        "sh", "sleep", "echo", "cat", "ls", "ps", "env", "id", "true", "false", "nc", "httpd", "wget", "date", "seq", "kill", "dd", "printf",
        "test", "touch", "rm", "mkdir", "mount", "ip", "ifconfig", "hostname", "head", "tail", "wc", "yes", "stat", "grep", "usleep", "pwd",
        "tee", "tr", "cut", "sort", "awk", "sed", "chmod", "chown", "df", "du", "md5sum", "sha256sum", "sync", "nproc", "readlink", "mkfifo", "stty", "expr",
    ];

    private static readonly Lazy<byte[]> BusyboxLayer = new(() =>
    {
        using var archive = new Archive();
        archive.Folder("bin/").Folder("tmp/", 0b111_111_111).Folder("etc/").Folder("root/").Folder("www/")
            .File("bin/busybox", File.ReadAllBytes("/bin/busybox"), 0b111_101_101)
            .File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nworker:x:1500:1600:worker:/tmp:/bin/sh\n")
            .File("etc/group", "root:x:0:\nworker:x:1600:\nextra:x:1700:worker\n")
            .File("www/index.html", "hello\n");
        foreach (var applet in Applets) archive.Link("bin/" + applet, "busybox");
        return archive.ToArray();
    });

    /// <summary>busybox with its usual applets in /bin; users root and worker (1500:1600, also in group 1700).</summary>
    public static TestImage Busybox(JsonObject? config = null, bool docker = false, bool gzip = true) => TestImage.Create(
        [BusyboxLayer.Value],
        config ?? new JsonObject { ["Cmd"] = new JsonArray("sh"), ["Env"] = new JsonArray("PATH=/bin") },
        docker,
        gzip);

    /// <summary>busybox below further layers of the given sizes, each with one file <c>layerN</c> of fixed pseudo-random bytes.</summary>
    public static TestImage WithLayers(params int[] sizes)
    {
        var layers = new List<byte[]> { BusyboxLayer.Value };
        for (var i = 0; i < sizes.Length; i++)
        {
            var content = new byte[sizes[i]];
            new Random(i).NextBytes(content);
            layers.Add(new Archive().File($"layer{i + 1}", content).ToArray());
        }
        return TestImage.Create(layers, new JsonObject { ["Cmd"] = new JsonArray("sh"), ["Env"] = new JsonArray("PATH=/bin") });
    }

    /// <summary>busybox with one more layer that holds a marker, so that its digest differs.</summary>
    public static TestImage Marked(string marker) => TestImage.Create(
        [BusyboxLayer.Value, new Archive().File("marker", Encoding.UTF8.GetBytes(marker)).ToArray()],
        new JsonObject { ["Cmd"] = new JsonArray("sh"), ["Env"] = new JsonArray("PATH=/bin") });
}

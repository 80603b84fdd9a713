using Reconciler.Benchmarks;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

// Usage: Reconciler.Benchmarks [heal|fleet|start|create|pull|idle]...   Nothing named = all. Needs root, containerd and artifacts/bin/reconciler.
var wanted = args.Length > 0 ? args : ["heal", "fleet", "start", "create", "pull", "idle"];
await using var registry = await Registry.StartAsync();
await registry.PushAsync(TestImages.Busybox(), "lib/busybox", "1");
var table = new Table();
foreach (var name in wanted)
{
    await using var daemon = await ContainerdDaemon.StartAsync();
    switch (name)
    {
        case "heal":
            await Heal.RunAsync(daemon, registry, table);
            break;
        case "fleet":
            await Fleet.RunAsync(daemon, registry, table, 20);
            await Fleet.RunAsync(daemon, registry, table, 100);
            break;
        case "start":
            await Start.RunAsync(daemon, registry, table, 100);
            break;
        case "create":
            await Create.RunAsync(daemon, registry, table);
            break;
        case "pull":
            await Pull.RunAsync(daemon, registry, table);
            break;
        case "idle":
            await Idle.RunAsync(daemon, registry, table, 0, "25 MiB");
            await Idle.RunAsync(daemon, registry, table, 100, "60 MiB");
            break;
        default:
            Console.Error.WriteLine($"unknown benchmark {name}: heal, fleet, start, create, pull, idle");
            return 1;
    }
}
table.Print(Console.Out);
return 0;

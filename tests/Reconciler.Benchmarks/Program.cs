using Reconciler.Benchmarks;
using Reconciler.Testing.Containerd;
using Reconciler.Testing.Images;

// Usage: Reconciler.Benchmarks [NAME]...   Nothing named = all. Needs root, containerd and artifacts/bin/reconciler; those of a cluster an API server, too.
string[] all = ["heal", "fleet", "start", "create", "pull", "idle", "apply", "agents", "controller", "memory"];
var wanted = args.Length > 0 ? args : all;
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
        case "apply":
            await Apply.RunAsync(daemon, registry, table);
            break;
        case "agents":
            await Agents.RunAsync(daemon, registry, table);
            break;
        case "controller":
            await Controller.RunAsync(table);
            break;
        case "memory":
            await Memory.RunAsync(daemon, registry, table);
            break;
        default:
            Console.Error.WriteLine($"unknown benchmark {name}: {string.Join(", ", all)}");
            return 1;
    }
}
table.Print(Console.Out);
return 0;

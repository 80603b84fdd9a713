using System.Text;
using System.Text.Json;
using Reconciler.Agent.Cluster;
using Reconciler.Core.Model;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Agent.Tests.Cluster;

/// <content>What people and the controller do.</content>
internal sealed partial class FaultyCluster
{
    private async Task ChangeAsync(int count)
    {
        for (; count > 0; count--)
        {
            await ReleaseStoppedAsync(await ListAsync());
            await ChangeAsync(Moving[_random.Next(Moving.Length)]);
            await PauseAsync(_random.Next(60));
        }
    }

    private async Task ChangeAsync(string name)
    {
        if (_deleting.Contains(name)) return;
        if (!_declared.TryGetValue(name, out var before))
        {
            await DeclareAsync(name, new Declared(_random.Next(Versions), _random.Next(2) == 0));
            return;
        }
        switch (_random.Next(6))
        {
            case 0:
                await DeleteAsync(name);
                break;
            case 1 or 2:
                await LabelAsync(_random.Next(3) == 0 ? Still[_random.Next(Still.Length)] : name);
                break;
            case 3 when !before.Held:
                await DeleteAsync(name);
                await DeclareAsync(name, new Declared(_random.Next(Versions), false));
                break;
            default:
                await DeclareAsync(name, before with { Version = _random.Next(Versions) });
                break;
        }
    }

    private async Task DeclareAsync(string name, Declared wanted)
    {
        Say($"{name}: version {wanted.Version}{(wanted.Held ? ", held" : "")}");
        var before = _declared.GetValueOrDefault(name);
        var causes = _causes.GetValueOrDefault(name);
        if (before is null) _causes[name] = causes with { Starts = causes.Starts + 1 };
        else if (before.Version != wanted.Version) _causes[name] = (causes.Starts + 1, causes.Stops + 1);
        _declared[name] = wanted;
        await ApplyAsync(name, wanted);
    }

    /// <summary>Changes nothing that the node has to do anything about.</summary>
    private async Task LabelAsync(string name)
    {
        _labels++;
        await ApplyAsync(name, _declared[name]);
    }

    private Task ApplyAsync(string name, Declared wanted)
    {
        var finalizers = wanted.Held ? $"\"{StopFinalizer}\"" : "";
        var body = Encoding.UTF8.GetBytes(
            $$$"""{"apiVersion":"reconciler.dev/v1alpha1","kind":"NodeWorkload","metadata":{"name":"{{{name}}}","namespace":"{{{_ns}}}","labels":{"n":"{{{_labels}}}"},"finalizers":[{{{finalizers}}}]},"""
            + $$$""" "spec":{"nodeName":"{{{_node}}}","terminationGracePeriodSeconds":1,"containers":[{"name":"main","image":"{{{Image}}}","args":["v{{{wanted.Version}}}"]}]} }""");
        return TakenAsync(async () => (await _admin.ApplyAsync(PathOf(name), body, Cancel)).Dispose());
    }

    private async Task DeleteAsync(string name)
    {
        Say($"{name}: deleted");
        var causes = _causes[name];
        _causes[name] = causes with { Stops = causes.Stops + 1 };
        _declared.Remove(name, out var before);
        if (before!.Held) _deleting.Add(name);
        await TakenAsync(async () =>
        {
            try
            {
                (await _admin.DeleteAsync(PathOf(name), "{}"u8.ToArray(), Cancel)).Dispose();
            }
            catch (ClusterException e) when (e.IsNotFound)
            {
                if ((await ListAsync()).ContainsKey(name)) throw; // a server that starts knows no kinds yet
            }
        });
    }

    /// <summary>What the controller does: lets go what the agent says it has stopped.</summary>
    private async Task ReleaseStoppedAsync(Dictionary<string, JsonElement> list)
    {
        foreach (var name in _deleting.ToList())
        {
            if (!list.TryGetValue(name, out var found)) _deleting.Remove(name);
            else if (ObjectCondition.ReadAll(found.Find("status")).Any(condition => condition is { Type: "Stopped", IsTrue: true }))
            {
                Say($"{name}: let go");
                Assert.DoesNotContain(_fake.Containers, container => container.Key == ResourceKey.Container(_ns, name, "main"));
                await TakenAsync(() => ReleaseAsync(name));
            }
        }
    }

    private async Task ReleaseAsync(string name)
    {
        try
        {
            (await _admin.PatchAsync(PathOf(name), """{"metadata":{"finalizers":null}}"""u8.ToArray(), "application/merge-patch+json", Cancel)).Dispose();
        }
        catch (ClusterException e) when (e.IsNotFound)
        {
            if ((await ListAsync()).ContainsKey(name)) throw;
        }
    }
}

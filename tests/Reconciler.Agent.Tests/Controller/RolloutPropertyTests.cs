using System.Collections.Immutable;
using CsCheck;
using Reconciler.Agent.Controller;
using Reconciler.Sources.Kubernetes;
using static Reconciler.Agent.Tests.Controller.Objects;

namespace Reconciler.Agent.Tests.Controller;

/// <summary>Random clusters under random changes: what each plan may do, and where it all ends.</summary>
public sealed class RolloutPropertyTests
{
    private const int Nodes = 6;

    private static readonly Gen<(int What, int Node)> Happening = Gen.Select(Gen.Int[0, 9], Gen.Int[0, Nodes - 1]);

    [Fact]
    public void Whatever_happens_updates_stay_within_maxUnavailable_and_in_the_end_every_wanted_node_has_the_template() =>
        Gen.Select(Gen.OneOf(Gen.Const("1"), Gen.Const("2"), Gen.Const("\"34%\""), Gen.Const("\"100%\"")), Gen.OneOf(Gen.Const(0), Gen.Const(30)), Happening.Array[0, 60]).Sample((max, minReady, happenings) =>
        {
            var world = new World(max, minReady);
            foreach (var (what, node) in happenings)
            {
                world.Happen(what, node);
                world.Step();
            }
            world.Settle();
        }, iter: 400);

    /// <summary>The cluster, the controller's writes to it, and the agents.</summary>
    private sealed class World(string max, int minReady)
    {
        private readonly Dictionary<string, NodeFacts> _nodes = Enumerable.Range(0, Nodes).Select(node => Machine($"n{node}", "on=1")).ToDictionary(node => node.Name);
        private readonly Dictionary<ObjectName, Workload> _workloads = [];
        private readonly Dictionary<string, DateTimeOffset> _absent = [];
        private WorkloadSet _set = Make(max, minReady, 0);
        private SetStatus _status = new();
        private DateTimeOffset _now = Now;
        private int _version;

        public void Happen(int what, int node)
        {
            var name = $"n{node}";
            _now += TimeSpan.FromSeconds(7);
            switch (what)
            {
                case 0:
                    _set = Make(max, minReady, ++_version);
                    break;
                case 1:
                    _nodes.Remove(name);
                    break;
                case 2:
                    (_nodes[name], _) = (Machine(name, "on=1"), _absent.Remove(name));
                    break;
                case 3 when _nodes.ContainsKey(name):
                    _nodes[name] = Machine(name, "on=0");
                    break;
                case 4 when _nodes.ContainsKey(name):
                    _nodes[name] = Machine(name, "on=1", new Taint("a", "", node % 2 == 0 ? Taint.NoSchedule : Taint.NoExecute, null));
                    break;
                case 5:
                    ForChildOf(name, child => child with { IsReady = false });
                    break;
                default:
                    Answer(name);
                    break;
            }
            foreach (var gone in _workloads.Values.Select(child => child.NodeName).Where(child => !_nodes.ContainsKey(child))) _absent.TryAdd(gone, _now);
        }

        /// <summary>One plan, checked and carried out.</summary>
        public bool Step()
        {
            var cluster = Facts(_set, _nodes.Values, _workloads.Values) with { AbsentSince = _absent.ToImmutableDictionary() };
            var plan = SetPlanner.Plan(_set, cluster, _status, "", _now);
            var wanted = _nodes.Values.Where(node => node.Labels["on"] == "1" && node.Taints.IsEmpty).Select(node => node.Name).ToHashSet();
            Assert.Subset(wanted, plan.Creates.ToHashSet());
            Assert.DoesNotContain(plan.Deletes, deletion => wanted.Contains(deletion.Child.NodeName));

            var before = Unavailable(wanted);
            var takenDown = plan.Updates.Count(Available);
            Assert.True(takenDown <= Math.Max(0, _set.MaxUnavailableOf(wanted.Count) - before), $"{takenDown} taken down, {before} were unavailable");
            Apply(plan);
            Assert.True(Unavailable(wanted) <= Math.Max(before, _set.MaxUnavailableOf(wanted.Count)), "more are unavailable than may be");
            var changed = plan.ChangesChildren || plan.Status != _status;
            _status = plan.Status!;
            return changed;
        }

        /// <summary>All agents answer and nothing else happens.</summary>
        public void Settle()
        {
            for (var round = 0; round < 40; round++)
            {
                foreach (var node in _workloads.Values.Select(child => child.NodeName).ToList())
                    if (_nodes.ContainsKey(node)) Answer(node);
                foreach (var child in _workloads.Values.Where(child => child.IsDeleting && !_nodes.ContainsKey(child.NodeName)).ToList()) _workloads.Remove(child.Name);
                _now += TimeSpan.FromSeconds(50);
                Step();
            }
            Assert.False(Step(), "it does not come to rest");
            var wanted = _nodes.Values.Where(node => node.Labels["on"] == "1" && node.Taints.IsEmpty).Select(node => node.Name).ToList();
            var stay = _nodes.Values.Where(node => node.Labels["on"] == "1" && node.Taints.All(taint => taint.Effect == Taint.NoSchedule)).Select(node => node.Name);
            Assert.Subset(stay.ToHashSet(), _workloads.Values.Select(child => child.NodeName).ToHashSet());
            Assert.Superset(wanted.ToHashSet(), _workloads.Values.Select(child => child.NodeName).ToHashSet());
            Assert.All(_workloads.Values, child => Assert.Equal(_set.Template.Revision, child.Revision));
            Assert.True(_status.Condition("Ready")!.IsTrue);
            Assert.Equal((wanted.Count, 0), (_status.NumberAvailable, _status.NumberUnavailable));
        }

        private static WorkloadSet Make(string max, int minReady, int version) => Set(
            $"\"updateStrategy\":{{\"maxUnavailable\":{max}}},\"minReadySeconds\":{minReady},\"nodeSelector\":{{\"matchLabels\":{{\"on\":\"1\"}}}}", $"app:{version}", version + 1);

        private int Unavailable(HashSet<string> wanted) => wanted.Count(node => !_workloads.Values.Any(child => child.NodeName == node && Available(child)))
            + _workloads.Values.Count(child => !child.IsDeleting && !wanted.Contains(child.NodeName) && Stays(child.NodeName) && !Available(child));

        private bool Stays(string node) => _nodes.TryGetValue(node, out var there) && there.Labels["on"] == "1" && there.Taints.All(taint => taint.Effect == Taint.NoSchedule);

        private bool Available(Workload child) => child.IsAvailable(TimeSpan.FromSeconds(minReady), _now);

        private void Apply(SetPlan plan)
        {
            foreach (var deletion in plan.Deletes) _workloads[deletion.Child.Name] = deletion.Child with { IsDeleting = true };
            foreach (var child in plan.Updates) _workloads[child.Name] = child with { Revision = _set.Template.Revision, IsReady = false };
            foreach (var node in plan.Creates)
            {
                var child = Child(_set, node) with { IsReady = false, CreatedAt = _now };
                Assert.True(_workloads.TryAdd(child.Name, child), "made over another");
            }
        }

        /// <summary>The agent of a node does what is asked of it.</summary>
        private void Answer(string node)
        {
            if (_nodes.ContainsKey(node)) ForChildOf(node, child => child.IsDeleting ? null : child.IsReady ? child : child with { IsReady = true, ReadySince = _now });
        }

        private void ForChildOf(string node, Func<Workload, Workload?> change)
        {
            if (_workloads.Values.FirstOrDefault(child => child.NodeName == node) is not { } found) return;
            if (change(found) is { } next) _workloads[found.Name] = next;
            else _workloads.Remove(found.Name);
        }
    }
}

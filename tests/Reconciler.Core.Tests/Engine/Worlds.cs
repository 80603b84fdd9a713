using CsCheck;
using Reconciler.Core.Model;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Engine;

/// <summary>A node in any state an agent could meet, and what is declared for it.</summary>
internal sealed record World(IReadOnlyList<DesiredResource> Declared, IReadOnlyList<ActualContainer> Containers, IReadOnlyList<ActualImage> Images)
{
    private static readonly Gen<RestartPolicy> Policies = Gen.Enum<RestartPolicy>();

    private static readonly Gen<ContainerSpec> Specs =
        Gen.Select(Gen.Int[1, 3], Policies, Gen.Enum<ImagePullPolicy>(), Gen.Int[0, 5]).Select((version, restart, pull, suspend) =>
            Container(version: $"{version}") with { RestartPolicy = restart, PullPolicy = pull, Suspend = suspend == 0 });

    private static readonly Gen<ActualContainer> Actuals = Gen.Select(
        Gen.Int[1, 3], Gen.Enum<ContainerState>(), Gen.Int[0, 300], Gen.Int[-1, 1], Gen.Int[0, 12], Gen.Bool, Gen.Int[0, 9], Gen.Int[0, 20])
        .Select((version, state, age, code, failures, recorded, rare, since) => Shape(Of(Container(version: $"{version}")) with
        {
            State = state, Failures = failures, Restarts = failures, LogBroken = rare == 1, Source = rare == 2 ? $"{Folder}/old.yaml" : FileLabel,
            CreatedAt = Now.AddSeconds(-400), StartedAt = state == ContainerState.Created || rare == 3 ? null : Now.AddSeconds(-400),
            StopBy = rare == 4 ? Now : null, RestartWanted = rare == 5, UnknownSince = state == ContainerState.Unknown ? Now.AddSeconds(-since) : null,
        }, age, code, recorded));

    private static ActualContainer Shape(ActualContainer c, int age, int code, bool recorded) => c.State == ContainerState.Exited
        ? c with { ExitCode = code < 0 ? null : code, FinishedAt = Now.AddSeconds(-age), ExitRecorded = recorded, Reason = code == 0 ? "Completed" : "Error" }
        : c with { StartedAt = c.IsLive ? Now.AddSeconds(-400) : c.StartedAt };

    private static readonly Gen<(ContainerSpec? Spec, ActualContainer[] Actuals)> Keys =
        Gen.Select(Specs, Gen.Int[0, 3], Actuals.Array[0, 3]).Select((spec, declared, actuals) => (declared == 0 ? null : spec, actuals));

    private static readonly Gen<ActualImage?> PresentImages =
        Gen.Select(Gen.Int[0, 3], Gen.Bool, Gen.Bool, Gen.Int[0, 90].Nullable()).Select((present, managed, resolved, unused) => present == 0 ? null : Present() with
        {
            Managed = managed, Resolved = resolved, UnusedSince = managed && unused is { } minutes ? Now.AddMinutes(-minutes) : null,
        });

    public static Gen<World> Any => Gen.Select(Keys.Array[3], PresentImages, Gen.Int[0, 3], Gen.Enum<ImagePullPolicy>()).Select(
        (keys, image, imageDeclared, policy) =>
        {
            string[] names = ["app", "side", "job"];
            var specs = keys.Select((k, i) => k.Spec is null ? null : k.Spec with { Key = Key(names[i]), Name = names[i] });
            var containers = keys.SelectMany((k, i) => k.Actuals.Select((c, n) =>
                c with { Key = Key(names[i]), Incarnation = n + 1, Id = $"default-web-{names[i]}-{n + 1}" }));
            DesiredResource[] declared = [.. specs.OfType<ContainerSpec>(), .. imageDeclared == 0 ? [ImageOf(policy: policy)] : Array.Empty<DesiredResource>()];
            return new World(declared, [.. containers], image is null ? [] : [image]);
        });

    private static ResourceKey Key(string name) => ResourceKey.Container("default", "web", name);
}

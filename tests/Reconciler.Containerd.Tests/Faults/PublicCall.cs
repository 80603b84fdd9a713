using System.Reflection;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>One public method of the client: how it is called in earnest, and what it refuses.</summary>
/// <param name="Method">Its name and parameters, without the token: see <see cref="NameOf"/>.</param>
/// <param name="Run">A sound call.</param>
/// <param name="Refused">Bad arguments, each with words of the rule that the error must name.</param>
internal sealed record PublicCall(
    string Method,
    Func<ContainerdClient, Scene, CancellationToken, Task> Run,
    params (string Rule, Func<ContainerdClient, Task> Call)[] Refused)
{
    /// <summary>What must be there before the call.</summary>
    public Stage Stage { get; init; } = Stage.Nothing;

    /// <summary>Seen by a client of its own after a call that succeeded: throws if the call lied.</summary>
    public Func<ContainerdClient, Scene, Task>? Proof { get; init; }

    /// <summary>False = it asks containerd nothing.</summary>
    public bool Rpcs { get; init; } = true;

    /// <summary>It has no limit of its own, as what it waits for has none.</summary>
    public bool WaitsForExit { get; init; }

    /// <summary>It makes the same calls many times over.</summary>
    public bool IsLong { get; init; }

    /// <summary>A failure leaves nothing of its container.</summary>
    public bool MakesContainer { get; init; }

    /// <summary>As <c>KillAsync(id, signal, all)</c>.</summary>
    public static string NameOf(MethodInfo method) =>
        $"{method.Name}({string.Join(", ", method.GetParameters().Where(parameter => parameter.ParameterType != typeof(CancellationToken)).Select(parameter => parameter.Name))})";

    /// <summary>Everything public that waits for something, but for the end of the client itself.</summary>
    public static IReadOnlyList<MethodInfo> Waiting() => [.. typeof(ContainerdClient)
        .GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly)
        .Where(method => method.Name != nameof(ContainerdClient.DisposeAsync) && IsWait(method.ReturnType))];

    private static bool IsWait(Type type) =>
        typeof(Task).IsAssignableFrom(type) || type == typeof(ValueTask)
        || (type.IsGenericType && (type.GetGenericTypeDefinition() == typeof(ValueTask<>) || type.GetGenericTypeDefinition() == typeof(IAsyncEnumerable<>)));
}

/// <summary>What a call finds.</summary>
internal enum Stage
{
    Nothing,

    /// <summary>A running container that ignores SIGTERM.</summary>
    Running,

    /// <summary>A frozen one.</summary>
    Paused,

    /// <summary>One that ended; its task is there.</summary>
    Ended,

    /// <summary>A record and a snapshot, without a task.</summary>
    Record,

    /// <summary>An image record under <see cref="Scene.Name"/>.</summary>
    Image,

    /// <summary>A snapshot under <see cref="Scene.Name"/>.</summary>
    Snapshot,
}

/// <summary>The names that a call uses.</summary>
/// <param name="Id">Of its container.</param>
/// <param name="Image">An image that is there.</param>
/// <param name="Reference">An image that a registry has and the node has not.</param>
internal sealed record Scene(string Id, string Image, string Reference)
{
    /// <summary>Of an image record or a snapshot.</summary>
    public string Name => "example.test/" + Id + ":1";

    /// <summary>Every image record that its call may make.</summary>
    public string[] Images => [Name, Reference];
}

namespace Reconciler.Containerd;

/// <summary>A container to be made by <see cref="ContainerdClient.CreateContainerAsync"/>.</summary>
public sealed record Container
{
    /// <summary>An identifier of at most 76 characters, best one that was never used before.</summary>
    public required string Id { get; init; }

    /// <summary>Exact name of an image record.</summary>
    public required string Image { get; init; }

    /// <summary>
    /// Null = <see cref="DefaultSpec"/>. It is never changed: what the image says goes into a copy. Its environment overrides the image's
    /// by key; its working folder and its user, where set, replace the image's.
    /// </summary>
    public OciSpec? Spec { get; init; }

    /// <summary>Replaces the image's entrypoint and drops its command; empty = not given.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>Replaces the image's command; empty = not given. With neither, the spec's arguments count, and without those the image's.</summary>
    public IReadOnlyList<string> Args { get; init; } = [];

    /// <summary>
    /// In place of the image's user, as <c>name</c>, <c>1500</c>, <c>name:group</c> or <c>1500:1600</c>; looked up in the image. <c>:group</c> =
    /// the image's user in another group; null = the image's. Not looked at when the spec has a user.
    /// </summary>
    public string? User { get; init; }

    /// <summary>Null = no input, and no output is kept. A terminal is had also by the member of the spec's process.</summary>
    public ContainerIO? IO { get; init; }

    /// <summary>Labels of the record; a key and its value have at most 4096 bytes together.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Data kept with the record, by a free name.</summary>
    public IReadOnlyDictionary<string, TypedValue> Extensions { get; init; } = new Dictionary<string, TypedValue>();

    /// <summary>Signal that asks it to end, as <c>SIGTERM</c>, <c>TERM</c> or <c>15</c>; null = the image's. Kept as a label.</summary>
    public string? StopSignal { get; init; }

    internal void Validate()
    {
        Identifiers.Require(Id, nameof(Id));
        ArgumentException.ThrowIfNullOrEmpty(Image);
        RequireWords(Command, nameof(Command));
        RequireWords(Args, nameof(Args));
        if (Command is ["", ..]) throw new ArgumentException("the command's first word must name a program", nameof(Command));
        if (User?.Contains('\0', StringComparison.Ordinal) == true) throw new ArgumentException("a user must not hold a NUL", nameof(User));
        ArgumentNullException.ThrowIfNull(Labels);
        ArgumentNullException.ThrowIfNull(Extensions);
        ContainerLabels.Require(Labels);
        (IO ?? ContainerIO.None).Validate(IO is { Terminal: true } || Spec?.Process is { Terminal: true });
        if (StopSignal is not null && Signals.Parse(StopSignal) is null)
            throw new ArgumentException($"\"{StopSignal}\" is not a signal: a name as SIGTERM or a number of 1 to 64", nameof(StopSignal));
        foreach (var (name, value) in Extensions)
        {
            ArgumentException.ThrowIfNullOrEmpty(name, nameof(Extensions));
            ArgumentException.ThrowIfNullOrEmpty(value?.TypeUrl, nameof(Extensions));
            ArgumentNullException.ThrowIfNull(value.Value, nameof(Extensions));
        }
        if (Spec is not null) SpecRules.Require(Spec);
    }

    private static void RequireWords(IReadOnlyList<string> words, string parameter)
    {
        ArgumentNullException.ThrowIfNull(words, parameter);
        foreach (var word in words)
        {
            ArgumentNullException.ThrowIfNull(word, parameter);
            if (word.Contains('\0', StringComparison.Ordinal)) throw new ArgumentException("a word must not hold a NUL", parameter);
        }
    }
}

using System.Text;

namespace Reconciler.Containerd;

/// <summary>containerd's rules for labels, and the ones it knows itself.</summary>
internal static class ContainerLabels
{
    public const string StopSignal = "io.containerd.image.config.stop-signal";

    private const int MaxBytes = 4096;

    /// <exception cref="ArgumentException">A label is empty or too long.</exception>
    public static void Require(IReadOnlyDictionary<string, string> labels)
    {
        foreach (var (key, value) in labels)
        {
            ArgumentException.ThrowIfNullOrEmpty(key, nameof(labels));
            ArgumentNullException.ThrowIfNull(value, nameof(labels));
            if (Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(value) > MaxBytes)
                throw new ArgumentException($"label {key[..Math.Min(key.Length, 64)]}: key and value are longer than {MaxBytes} bytes", nameof(labels));
        }
    }
}

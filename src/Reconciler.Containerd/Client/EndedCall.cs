namespace Reconciler.Containerd;

/// <summary>A unary call to containerd that ended. Calls that only wait for an exit (Tasks.Wait) and streams are not told of.</summary>
/// <param name="Method">Service and method, as <c>Tasks.Create</c>.</param>
/// <param name="Status">gRPC's status code, as <c>OK</c>, <c>NotFound</c> or <c>Unavailable</c>.</param>
/// <param name="Duration">From the call to its answer.</param>
public readonly record struct EndedCall(string Method, string Status, TimeSpan Duration);

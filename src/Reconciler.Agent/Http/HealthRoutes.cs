namespace Reconciler.Agent.Http;

/// <summary><c>/healthz</c> and <c>/readyz</c>: 200 with <c>ok</c>, or 503 with a line that says why not.</summary>
internal static class HealthRoutes
{
    /// <param name="stuck">Why the process should be started anew; null = it turns.</param>
    /// <param name="waiting">What it waits for before it does its work; null = it does it.</param>
    public static Dictionary<string, HttpHandler> Of(Func<CancellationToken, Task<string?>> stuck, Func<string?> waiting) => new(StringComparer.Ordinal)
    {
        ["/healthz"] = async (_, stop) => Answer(await stuck(stop)),
        ["/readyz"] = async (_, stop) => Answer(await stuck(stop) ?? waiting()),
    };

    private static HttpAnswer Answer(string? problem) => problem is null ? HttpAnswer.Text(200, "ok") : HttpAnswer.Text(503, problem.ReplaceLineEndings(" "));
}

using Reconciler.Testing;

namespace Reconciler.EndToEnd.Tests;

/// <summary>What the native binary serves over HTTP; the page's behaviour in a browser is tested beside the agent's own tests.</summary>
public sealed class PageTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_page_shows_a_workload_and_follows_it_and_health_is_served()
    {
        await using var node = await AgentNode.StartAsync(start: false);
        node.Declare("web.yaml", Manifest.Sleepers("web", "one=the-value"));
        node.StartAgent(null, "--http-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0");
        var page = await AddressAsync(node, "--http-address");
        var health = await AddressAsync(node, "--metrics-address");
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = Eventually.DefaultLimit };
        await node.RunningAsync("default-web-one");

        // Until the first list after the subscription to events no plan is shown.
        string[] expected = ["<span class=\"badge ok\">Running</span></td>", "Nothing to do."];
        var text = await Eventually.GetAsync(
            async () => await http.GetStringAsync(page, Cancellation) is var html && expected.All(part => html.Contains(part, StringComparison.Ordinal)) ? html : null, "the page shows it");
        Assert.Contains("id=\"c:default/web/one\"", text, StringComparison.Ordinal);
        Assert.DoesNotContain("the-value", text, StringComparison.Ordinal);

        using var events = new StreamReader(await http.GetStreamAsync(new Uri(page, "events"), Cancellation));
        node.Withdraw("web.yaml");
        using var limit = new CancellationTokenSource(Eventually.DefaultLimit);
        while (!(await events.ReadLineAsync(limit.Token))!.Contains("No containers.", StringComparison.Ordinal))
        {
        }

        Assert.Equal("ok\n", await http.GetStringAsync(new Uri(health, "healthz"), Cancellation));
        Assert.Equal("ok\n", await http.GetStringAsync(new Uri(health, "readyz"), Cancellation));
        Assert.Equal(0, await node.StopAgentAsync(within: 3 * TimeSpan.FromSeconds(5))); // three times the promise, with a viewer
    }

    private static async Task<Uri> AddressAsync(AgentNode node, string flag) => new(await Eventually.GetAsync(
        () => Task.FromResult(node.AgentLog.Split($"{flag}: serving ").ElementAtOrDefault(1)?.Split(' ')[0]), $"the log says where {flag} is"));
}

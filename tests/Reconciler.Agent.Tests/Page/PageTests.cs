using Reconciler.Agent.Page;
using Reconciler.Testing;
using Reconciler.Testing.Images;

namespace Reconciler.Agent.Tests.Page;

/// <summary>The page of a real agent on a real containerd, in a real browser.</summary>
public sealed class PageTests
{
    private const string Secret = "hunter2-and-more";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_follows_what_happens_on_the_node_without_a_reload()
    {
        await using var agent = await PageAgent.StartAsync();
        agent.Declare("web.yaml", agent.Sleeper("web", Secret));
        agent.Declare("<img src=x onerror=alert(1)>.yaml", "kind: [");
        await agent.RunAsync();
        await using var browser = await Browser.StartAsync();
        await browser.OpenAsync(agent.Url);
        await browser.EvaluateAsync("globalThis.marker = 'here from the beginning'");

        await browser.UntilAsync(Cell("web", "State") + " === 'Running'", "the page shows the workload");
        await browser.UntilAsync("document.title === 'node-1: 1 ready, 0 waiting' && document.querySelector('#status').textContent === 'Live'", "title and status");
        await browser.UntilAsync("document.querySelector('#sources').textContent.includes('<img src=x onerror=alert(1)>.yaml:1:')", "a file's name is text");
        Assert.Equal(0, (int?)await browser.EvaluateAsync("document.images.length"));

        await browser.UntilAsync($"/^[0-9.]+[KM]iB$/.test(document.getElementById('i:{agent.Busybox}')?.querySelector('[data-label=Size]').textContent)", "the image has a size");

        await agent.KillAsync("default-web-main");
        await browser.UntilAsync(Cell("web", "Restarts") + " === '1' && " + Cell("web", "State") + " === 'Running'", "the restart is counted");
        await browser.UntilAsync("document.querySelector('#actions').textContent.includes('create container with image')", "the action is told");

        agent.Declare("web.yaml", agent.Sleeper("web", Secret + "-changed"));
        await browser.UntilAsync("[...document.querySelectorAll('#actions td')].some(cell => cell.textContent.startsWith('stop container'))", "the change is told");
        agent.Declare("other.yaml", agent.Sleeper("other"));
        await browser.UntilAsync(Cell("other", "State") + " === 'Running'", "a second workload");

        await agent.StopAsync();
        await browser.UntilAsync("document.querySelector('#status').textContent.startsWith('Connection lost: this is ')", "it says that nothing is heard");
        await agent.RunAsync();
        await browser.UntilAsync("document.querySelector('#status').textContent === 'Live'", "it is back by itself");

        await KeepPictureAsync(browser, "page.png");
        agent.Withdraw("web.yaml");
        await browser.UntilAsync($"{Row("web")} === null && {Cell("other", "State")} === 'Running'", "what is withdrawn disappears");

        Assert.Equal("here from the beginning", (string?)await browser.EvaluateAsync("globalThis.marker"));
        Assert.DoesNotContain(Secret, (string?)await browser.EvaluateAsync("document.documentElement.outerHTML"), StringComparison.Ordinal);
        Assert.Empty(browser.Complaints);
        Assert.All(browser.Requests, url => Assert.True(url.StartsWith(agent.Url, StringComparison.Ordinal) || url.StartsWith("data:", StringComparison.Ordinal) || url == "about:blank", url));
    }

    [Fact]
    public async Task A_pull_shows_how_far_it_is_and_the_page_fits_on_narrow_and_wide_screens()
    {
        await using var agent = await PageAgent.StartAsync();
        await using var link = new HeldLink(agent.Registry.Host, 300_000);
        var image = $"{link.Host}/lib/busybox:1";
        agent.Declare("web.yaml", agent.Sleeper("web", image: image));
        await agent.RunAsync(link.Host);
        await using var browser = await Browser.StartAsync();
        await browser.OpenAsync(agent.Url);

        await browser.UntilAsync("(bar => bar && bar.value > 0 && bar.value < bar.max)(document.querySelector('#images td > progress'))", "the pull's progress");
        await browser.UntilAsync(Cell("web", "State") + " === 'Pending' && " + Cell("web", "Ready") + " === 'No'", "the container that waits for it");
        await browser.UntilAsync($"document.getElementById('i:{image}').querySelector('.badge').textContent.startsWith('Pulling ')", "in words, too");
        foreach (var (width, dark) in new[] { (400, true), (1600, false) })
        {
            await browser.ResizeAsync(width, 900, dark);
            await browser.UntilAsync($"document.documentElement.scrollWidth <= {width}", $"nothing sticks out at {width}");
            await KeepPictureAsync(browser, $"pull-{width}.png");
        }

        link.Release();
        await browser.UntilAsync(Cell("web", "State") + " === 'Running' && document.querySelector('#images progress') === null", "the pull is over");
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public async Task Nothing_of_env_is_in_any_answer_also_while_a_change_waits()
    {
        await using var agent = await PageAgent.StartAsync();
        agent.Declare("web.yaml", agent.Sleeper("web", Secret));
        await agent.RunAsync();
        await UntilPageAsync(agent, "badge ok\">Running</span></td>");

        // The new image cannot be had: the plan stays, with the field that differs.
        agent.Declare("web.yaml", agent.Sleeper("web", Secret + "-changed", image: $"{agent.Registry.Host}/none:1"));
        var page = await UntilPageAsync(agent, "env.PASSWORD: (changed) -&gt; (changed)");
        Assert.Contains($"pull image {agent.Registry.Host}/none:1", page, StringComparison.Ordinal);

        Assert.DoesNotContain(Secret, page, StringComparison.Ordinal);
        var view = await ReadViewAsync(agent);
        Assert.Contains("event: view\ndata: <main", view, StringComparison.Ordinal);
        Assert.Contains("env.PASSWORD", view, StringComparison.Ordinal);
        Assert.DoesNotContain(Secret, view, StringComparison.Ordinal);
    }

    [Fact]
    public async Task As_many_may_look_as_there_are_places_and_a_place_that_is_left_is_free()
    {
        await using var agent = await PageAgent.StartAsync();
        await agent.RunAsync();
        var viewers = new List<HttpResponseMessage>();
        for (var i = 0; i < PageFeed.MaxViewers; i++)
        {
            var answer = await LookAsync(agent); // and read nothing of it
            Assert.Equal(200, (int)answer.StatusCode);
            viewers.Add(answer);
        }
        await Eventually.UntilAsync(async () =>
        {
            using var answer = await LookAsync(agent);
            return (int)answer.StatusCode == 503 && answer.Headers.RetryAfter is not null;
        }, "the next one is told to wait");
        using (var head = await agent.Http.SendAsync(new HttpRequestMessage(HttpMethod.Head, agent.Url), Cancellation)) Assert.Equal(200, (int)head.StatusCode);

        foreach (var viewer in viewers) viewer.Dispose();

        await Eventually.UntilAsync(async () =>
        {
            using var answer = await LookAsync(agent);
            return (int)answer.StatusCode == 200;
        }, "there is room again");
    }

    private static Task<HttpResponseMessage> LookAsync(PageAgent agent) =>
        agent.Http.GetAsync(new Uri(agent.Url + "events"), HttpCompletionOption.ResponseHeadersRead, Cancellation);

    private static Task<string> UntilPageAsync(PageAgent agent, string text) => Eventually.GetAsync(async () =>
    {
        var page = await agent.Http.GetStringAsync(new Uri(agent.Url), Cancellation);
        return page.Contains(text, StringComparison.Ordinal) ? page : null;
    }, $"the page has {text}");

    /// <summary>For a person to look at, where RECONCILER_PICTURES names a folder.</summary>
    private static async Task KeepPictureAsync(Browser browser, string name)
    {
        if (Environment.GetEnvironmentVariable("RECONCILER_PICTURES") is { Length: > 0 } folder) await File.WriteAllBytesAsync(Path.Combine(folder, name), await browser.ScreenshotAsync(), Cancellation);
    }

    /// <summary>The first event.</summary>
    private static async Task<string> ReadViewAsync(PageAgent agent)
    {
        using var reader = new StreamReader(await agent.Http.GetStreamAsync(new Uri(agent.Url + "events"), Cancellation));
        var text = new System.Text.StringBuilder();
        while (await reader.ReadLineAsync(Cancellation).AsTask().WaitAsync(Eventually.DefaultLimit, Cancellation) is { Length: > 0 } line) text.Append(line).Append('\n');
        return text.ToString();
    }

    private static string Row(string workload) => $"document.getElementById('c:default/{workload}/main')";

    private static string Cell(string workload, string label) => $"{Row(workload)}?.querySelector('[data-label=\"{label}\"]').textContent";
}

using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.Page;
using Reconciler.Agent.State;
using Reconciler.Core.Model;
using Reconciler.Core.Ports;

namespace Reconciler.Agent.Tests.Page;

public sealed class PageViewTests
{
    private const string Bad = "<script>alert(1)</script>\"'&";

    [Fact]
    public void Whatever_a_name_or_a_message_holds_is_text()
    {
        var key = new KeyState
        {
            Kind = ResourceKind.Container, Namespace = Bad, Name = Bad.Replace("/", "", StringComparison.Ordinal) + "/" + Bad, Reason = Bad, Message = Bad, Image = Bad, Attempt = 1,
            Events = [new KeyEvent(DateTimeOffset.UnixEpoch, true, Bad, 2)],
        };
        var image = new KeyState { Kind = ResourceKind.Image, Name = Bad, Reason = Bad, Message = Bad, Attempt = 1 };
        var pull = new PullState(Bad + "2", DateTimeOffset.UnixEpoch, [new LayerState(Bad, Bad, 1, 2)]);
        var state = new AgentState { Agent = new AgentProcess { Node = Bad, Version = Bad, Phase = Bad, Message = Bad }, Keys = [key, image], Pulls = [pull] };
        var source = new SourceState { Source = Bad, Synced = false, Doubt = Bad, Problems = [new Problem(Bad, 1, Bad, Bad, Bad), new Problem(Bad, 0, "", Bad, "", Warning: true)] };
        var html = PageView.Of(new NodeSight
        {
            State = state,
            Actions = [(key.Key, key.Events[0])],
            Containerd = Bad,
            Sources = [(Bad, source), (Bad, null)],
            Containers = ContainerRow.From(NodeObservation.Empty, state, agentAlive: true),
            Images = ImageRow.From(new Dictionary<string, ImageFacts>(), new Dictionary<string, ActualImage>(), state, agentAlive: true),
            Plan = $"+ {Bad}\n",
        });

        Assert.DoesNotContain("<script", html, StringComparison.Ordinal);
        Assert.DoesNotContain("'&", html, StringComparison.Ordinal);
        Assert.DoesNotContain("\"\"", html.Replace("class=\"\"", "", StringComparison.Ordinal).Replace("title=\"\"", "", StringComparison.Ordinal), StringComparison.Ordinal);
        // Each hole of the page: nothing was left out.
        Assert.InRange(html.Split("&lt;script&gt;alert(1)").Length, 30, 60);
    }

    [Fact]
    public void An_image_has_its_size_where_it_is_known()
    {
        var present = new Dictionary<string, ImageFacts> { ["known:1"] = new("known:1", "sha256:1", 4_718_592, null), ["unknown:1"] = new("unknown:1", "sha256:2", 0, null) };
        var html = PageView.Of(new NodeSight
        {
            State = new AgentState { Agent = new AgentProcess() }, Actions = [], Images = ImageRow.From(present, new Dictionary<string, ActualImage>(), null, agentAlive: true),
        });

        Assert.Contains("data-label=\"Size\">4.5MiB</td>", html, StringComparison.Ordinal);
        Assert.Contains("data-label=\"Size\"></td>", html, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 200)]
    [InlineData(9, 200)]
    [InlineData(25, 500)]
    [InlineData(60_000, 2000)]
    public void What_takes_long_to_render_is_rendered_less_often(int milliseconds, int pause) =>
        Assert.Equal(TimeSpan.FromMilliseconds(pause), PageFeed.PauseAfter(TimeSpan.FromMilliseconds(milliseconds)));

    [Fact]
    public void An_agent_that_has_nothing_yet_says_so()
    {
        var html = PageView.Of(new NodeSight { State = new AgentState { Agent = new AgentProcess { Node = "n", Phase = "WaitingForContainerd", Message = "/run/x: no such file" } }, Actions = [] });

        Assert.All(["WaitingForContainerd", "/run/x: no such file", "not connected", "No containers.", "No images.", "Not known yet"], text => Assert.Contains(text, html, StringComparison.Ordinal));
    }
}

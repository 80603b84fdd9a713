using System.Globalization;
using Reconciler.Agent.Commands.Output;
using Reconciler.Agent.State;

namespace Reconciler.Agent.Page;

/// <summary>The content of the page as HTML. Equal sights give equal text: times stand in it as they are, and the browser makes ages of them.</summary>
internal static class PageView
{
    public static string Of(NodeSight sight)
    {
        var (html, agent) = (new HtmlText(), sight.State.Agent!);
        var ready = sight.Containers.Count(row => row.Ready);
        var waiting = sight.Containers.Count - ready;
        html.Add($"<main data-title=\"{agent.Node}: {ready} ready, {waiting} waiting\">");
        Head(html, agent, sight.Containerd);
        Numbers(html, sight, ready, waiting);
        Workloads(html, sight.Containers);
        Images(html, sight.Images);
        PlanNow(html, sight.Plan);
        Sources(html, sight);
        Actions(html, sight.Actions);
        return html.Add($"</main>").ToString().ReplaceLineEndings("\n");
    }

    private static void Head(HtmlText html, AgentProcess agent, string containerd)
    {
        html.Add($"<div class=\"head\"><h1>{agent.Node}</h1> <span class=\"badge {(agent.Phase == "Running" ? "ok" : "busy")}\">{agent.Phase}</span></div>");
        if (agent.Message.Length > 0) html.Add($"<p class=\"note\">{agent.Message}</p>");
        html.Add($"<dl class=\"facts\"><div><dt>Agent</dt><dd>{agent.Version}</dd></div><div><dt>containerd</dt><dd>{(containerd.Length > 0 ? containerd : "not connected")}</dd></div>");
        html.Add($"<div><dt>Up for</dt><dd>");
        Time(html, agent.StartedAt);
        html.Add($"</dd></div></dl>");
    }

    private static void Numbers(HtmlText html, NodeSight sight, int ready, int waiting)
    {
        var problems = sight.Sources.Sum(source => source.State?.Problems.Count(problem => !problem.Warning) ?? 0);
        var pulls = sight.Images.Count(image => image.Pull is not null);
        html.Add($"<ul class=\"numbers\">");
        Number(html, ready, "ready", ready > 0 ? "ok" : "idle");
        Number(html, waiting, "waiting", waiting > 0 ? "warn" : "idle");
        Number(html, pulls, "pulling", pulls > 0 ? "busy" : "idle");
        Number(html, problems, problems == 1 ? "problem" : "problems", problems > 0 ? "bad" : "idle");
        html.Add($"</ul>");
    }

    private static void Number(HtmlText html, int number, string what, string kind) => html.Add($"<li class=\"{kind}\"><b>{number}</b> {what}</li>");

    private static void Sources(HtmlText html, NodeSight sight)
    {
        html.Add($"<section id=\"sources\" aria-labelledby=\"h-sources\"><h2 id=\"h-sources\">Sources</h2>");
        if (sight.Sources.Count == 0) html.Add($"<p class=\"none\">Not read yet.</p>");
        else
        {
            html.Add($"<table><thead><tr><th scope=\"col\">Source</th><th scope=\"col\">State</th><th scope=\"col\" class=\"num\">Declared</th><th scope=\"col\">Doubt</th></tr></thead><tbody>");
            foreach (var (name, state) in sight.Sources)
            {
                var (kind, word) = state switch { null => ("busy", "Not read yet"), { Synced: true } => ("ok", "Synced"), _ => ("bad", "In doubt") };
                html.Add($"<tr><th scope=\"row\" data-label=\"Source\">{name}</th><td data-label=\"State\"><span class=\"badge {kind}\">{word}</span></td>");
                html.Add($"<td class=\"num\" data-label=\"Declared\">{state?.Resources.Count ?? 0}</td><td data-label=\"Doubt\">{state?.Doubt}</td></tr>");
            }
            html.Add($"</tbody></table>");
        }
        var problems = sight.Sources.SelectMany(source => source.State?.Problems ?? []).ToList();
        if (problems.Count > 0) html.Add($"<h3>Problems and remarks</h3><ul class=\"problems\">");
        foreach (var problem in problems) html.Add($"<li><span class=\"badge {(problem.Warning ? "warn" : "bad")}\">{(problem.Warning ? "Remark" : "Refused")}</span> {problem.ToString()}</li>");
        if (problems.Count > 0) html.Add($"</ul>");
        html.Add($"</section>");
    }

    private static void Workloads(HtmlText html, IReadOnlyList<ContainerRow> rows)
    {
        html.Add($"<section id=\"workloads\" aria-labelledby=\"h-workloads\"><h2 id=\"h-workloads\">Workloads</h2>");
        if (rows.Count == 0) html.Add($"<p class=\"none\">No containers.</p></section>");
        if (rows.Count == 0) return;
        html.Add($"<table><thead><tr><th scope=\"col\">Container</th><th scope=\"col\">State</th><th scope=\"col\">Ready</th><th scope=\"col\">Reason</th>");
        html.Add($"<th scope=\"col\" class=\"num\">Restarts</th><th scope=\"col\">Image</th><th scope=\"col\">Since</th><th scope=\"col\">Next try</th></tr></thead>");
        foreach (var workload in rows.GroupBy(row => (row.Key.Namespace, row.Workload)))
        {
            html.Add($"<tbody id=\"w:{workload.Key.Namespace}/{workload.Key.Workload}\">");
            html.Add($"<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"8\"><span class=\"dim\">{workload.Key.Namespace} /</span> {workload.Key.Workload}</th></tr>");
            foreach (var row in workload) Container(html, row);
            html.Add($"</tbody>");
        }
        html.Add($"</table></section>");
    }

    private static void Container(HtmlText html, ContainerRow row)
    {
        html.Add($"<tr id=\"c:{row.Key.ToString()}\"><th scope=\"row\" data-label=\"Container\">{row.Container}</th><td data-label=\"State\"><span class=\"badge {KindOf(row)}\">{row.State}</span></td>");
        html.Add($"<td data-label=\"Ready\">{(row.Ready ? "Yes" : "No")}</td><td class=\"wide\" data-label=\"Reason\">{row.Reason}");
        if (row.ExitCode is { } code) html.Add($" <span class=\"dim\">exit code {code}</span>");
        if (row.Message.Length > 0) html.Add($"<span class=\"message\">{row.Message}</span>");
        html.Add($"</td><td class=\"num restarts\" data-label=\"Restarts\">{row.Actual?.Restarts ?? 0}</td><td class=\"mono\" data-label=\"Image\">{row.Image}</td><td data-label=\"Since\">");
        Time(html, row.Since);
        html.Add($"</td><td data-label=\"Next try\">");
        if (row.Memory?.NextTry is { } next && !row.Ready) Time(html, next, "due");
        html.Add($"</td></tr>");
    }

    private static string KindOf(ContainerRow row) => row switch
    {
        { Ready: true, Reason: "ImageStale" } => "warn",
        { Ready: true } => "ok",
        { Reason: "Completed" or "Suspended" } => "idle",
        { Memory.Attempt: > 0 } or { Reason: "CrashLoopBackOff" or "Error" or "OOMKilled" or "LogBroken" } => "bad",
        _ => "busy",
    };

    private static void Images(HtmlText html, IReadOnlyList<ImageRow> rows)
    {
        html.Add($"<section id=\"images\" aria-labelledby=\"h-images\"><h2 id=\"h-images\">Images</h2>");
        if (rows.Count == 0) html.Add($"<p class=\"none\">No images.</p></section>");
        if (rows.Count == 0) return;
        html.Add($"<table><thead><tr><th scope=\"col\">Image</th><th scope=\"col\">State</th><th scope=\"col\">Digest</th><th scope=\"col\" class=\"num\">Size</th><th scope=\"col\">Used by</th></tr></thead><tbody>");
        foreach (var row in rows)
        {
            var kind = row switch { { Pull: not null } => "busy", { Memory.Attempt: > 0 } => "bad", { Facts: not null } => "ok", _ => "busy" };
            var digest = row.Facts?.Digest is { Length: > 19 } full ? full[7..19] : "";
            html.Add($"<tr id=\"i:{row.Reference}\"><th scope=\"row\" class=\"mono\" data-label=\"Image\">{row.Reference}</th><td class=\"wide\" data-label=\"State\"><span class=\"badge {kind}\">{row.State}</span>");
            if (row.Pull is { } pull) Progress(html, row.Reference, pull);
            else if (row.Memory is { Message.Length: > 0, Ready: false } told) html.Add($"<span class=\"message\">{told.Message}</span>");
            html.Add($"</td><td class=\"mono\" data-label=\"Digest\" title=\"{row.Facts?.Digest}\">{digest}</td>");
            html.Add($"<td class=\"num\" data-label=\"Size\">{(row.Facts is { Size: > 0 } sized ? Units.Size(sized.Size) : "")}</td><td data-label=\"Used by\">{row.UsedBy()}</td></tr>");
        }
        html.Add($"</tbody></table></section>");
    }

    private static void Progress(HtmlText html, string image, PullState pull)
    {
        var layers = pull.Layers.Where(layer => layer.Total > 0).ToList();
        var (there, total) = (layers.Sum(layer => Math.Min(layer.Offset, layer.Total)), layers.Sum(layer => layer.Total));
        if (total == 0) html.Add($"<progress aria-label=\"pull of {image}\"></progress>");
        else html.Add($"<progress aria-label=\"pull of {image}\" value=\"{there}\" max=\"{total}\"></progress><span class=\"dim\">{Units.Size(there)} of {Units.Size(total)}</span>");
        html.Add($"<details><summary>{layers.Count} parts</summary><ul class=\"layers\">");
        foreach (var layer in layers)
        {
            var name = layer.Ref.StartsWith("sha256:", StringComparison.Ordinal) && layer.Ref.Length > 19 ? layer.Ref[7..19] : layer.Ref;
            html.Add($"<li><span class=\"mono\">{name}</span> <progress aria-label=\"{name}\" value=\"{Math.Min(layer.Offset, layer.Total)}\" max=\"{layer.Total}\"></progress> {layer.Status}</li>");
        }
        html.Add($"</ul></details>");
    }

    private static void PlanNow(HtmlText html, string? plan)
    {
        html.Add($"<section id=\"plan\" aria-labelledby=\"h-plan\"><h2 id=\"h-plan\">Plan now</h2>");
        if (plan is null) html.Add($"<p class=\"none\">Not known yet: sources and node are being read.</p></section>");
        if (plan is null) return;
        html.Add($"<pre tabindex=\"0\">");
        foreach (var line in plan.TrimEnd('\n').Split('\n'))
        {
            var kind = line.TrimStart() switch { ['+', ' ', ..] => "add", ['~', ' ', ..] => "change", ['-', ' ', ..] => "remove", _ => "" };
            html.Add($"<span class=\"{kind}\">{line}\n</span>");
        }
        html.Add($"</pre></section>");
    }

    private static void Actions(HtmlText html, IReadOnlyList<(Core.Model.ResourceKey Key, KeyEvent Event)> actions)
    {
        html.Add($"<section id=\"actions\" aria-labelledby=\"h-actions\"><h2 id=\"h-actions\">Last actions</h2>");
        if (actions.Count == 0) html.Add($"<p class=\"none\">None yet.</p></section>");
        if (actions.Count == 0) return;
        html.Add($"<table><thead><tr><th scope=\"col\">When</th><th scope=\"col\">What</th><th scope=\"col\">Action and reason</th></tr></thead><tbody>");
        foreach (var (key, happened) in actions)
        {
            html.Add($"<tr><td data-label=\"When\">");
            Time(html, happened.At);
            html.Add($"</td><th scope=\"row\" data-label=\"What\">{key.ToString()}</th><td class=\"wide\" data-label=\"Action\">");
            if (happened.Warning) html.Add($"<span class=\"badge bad\">Failed</span> ");
            html.Add($"{happened.Text}");
            if (happened.Count > 1) html.Add($" <span class=\"dim\">{happened.Count} times</span>");
            html.Add($"</td></tr>");
        }
        html.Add($"</tbody></table></section>");
    }

    /// <param name="kind">"due" = what it stands for is still to come.</param>
    private static void Time(HtmlText html, DateTimeOffset? at, string kind = "age")
    {
        if (at is not { } time || time == default) return;
        var text = time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        html.Add($"<time class=\"{kind}\" datetime=\"{time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)}\" title=\"{text}\">{text}</time>");
    }
}

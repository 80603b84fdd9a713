using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Reconciler.Sources.Kubernetes;
using Reconciler.Testing;
using Reconciler.Testing.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

/// <summary>The reflector on real API servers.</summary>
public sealed class ReflectorServerTests(SharedApiServer shared)
{
    /// <summary>etcd 3.4 refuses WatchList, 3.5 serves it.</summary>
    [Theory]
    [InlineData(EtcdVersion.V34)]
    [InlineData(EtcdVersion.V35)]
    public async Task Random_changes_with_faults_end_in_what_a_fresh_list_has(EtcdVersion etcd)
    {
        await using var api = await ApiServer.StartAsync(etcd);
        await InstallAsync(api);
        using var client = Open(api.Kubeconfig);
        using var stop = new CancellationTokenSource();
        var copy = new Copy(client, "x", stop.Token);
        var seed = Environment.TickCount;
        var random = new Random(seed);
        var model = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var step = 0; step < 60; step++)
        {
            if (step is 20)
            {
                await api.KillAsync();
                await api.StartAgainAsync();
                await Crd.UntilServedAsync(api);
            }
            if (step is 40)
            {
                await api.StopAsync();
                await api.StartAgainAsync();
                await Crd.UntilServedAsync(api);
            }
            await ChangeAsync(api, random, model);
        }
        await Eventually.UntilAsync(
            () => copy.State.Doubt.Length == 0 && copy.Versions().SequenceEqual(model),
            $"the copy equals the server's list (seed {seed})");
        await stop.CancelAsync();
        await copy.Ended;
    }

    [Fact]
    public async Task A_server_that_no_longer_answers_is_noticed_although_its_connection_stays_open()
    {
        await using var api = await ApiServer.StartAsync();
        await InstallAsync(api);
        using var client = Open(api.Kubeconfig);
        using var stop = new CancellationTokenSource();
        var copy = new Copy(client, "x", stop.Token);
        await Eventually.UntilAsync(() => copy.State.IsListed, "the list is there");
        api.Freeze();
        try
        {
            await Eventually.UntilAsync(() => copy.State.Doubt.Length > 0, "the dead link is noticed", TimeSpan.FromSeconds(3 * 45));
        }
        finally
        {
            api.Resume();
        }
        await Eventually.UntilAsync(() => copy.State.Doubt.Length == 0, "it is followed again");
        await stop.CancelAsync();
        await copy.Ended;
    }

    [Fact]
    public async Task A_certificate_for_another_name_or_of_another_CA_is_refused()
    {
        var api = await shared.GetAsync();
        using var folder = new TempFolder();
        var good = await File.ReadAllTextAsync(api.Kubeconfig, TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(folder["name"], good.Replace("cluster: {server:", "cluster: {tls-server-name: elsewhere.example, server:", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(folder["ca"], good.Replace(api.CaFile, folder["ca.crt"], StringComparison.Ordinal), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(folder["ca.crt"], new CertificateAuthority("another").Pem, TestContext.Current.CancellationToken);

        using (var client = Open(api.Kubeconfig)) using (await client.GetAsync("api/v1/namespaces/default", TestContext.Current.CancellationToken)) { }
        await RefusedAsync(folder["name"]);
        await RefusedAsync(folder["ca"]);

        static async Task RefusedAsync(string kubeconfig)
        {
            using var client = Open(kubeconfig);
            var error = await Assert.ThrowsAsync<ClusterException>(() => client.GetAsync("api/v1/namespaces/default", TestContext.Current.CancellationToken));
            Assert.Contains("certificate", error.Message, StringComparison.OrdinalIgnoreCase);
        }
    }

    [Fact]
    public void A_kubeconfig_that_skips_the_check_is_refused()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["kubeconfig"], """
            apiVersion: v1
            kind: Config
            clusters: [{name: test, cluster: {server: "https://127.0.0.1:1", insecure-skip-tls-verify: true} }]
            users: [{name: test, user: {token: t} }]
            contexts: [{name: test, context: {cluster: test, user: test} }]
            current-context: test
            """);
        var error = Assert.Throws<ClusterConfigException>(() => Open(folder["kubeconfig"]));
        Assert.Contains("insecure-skip-tls-verify", error.Message, StringComparison.Ordinal);
    }

    private static ClusterClient Open(string kubeconfig) => ClusterClient.Open(new ClusterOptions { Kubeconfig = kubeconfig, Program = "test" }, TimeProvider.System);

    private static async Task InstallAsync(ApiServer api)
    {
        await api.KubectlAsync("apply", "-k", Crd.Folder);
        await Crd.UntilServedAsync(api);
    }

    private static async Task ChangeAsync(ApiServer api, Random random, SortedDictionary<string, string> model)
    {
        var name = $"w{random.Next(8)}";
        var path = "apis/reconciler.dev/v1alpha1/namespaces/default/nodeworkloads";
        using var client = Open(api.Kubeconfig);
        if (model.ContainsKey(name) && random.Next(3) == 0)
        {
            using var gone = await client.DeleteAsync($"{path}/{name}", "{}"u8.ToArray(), TestContext.Current.CancellationToken);
            model.Remove(name);
            return;
        }
        var image = $"busybox:{random.Next(1000)}";
        var body = "{\"apiVersion\":\"reconciler.dev/v1alpha1\",\"kind\":\"NodeWorkload\",\"metadata\":{\"name\":\"" + name
            + "\"},\"spec\":{\"nodeName\":\"x\",\"containers\":[{\"name\":\"c\",\"image\":\"" + image + "\"}]}}";
        using var written = await client.ApplyAsync($"{path}/{name}", Encoding.UTF8.GetBytes(body), TestContext.Current.CancellationToken);
        model[name] = written.RootElement.GetProperty("metadata").GetProperty("resourceVersion").GetString()!;
    }

    /// <summary>A running reflector and its newest state.</summary>
    private sealed class Copy
    {
        private volatile ClusterState _state = ClusterState.Nothing;

        public Copy(ClusterClient client, string node, CancellationToken stop)
        {
            var reflector = new Reflector(client, KubernetesSource.WorkloadsPath, KubernetesSource.Selector(node), TimeProvider.System, Random.Shared.NextDouble, NullLogger.Instance);
            Ended = Task.Run(async () =>
            {
                try
                {
                    await foreach (var state in reflector.FollowAsync(stop)) _state = state;
                }
                catch (OperationCanceledException) when (stop.IsCancellationRequested)
                {
                }
            }, CancellationToken.None);
        }

        public Task Ended { get; }

        public ClusterState State => _state;

        public IEnumerable<KeyValuePair<string, string>> Versions() =>
            _state.Objects.Values.Select(read => KeyValuePair.Create(read.Name.Name, read.ResourceVersion)).OrderBy(pair => pair.Key, StringComparer.Ordinal);
    }
}

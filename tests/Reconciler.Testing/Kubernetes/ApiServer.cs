using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Reconciler.Testing.Kubernetes;

/// <summary>3.4 is too old for WatchList: the server refuses it, as old clusters do. 3.5 serves it.</summary>
public enum EtcdVersion
{
    V35,
    V34,
}

/// <summary>A private Kubernetes API server with an etcd of its own on free loopback ports. RBAC and admission policies are enforced.</summary>
public sealed partial class ApiServer : IAsyncDisposable
{
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(5);
    private static readonly ConcurrentDictionary<int, byte> Given = new();

    private readonly TempFolder _folder = new();
    private readonly ControlPlane _programs;
    private readonly CertificateAuthority _authority = new("reconciler test");
    private readonly (string Certificate, string Key) _admin;
    private readonly SemaphoreSlim _tokenGate = new(1, 1);
    private readonly JsonArray _tokens = [];
    private readonly int _etcdPort = FreePort();
    private Process? _etcd;
    private Process? _server;

    private ApiServer(ControlPlane programs)
    {
        _admin = _authority.Issue("CN=admin, O=system:masters");
        _programs = programs;
        Http = CreateHttp(Url, _authority.ClientOptions(_admin));
    }

    /// <summary>Stays the same over restarts.</summary>
    public int Port { get; } = FreePort();

    public Uri Url => new($"https://127.0.0.1:{Port}/");

    /// <summary>Of a member of system:masters, who may do everything.</summary>
    public string Kubeconfig => _folder["kubeconfig"];

    /// <summary>PEM of the CA that signed the server's certificate, which is for localhost and 127.0.0.1.</summary>
    public string CaFile => _folder["ca.crt"];

    /// <summary>As the admin; base address is <see cref="Url"/>, chain and name of the server are checked.</summary>
    public HttpClient Http { get; }

    /// <summary>etcd's data; between <see cref="StopAsync"/> and <see cref="StartAgainAsync"/> a test may delete it, copy it or put an older copy back.</summary>
    public string DataFolder => _folder["etcd"];

    /// <summary>For files of the test that shall go with the server.</summary>
    public string this[string name] => _folder[name];

    public string Log => Text("server.log") + Text("etcd.log");

    public static async Task<ApiServer> StartAsync(EtcdVersion etcd = EtcdVersion.V35) => await StartAsync(await ControlPlane.GetAsync(etcd));

    public static async Task<ApiServer> StartAsync(ControlPlane programs)
    {
        var server = new ApiServer(programs);
        try
        {
            await server.WriteFilesAsync();
            await server.StartAgainAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>After <see cref="StopAsync"/> or <see cref="KillAsync"/>; returns when it is ready.</summary>
    public async Task StartAgainAsync()
    {
        _etcd ??= await RunAsync("etcd", _programs.Etcd, [
            "--data-dir", DataFolder, "--listen-client-urls", EtcdUrl, "--advertise-client-urls", EtcdUrl,
            "--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "warn", "--unsafe-no-fsync",
        ]);
        _server ??= await RunAsync("server", _programs.ApiServer, ServerArguments());
        await Eventually.UntilAsync(IsReadyAsync, "the API server is ready");
    }

    /// <summary>Ends server and etcd orderly.</summary>
    public async Task StopAsync()
    {
        await StopAsync(_server);
        _server = null;
        await StopAsync(_etcd);
        _etcd = null;
    }

    /// <summary>SIGKILL for the server; etcd lives on.</summary>
    public async Task KillAsync()
    {
        await KillAsync(_server);
        _server = null;
    }

    /// <summary>SIGSTOP: connections stay open and nothing answers, until <see cref="Resume"/>.</summary>
    public void Freeze() => Signals.Send(_server!.Id, Signals.Stop);

    public void Resume() => Signals.Send(_server!.Id, Signals.Continue);

    public async ValueTask DisposeAsync()
    {
        await KillAsync(_server);
        await KillAsync(_etcd);
        Http.Dispose();
        _authority.Dispose();
        _tokenGate.Dispose();
        _folder.Dispose();
    }

    private string EtcdUrl => $"http://127.0.0.1:{_etcdPort}";

    private string[] ServerArguments()
    {
        string[] common =
        [
            "--etcd-servers", EtcdUrl, "--secure-port", Port.ToString(CultureInfo.InvariantCulture),
            "--tls-cert-file", _folder["server.crt"], "--tls-private-key-file", _folder["server.key"], "--client-ca-file", CaFile,
        ];
        return _programs.IsKubernetes
            ?
            [
                .. common, "--bind-address", "127.0.0.1", "--cert-dir", _folder["certs"], "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
                "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", _folder["server.key"],
                "--service-account-signing-key-file", _folder["server.key"], "--disable-admission-plugins", "ServiceAccount",
            ]
            : [.. common, "--tokens", _folder["tokens.json"]];
    }

    private async Task WriteFilesAsync()
    {
        var (certificate, key) = _authority.Issue("CN=apiserver", "localhost", "127.0.0.1");
        await File.WriteAllTextAsync(CaFile, _authority.Pem);
        await File.WriteAllTextAsync(_folder["server.crt"], certificate);
        await File.WriteAllTextAsync(_folder["server.key"], key);
        await File.WriteAllTextAsync(_folder["tokens.json"], "[]");
        await File.WriteAllTextAsync(_folder["admin.crt"], _admin.Certificate);
        await File.WriteAllTextAsync(_folder["admin.key"], _admin.Key);
        await File.WriteAllTextAsync(Kubeconfig, KubeconfigText($"client-certificate: {_folder["admin.crt"]}, client-key: {_folder["admin.key"]}"));
    }

    private static HttpClient CreateHttp(Uri url, SslClientAuthenticationOptions tls) =>
        new(new SocketsHttpHandler { SslOptions = tls }) { BaseAddress = url, Timeout = TimeSpan.FromMinutes(2) };

    private async Task<Process> RunAsync(string name, string program, string[] arguments)
    {
        // exec: the pid is the program's own.
        var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "log=$1; shift; exec \"$0\" \"$@\" >>\"$log\" 2>&1 </dev/null", program, _folder[name + ".log"], .. arguments]))!;
        await File.WriteAllTextAsync(_folder[name + ".pid"], process.Id.ToString(CultureInfo.InvariantCulture));
        return process;
    }

    private async Task<bool> IsReadyAsync()
    {
        if (_etcd!.HasExited) throw new InvalidOperationException("etcd ended: " + Text("etcd.log"));
        if (_server!.HasExited) throw new InvalidOperationException("the API server ended: " + Text("server.log"));
        try
        {
            using var ready = await Http.GetAsync(new Uri("/readyz", UriKind.Relative));
            if (ready.StatusCode != HttpStatusCode.OK) return false;
            using var ns = await Http.GetAsync(new Uri("/api/v1/namespaces/default", UriKind.Relative));
            return ns.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static async Task StopAsync(Process? process)
    {
        if (process is null) return;
        Signals.Send(process.Id, Signals.Terminate);
        using var deadline = new CancellationTokenSource(StopLimit);
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            await KillAsync(process); // it waits a minute for clients that keep a request open; all that must last is in etcd, which took it already
        }
    }

    private static async Task KillAsync(Process? process)
    {
        if (process is null) return;
        process.Kill();
        await process.WaitForExitAsync();
    }

    /// <summary>Below the range that outgoing connections take theirs from, so that it is still free after a restart; given once, as the server binds it later.</summary>
    private static int FreePort()
    {
        var first = int.Parse(File.ReadAllText("/proc/sys/net/ipv4/ip_local_port_range").Split('\t')[0], CultureInfo.InvariantCulture);
        while (true)
        {
            var port = RandomNumberGenerator.GetInt32(10_000, first);
            using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
                if (Given.TryAdd(port, 0)) return port;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
            }
        }
    }

    private string Text(string name) => File.Exists(_folder[name]) ? File.ReadAllText(_folder[name]) : "";
}

using System.Net;
using System.Net.Sockets;

namespace Reconciler.Containerd.Tests.Registries;

/// <summary>A loopback port that refuses connections and that nobody else can get meanwhile: bound, but not listening.</summary>
internal sealed class DeadPort : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public DeadPort() => _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

    public string Host => $"127.0.0.1:{((IPEndPoint)_socket.LocalEndPoint!).Port}";

    public void Dispose() => _socket.Dispose();
}

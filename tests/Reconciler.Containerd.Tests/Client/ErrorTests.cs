using Grpc.Core;

namespace Reconciler.Containerd.Tests.Client;

[Trait("containerd", "none")]
public sealed class ErrorTests
{
    [Theory]
    [InlineData(ContainerdError.ContainerNotfound, 0, true, false, false)]
    [InlineData(ContainerdError.TaskNotfound, 1, true, false, false)]
    [InlineData(ContainerdError.ImageNotfound, 2, true, false, false)]
    [InlineData(ContainerdError.TrylockFailed, 3, false, true, false)]
    [InlineData(ContainerdError.Timeout, 4, false, false, true)]
    public void Codes_have_their_numbers_and_predicates(ContainerdError code, int number, bool notFound, bool trylock, bool timeout)
    {
        var cause = new InvalidOperationException("cause");
        var error = new ContainerdException(code, "text", cause);

        Assert.Equal(number, (int)code);
        Assert.Equal(code, error.Code);
        Assert.Equal((notFound, trylock, timeout), (error.IsNotfound, error.IsTrylockFailed, error.IsTimeout));
        Assert.Same(cause, error.InnerException);
    }

    [Fact]
    public void Without_a_code_nothing_is_claimed()
    {
        var error = new ContainerdException("text");

        Assert.Null(error.Code);
        Assert.False(error.IsNotfound || error.IsTrylockFailed || error.IsTimeout || error.IsUnavailable);
    }

    [Theory]
    [InlineData(StatusCode.NotFound, "gone", "NotFound", ContainerdError.ImageNotfound, false)]
    [InlineData(StatusCode.DeadlineExceeded, "late", "DeadlineExceeded", ContainerdError.Timeout, false)]
    [InlineData(StatusCode.Unknown, "context deadline exceeded: unknown", "DeadlineExceeded", ContainerdError.Timeout, false)]
    [InlineData(StatusCode.AlreadyExists, "there", "AlreadyExists", null, false)]
    [InlineData(StatusCode.Unavailable, "connection refused", "Unavailable", null, true)]
    [InlineData(StatusCode.Unavailable, "ref layer-x locked for 1s", "Locked", null, false)]
    [InlineData(StatusCode.Unknown, "cannot start: unknown", "Unknown", null, false)]
    public void Statuses_are_mapped(StatusCode status, string detail, string name, ContainerdError? code, bool unavailable)
    {
        var error = Errors.Map(new RpcException(new Status(status, detail)), "do it", ContainerdError.ImageNotfound);

        Assert.Equal(name, error.RpcStatus);
        Assert.Equal(code, error.Code);
        Assert.Equal(unavailable, error.IsUnavailable);
        Assert.Equal("do it: " + detail.Replace(": unknown", "", StringComparison.Ordinal), error.Message);
    }

    [Theory]
    [InlineData(StatusCode.DeadlineExceeded)]
    [InlineData(StatusCode.Cancelled)]
    public void A_deadline_that_the_daemon_saw_first_is_one_in_plain_words(StatusCode code)
    {
        var status = new Status(code, "Error starting gRPC call. HTTP/2 error code 'CANCEL'", new HttpRequestException("reset"));

        var error = Errors.Map(new RpcException(status), "do it");

        Assert.Equal((true, false, "do it: no answer within the limit"), (error.IsTimeout, error.IsUnavailable, error.Message));
        Assert.Equal("DeadlineExceeded", error.RpcStatus);
    }

    [Fact]
    public void A_broken_transport_is_unavailable_whatever_the_status()
    {
        var status = new Status(StatusCode.Internal, "stream", new IOException("reset"));

        Assert.True(Errors.Map(new RpcException(status), "do it").IsUnavailable);
    }
}

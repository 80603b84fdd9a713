using Grpc.Core;
using Reconciler.Containerd.Api.Images;

namespace Reconciler.Containerd.Tests.Faults;

/// <summary>What is wrong from the start costs no call: some half-filled requests would kill containerd or a shim.</summary>
public sealed class BadInputTests(SharedDaemon shared)
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public static TheoryData<string> Methods => [.. PublicCalls.All.Select(call => call.Method)];

    public static TheoryData<string> Refusing => [.. PublicCalls.All.Where(call => call.Refused.Length > 0).Select(call => call.Method)];

    [Fact]
    public void Every_public_call_has_a_row_and_a_token()
    {
        var methods = PublicCall.Waiting();

        Assert.Equal(methods.Select(PublicCall.NameOf).Order(StringComparer.Ordinal), PublicCalls.All.Select(call => call.Method).Order(StringComparer.Ordinal));
        Assert.All(methods, method => Assert.Equal(typeof(CancellationToken), method.GetParameters()[^1].ParameterType));
        // Where there are arguments, some are refused.
        Assert.All(methods, method => Assert.Equal(method.GetParameters().Length > 1, PublicCalls.Of(PublicCall.NameOf(method)).Refused.Length > 0));
    }

    [Theory]
    [MemberData(nameof(Refusing))]
    public async Task Bad_arguments_are_refused_by_their_rule_before_any_call(string method)
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        recorder.Clear();
        var row = 0;

        foreach (var (rule, call) in PublicCalls.Of(method).Refused)
        {
            var error = await Record.ExceptionAsync(() => call(client));

            Assert.True(error is ArgumentException, $"{method}, row {row} ({rule}): {error?.ToString() ?? "nothing was thrown"}");
            Assert.True(error!.Message.Contains(rule, StringComparison.OrdinalIgnoreCase), $"{method}, row {row}: \"{error.Message}\" does not say \"{rule}\"");
            row++;
        }

        Assert.Empty(recorder.Methods);
    }

    [Theory]
    [MemberData(nameof(Methods))]
    public async Task A_cancelled_call_makes_no_rpc(string method)
    {
        var recorder = new RpcRecorder();
        await using var client = await SharedDaemon.ConnectAsync(shared.Daemon, recorder);
        recorder.Clear();

        var scene = new Scene(SharedDaemon.NewId(), SharedDaemon.Busybox, "127.0.0.1:9/none:1");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => PublicCalls.Of(method).Run(client, scene, new CancellationToken(canceled: true)));

        Assert.Empty(recorder.Methods);
    }

    [Fact]
    public async Task Hooks_that_are_null_are_refused()
    {
        await using var client = await shared.ConnectAsync();

        Assert.Throws<ArgumentNullException>(() => client.SetStopHooks(null!));
        Assert.Throws<ArgumentNullException>(() => client.SetStopHooks([null!]));
        Assert.Throws<ArgumentNullException>(() => client.SetExitHooks(null!));
        Assert.Throws<ArgumentNullException>(() => client.SetExitHooks([null!]));
    }

    [Theory]
    [InlineData("", true)]
    [InlineData("name", true)]
    [InlineData(" name", true)]
    [InlineData("name ", false)]
    [InlineData("name==x", true)]
    [InlineData("name == x", true)]
    [InlineData("name==x ", false)]
    [InlineData("name=x", false)]
    [InlineData("name===x", false)]
    [InlineData("name!=x,target.digest~=sha256.*", true)]
    [InlineData("name==x,", false)]
    [InlineData(",name==x", false)]
    [InlineData("name==", false)]
    [InlineData("name==,x", false)]
    [InlineData("name==.x", false)]
    [InlineData("name==x.y/z:1", true)]
    [InlineData("name==x y", false)]
    [InlineData("labels.\"a.b/c\"==v", true)]
    [InlineData("labels.a.b==v", true)]
    [InlineData("labels.", false)]
    [InlineData("labels.\"a", false)]
    [InlineData("labels./a/==v", false)]
    [InlineData("name==/a/", true)]
    [InlineData("name==/a", false)]
    [InlineData("name==|a|", true)]
    [InlineData("name==\"a\\\"b\"", true)]
    [InlineData("name==\"a\\qb\"", false)]
    [InlineData("name==\"\\x41\\101\\u0041\"", true)]
    [InlineData("name==\"\\x4\"", false)]
    [InlineData("name==\"a\nb\"", false)]
    [InlineData("näme==x", false)]
    [InlineData("name==ä", true)]
    [InlineData("name<x", false)]
    [InlineData("-", true)]
    [InlineData("a_b-c", true)]
    public async Task A_malformed_filter_is_refused_and_what_containerd_takes_is_not(string filter, bool taken)
    {
        await using var client = await shared.ConnectAsync();
        var theirs = await Record.ExceptionAsync(
            async () => await client.Services.Images.ListAsync(new ListImagesRequest { Filters = { filter } }, client.Call(Stop)));
        var ours = await Record.ExceptionAsync(() => client.ListImagesAsync([filter], Stop));

        Assert.True(theirs is null or RpcException { StatusCode: StatusCode.InvalidArgument }, theirs?.ToString());
        // Versions differ in what they take: the daemon's own verdict comes through.
        if (taken) Assert.Equal((theirs as RpcException)?.StatusCode.ToString(), (ours as ContainerdException)?.RpcStatus);
        else Assert.Equal((true, true), (ours is ArgumentException, theirs is not null));
    }
}

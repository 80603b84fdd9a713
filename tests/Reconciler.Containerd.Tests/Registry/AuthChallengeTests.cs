using Reconciler.Containerd.Registries;

namespace Reconciler.Containerd.Tests.Registries;

public sealed class AuthChallengeTests
{
    [Theory]
    [InlineData("Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull,push\"", "bearer realm=https://a/t scope=repository:x:pull,push service=s")]
    [InlineData("Basic realm=\"a b\"", "basic realm=a b")]
    [InlineData("Basic realm=x, Bearer realm=y", "basic realm=x | bearer realm=y")]
    [InlineData("Bearer realm = \"q\\\"uo\" , error=invalid_token", "bearer error=invalid_token realm=q\"uo")]
    [InlineData("Negotiate, Basic REALM=x", "negotiate | basic realm=x")]
    [InlineData("Basic", "basic")]
    [InlineData("", "")]
    [InlineData(",,,", "")]
    [InlineData("Bearer realm=\"open", "bearer realm=open")]
    [InlineData("=\"\"=,", "")]
    public void Challenges_are_read(string header, string expected) => Assert.Equal(
        expected,
        string.Join(" | ", AuthChallenge.Parse([header]).Select(challenge =>
            string.Join(' ', challenge.Parameters.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}").Prepend(challenge.Scheme)))));

    [Fact]
    public void Several_headers_are_several_challenges() =>
        Assert.Equal(["basic", "bearer"], AuthChallenge.Parse(["Basic realm=a", "Bearer realm=b"]).Select(challenge => challenge.Scheme));

    [Fact]
    public void Nonsense_ends() => CsCheck.Check.Sample(
        CsCheck.Gen.String[CsCheck.Gen.Char["aB=\", \\\t"], 0, 60], text => AuthChallenge.Parse([text, text]).Count <= 16, iter: 2000);
}

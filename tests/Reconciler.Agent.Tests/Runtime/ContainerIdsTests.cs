using System.Text.RegularExpressions;
using CsCheck;
using Reconciler.Agent.Runtime;

namespace Reconciler.Agent.Tests.Runtime;

public sealed partial class ContainerIdsTests
{
    private static readonly Gen<string> DnsName = Gen.String[Gen.Char["abcxyz019-"], 1, 63].Where(name => name[0] != '-' && name[^1] != '-');

    [Fact]
    public void A_short_name_is_spelled_out() =>
        Assert.Equal("default-web-server-1700000000", ContainerIds.Of("default", "web", "server", 1700000000));

    [Fact]
    public void Ids_are_valid_for_containerd_whatever_the_names() => Gen.Select(DnsName, DnsName, DnsName, Gen.Long[0, long.MaxValue]).Sample(
        (ns, workload, container, incarnation) =>
        {
            var id = ContainerIds.Of(ns, workload, container, incarnation);
            return id.Length <= ContainerIds.MaxLength && Identifier().IsMatch(id);
        });

    [Theory]
    [InlineData("a", "b-c", "d", "a", "b", "c-d")]
    [InlineData("a-b", "c", "d", "a", "b-c", "d")]
    [InlineData("a", "b--c", "d", "a", "b-c", "d")]
    public void Names_that_spell_alike_have_different_ids(string ns1, string workload1, string container1, string ns2, string workload2, string container2) =>
        Assert.NotEqual(ContainerIds.Of(ns1, workload1, container1, 1), ContainerIds.Of(ns2, workload2, container2, 1));

    [Fact]
    public void Long_names_stay_apart()
    {
        var longName = new string('a', 63);
        var ids = new[] { "x", "y", "z" }.Select(end => ContainerIds.Of(longName, longName, longName[..62] + end, 5)).ToHashSet();
        Assert.Equal(3, ids.Count);
    }

    [Fact]
    public void Incarnations_stay_apart() => Assert.NotEqual(ContainerIds.Of("a", "b", "c", 1), ContainerIds.Of("a", "b", "c", 2));

    [GeneratedRegex("^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$")]
    private static partial Regex Identifier();
}

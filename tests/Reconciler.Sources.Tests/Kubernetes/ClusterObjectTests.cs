using System.Text;
using Reconciler.Sources.Kubernetes;

namespace Reconciler.Sources.Tests.Kubernetes;

public sealed class ClusterObjectTests
{
    [Theory]
    [InlineData(
        """{"metadata":{"name":"n","managedFields":[{"manager":"m"}],"labels":{"images":"x"}},"status":{"images":[{"names":["a"]}],"phase":"Up"},"spec":{"images":[{"image":"b"}]}}""",
        """{"metadata":{"name":"n","labels":{"images":"x"}},"status":{"phase":"Up"},"spec":{"images":[{"image":"b"}]}}""")]
    [InlineData("""{"metadata":{"name":"n"},"status":null}""", """{"metadata":{"name":"n"},"status":null}""")]
    [InlineData("""{"metadata":{"name":"n"},"status":{}}""", """{"metadata":{"name":"n"},"status":{}}""")]
    public void What_nobody_reads_is_not_kept(string given, string kept) =>
        Assert.Equal(kept, Encoding.UTF8.GetString(ClusterObject.Parse(Encoding.UTF8.GetBytes(given)).Json));
}

using System.Collections.Immutable;
using System.Text;
using Reconciler.Sources.Files;
using Reconciler.Testing;

namespace Reconciler.Sources.Tests.Files;

public sealed class LastGoodFileTests
{
    private static readonly FolderMemory Memory = new("8:1", ImmutableSortedDictionary<string, ImmutableArray<GoodDocument>>.Empty
        .Add("a.yaml", [new GoodDocument("default/a", Encoding.UTF8.GetBytes("{\"a\":1}"))]));

    [Fact]
    public void What_is_saved_is_loaded_and_only_the_owner_may_read_it()
    {
        using var folder = new TempFolder();
        var file = new LastGoodFile(folder["state/x.json"]);

        file.Save(Memory);

        Assert.Equal(Memory, new LastGoodFile(folder["state/x.json"]).Load(out var error));
        Assert.Null(error);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(folder["state/x.json"]));
        Assert.Equal([folder["state/x.json"]], Directory.GetFiles(folder["state"]));
    }

    [Fact]
    public void A_leftover_of_a_killed_writer_does_not_matter()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["x.json.tmp"], "half");

        new LastGoodFile(folder["x.json"]).Save(Memory);

        Assert.Equal(Memory, new LastGoodFile(folder["x.json"]).Load(out _));
    }

    [Fact]
    public void A_damaged_file_is_empty_and_says_so_at_every_cut_and_flip()
    {
        using var folder = new TempFolder();
        new LastGoodFile(folder["x.json"]).Save(Memory);
        var good = File.ReadAllBytes(folder["x.json"]);
        for (var i = 0; i < good.Length; i++)
        {
            File.WriteAllBytes(folder["x.json"], good[..i]);
            Check();
            var flipped = good.ToArray();
            flipped[i] ^= 1;
            File.WriteAllBytes(folder["x.json"], flipped);
            Check();
        }
        Assert.Equal(FolderMemory.Empty, new LastGoodFile(folder["none.json"]).Load(out var missing));
        Assert.Null(missing);

        void Check()
        {
            Assert.Equal(FolderMemory.Empty, new LastGoodFile(folder["x.json"]).Load(out var error));
            Assert.NotNull(error);
        }
    }
}

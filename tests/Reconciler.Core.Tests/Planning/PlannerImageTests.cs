using Reconciler.Core.Model;
using Reconciler.Core.Planning;
using Reconciler.Testing.Fakes;
using static Reconciler.Testing.Fakes.Specs;

namespace Reconciler.Core.Tests.Planning;

public sealed class PlannerImageTests
{
    private static readonly ResourceKey Key = ResourceKey.Image(Image);

    private static Plan Plan(Wish wish, ActualImage? image) => Planner.Plan(Key, wish, new Actual([], image), Now);

    private static void Check(Plan plan, string actions, string reason, double? lookAgainMinutes = null)
    {
        Assert.Equal(actions, Plans.Show(plan));
        Assert.Equal(reason, plan.Condition.Reason);
        Assert.Equal(lookAgainMinutes, (plan.LookAgainAt - Now)?.TotalMinutes);
    }

    private static Wish Declared(ImagePullPolicy policy = ImagePullPolicy.IfNotPresent) => new Wish.Declared(ImageOf(policy: policy));

    [Theory]
    [InlineData(ImagePullPolicy.IfNotPresent, "pull", "Pulling")]
    [InlineData(ImagePullPolicy.Always, "pull", "Pulling")]
    [InlineData(ImagePullPolicy.Never, "", "ErrImageNeverPull")]
    public void A_declared_image_that_is_missing_is_pulled(ImagePullPolicy policy, string actions, string reason) =>
        Check(Plan(Declared(policy), null), actions, reason);

    [Fact]
    public void Policy_Always_resolves_once_per_declaration()
    {
        Check(Plan(Declared(ImagePullPolicy.Always), Present() with { Resolved = false }), "pull or present", "Pulling");
        Check(Plan(Declared(ImagePullPolicy.Always), Present()), "", "Present");
        Check(Plan(Declared(ImagePullPolicy.Always), Present() with { UnusedSince = Now }), "pull or present", "Pulling");
        Check(Plan(Declared(), Present() with { Resolved = false }), "", "Present");
    }

    [Fact]
    public void A_used_image_loses_its_mark()
    {
        var marked = Present() with { UnusedSince = Now.AddMinutes(-59) };
        Check(Plan(Declared(), marked), "mark used", "Present");
        Check(Plan(new Wish.Retained(Container().Key), marked), "mark used", "InUse");
        Check(Plan(new Wish.Retained(Container().Key), Present()), "", "InUse");
        Check(Plan(Wish.NotDeclared.Instance, marked with { UsedBy = [Container().Key] }), "mark used", "InUse");
    }

    [Fact]
    public void An_unused_image_is_marked_and_removed_an_hour_later()
    {
        Check(Plan(Wish.NotDeclared.Instance, Present()), "mark unused", "Unused", 60);
        Check(Plan(Wish.NotDeclared.Instance, Present() with { UnusedSince = Now.AddMinutes(-59) }), "", "Unused", 1);
        Check(Plan(Wish.NotDeclared.Instance, Present() with { UnusedSince = Now.AddMinutes(-60) }), "remove image", "Unused");
    }

    [Fact]
    public void What_the_agent_did_not_make_is_never_removed()
    {
        var foreign = Present() with { Managed = false, UnusedSince = Now.AddDays(-1) };
        Check(Plan(Wish.NotDeclared.Instance, foreign), "", "Present");
        Check(Plan(Wish.NotDeclared.Instance, null), "", "Removed");
    }

    [Fact]
    public void On_a_doubt_an_image_stays() =>
        Check(Plan(new Wish.Doubt("x"), Present() with { UnusedSince = Now.AddDays(-1) }), "", "SourceUnavailable");
}

using Reconciler.EndToEnd.Tests;

[assembly: AssemblyFixture(typeof(SharedRegistry))]

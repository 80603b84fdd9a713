using Reconciler.Containerd.Tests;

[assembly: AssemblyFixture(typeof(SharedDaemon))]

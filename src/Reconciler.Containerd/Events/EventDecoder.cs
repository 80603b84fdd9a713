using Google.Protobuf;
using Reconciler.Containerd.Api.Events;
using Reconciler.Containerd.Api.EventTypes;

namespace Reconciler.Containerd;

/// <summary>Envelopes as <see cref="ContainerdEvent"/>.</summary>
internal static class EventDecoder
{
    public static ContainerdEvent Decode(Envelope envelope) => Body(envelope) with
    {
        Timestamp = Times.Read(envelope.Timestamp) ?? default,
        Namespace = envelope.Namespace,
    };

    private static ContainerdEvent Body(Envelope envelope)
    {
        try
        {
            var bytes = envelope.Event?.Value ?? ByteString.Empty;
            return envelope.Topic switch
            {
                "/tasks/exit" => Exit(TaskExit.Parser.ParseFrom(bytes)),
                "/tasks/oom" => new ContainerdEvent.TaskOom(TaskOOM.Parser.ParseFrom(bytes).ContainerId),
                "/tasks/create" => Create(TaskCreate.Parser.ParseFrom(bytes)),
                "/tasks/start" => Start(TaskStart.Parser.ParseFrom(bytes)),
                "/tasks/delete" => Delete(TaskDelete.Parser.ParseFrom(bytes)),
                "/containers/create" => new ContainerdEvent.ContainerChanged(ContainerCreate.Parser.ParseFrom(bytes).Id, ChangeKind.Created),
                "/containers/update" => new ContainerdEvent.ContainerChanged(ContainerUpdate.Parser.ParseFrom(bytes).Id, ChangeKind.Updated),
                "/containers/delete" => new ContainerdEvent.ContainerChanged(ContainerDelete.Parser.ParseFrom(bytes).Id, ChangeKind.Deleted),
                "/images/create" => new ContainerdEvent.ImageChanged(ImageCreate.Parser.ParseFrom(bytes).Name, ChangeKind.Created),
                "/images/update" => new ContainerdEvent.ImageChanged(ImageUpdate.Parser.ParseFrom(bytes).Name, ChangeKind.Updated),
                "/images/delete" => new ContainerdEvent.ImageChanged(ImageDelete.Parser.ParseFrom(bytes).Name, ChangeKind.Deleted),
                _ => new ContainerdEvent.Other(envelope.Topic),
            };
        }
        catch (InvalidProtocolBufferException)
        {
            return new ContainerdEvent.Other(envelope.Topic); // anyone may publish anything
        }
    }

    private static ContainerdEvent.TaskExit Exit(TaskExit exit) =>
        new(exit.ContainerId, exit.Id, (int)exit.Pid, (int)exit.ExitStatus, Times.Read(exit.ExitedAt) ?? default);

    private static ContainerdEvent.TaskCreate Create(TaskCreate create) => new(create.ContainerId, (int)create.Pid);

    private static ContainerdEvent.TaskStart Start(TaskStart start) => new(start.ContainerId, (int)start.Pid);

    private static ContainerdEvent.TaskDelete Delete(TaskDelete delete) => new(delete.ContainerId, delete.Id, (int)delete.ExitStatus);
}

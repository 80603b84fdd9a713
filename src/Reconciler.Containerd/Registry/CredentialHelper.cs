using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Reconciler.Containerd.Registries;

/// <summary>Asks a <c>docker-credential-NAME</c> program from PATH.</summary>
internal static class CredentialHelper
{
    private const int MaxAnswer = 1024 * 1024;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    /// <summary>The login the helper has for the server; null = none.</summary>
    /// <exception cref="PullException">The helper is missing, failed or did not end within 30 s.</exception>
    public static async Task<RegistryCredentials?> GetAsync(string name, string server, TimeProvider time, CancellationToken cancellation)
    {
        if (name.AsSpan().ContainsAny('/', '\0')) throw Failure(name, "its name holds a slash", null);
        using var limit = new CancellationTokenSource(Limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            var (exitCode, output) = await RunAsync("docker-credential-" + name, server, either.Token);
            if (exitCode == 0) return Read(output);
            return output.Contains("credentials not found", StringComparison.OrdinalIgnoreCase)
                ? null
                : throw Failure(name, $"exit code {exitCode}: {output.Trim()[..Math.Min(output.Trim().Length, 300)]}", null);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw Failure(name, $"no answer within {Limit.TotalSeconds} s", e);
        }
        catch (Exception e) when (e is Win32Exception or IOException or JsonException or FormatException or InvalidOperationException)
        {
            throw Failure(name, e.Message, e);
        }
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(string program, string server, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program, ["get"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
            StandardOutputEncoding = Encoding.UTF8,
        };
        using var process = Process.Start(start)!;
        try
        {
            process.ErrorDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            var output = ReadAsync(process.StandardOutput, cancellation);
            try
            {
                await process.StandardInput.WriteAsync(server.AsMemory(), cancellation);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // it ended without reading; its exit code tells
            }
            var text = await output;
            await process.WaitForExitAsync(cancellation);
            return (process.ExitCode, text);
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
    }

    private static async Task<string> ReadAsync(StreamReader reader, CancellationToken cancellation)
    {
        var text = new StringBuilder();
        var buffer = new char[4096];
        while (await reader.ReadAsync(buffer, cancellation) is var count and > 0)
        {
            if (text.Length + count > MaxAnswer) throw new FormatException("its answer is larger than 1 MiB");
            text.Append(buffer, 0, count);
        }
        return text.ToString();
    }

    private static RegistryCredentials? Read(string json)
    {
        using var document = JsonDocument.Parse(json);
        var root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object) throw new FormatException("its answer is not a JSON object");
        var secret = Text(root, "Secret");
        var user = Text(root, "Username");
        if (secret.Length == 0) return null;
        return user is "" or "<token>" ? new RegistryCredentials.IdentityToken(secret) : new RegistryCredentials.Password(user, secret);
    }

    private static string Text(JsonElement item, string name) =>
        item.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString()! : "";

    private static PullException Failure(string name, string why, Exception? inner) =>
        new(PullErrorKind.Unauthorized, $"credential helper docker-credential-{name}: {why}", inner);
}

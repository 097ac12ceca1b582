import type { PluginInput } from "@opencode-ai/plugin";
import type { Event } from "@opencode-ai/sdk";

interface BenchPlugin {
  event(input: { event: Event }): Promise<void>;
  /** A token of the last of its tasks. */
  readonly delta: { event: Event };
  dispose(): Promise<void>;
}

let instances = 0;

/** The built plugin with a host that answers nothing of interest, and `count` running background tasks in its books. */
export async function createBenchPlugin(count: number): Promise<BenchPlugin> {
  const { default: plugin } = await import(new URL("../dist/server.js", import.meta.url).href);
  const hooks = await plugin.server(benchInput(`/bench-${++instances}`), { max_task_block_seconds: 0 });
  const send = (type: string, properties: unknown) => hooks.event({ event: { type, properties } as Event });
  const root = "ses_benchroot";
  await send("session.created", { info: { id: root, title: "root", time: { created: 1 } } });
  await send("session.status", { sessionID: root, status: { type: "busy" } });
  for (let index = 0; index < count; index++) {
    const id = `ses_benchchild${index}`;
    await send("session.created", { info: { id, parentID: root, title: id, time: { created: 1 } } });
    const state = { status: "running", metadata: { sessionId: id, background: true } };
    const part = { type: "tool", tool: "task", callID: id, sessionID: root, messageID: "msg_1", state };
    await send("message.part.updated", { sessionID: root, part });
    await send("session.status", { sessionID: id, status: { type: "busy" } });
  }
  const properties = {
    sessionID: `ses_benchchild${count - 1}`,
    messageID: "m",
    partID: "p",
    field: "text",
    delta: "x",
  };
  return {
    event: hooks.event,
    delta: { event: { type: "message.part.delta", properties } as unknown as Event },
    dispose: hooks.dispose,
  };
}

/** A client whose every call succeeds with nothing. */
export function benchInput(directory: string): PluginInput {
  const answer = async () => ({ data: {} });
  const group = new Proxy({}, { get: () => answer });
  const client = new Proxy({}, { get: () => group });
  return { client, directory, worktree: directory } as unknown as PluginInput;
}

/**
 * Another plugin whose tool is called `task`, as OpenCode's own: it makes a child, reports its id as OpenCode's tool does,
 * and returns while the child works. Whoever called it is told when the child has ended. Its options say how.
 */
import { type PluginModule, tool } from "@opencode-ai/plugin";

export const FOREIGN_TASK_TOOL = import.meta.path;

export interface ForeignTaskOptions {
  /** So long after its prompt was sent, or could have been, the call returns. @default 60 */
  readonly returnsAfterMs?: number;
  /** So long after the call has returned the child gets its prompt. @default 0: before */
  readonly promptsAfterMs?: number;
  /** Where the call names its child. @default "both" */
  readonly names?: "running" | "result" | "both";
}

export default {
  id: "foreign-task-tool",
  server: async ({ client }, options: ForeignTaskOptions = {}) => {
    const { returnsAfterMs = 60, promptsAfterMs, names = "both" } = options;
    /** The parents of the children that work. */
    const parents = new Map<string, string>();
    /** As OpenCode's own tool does; the `metadata` that it gives to the tools of plugins does nothing. */
    const report = async (sessionID: string, messageID: string, about: object) => {
      const { data } = await client.session.message({ path: { id: sessionID, messageID } });
      const part = data?.parts.find((other) => other.type === "tool" && other.state.status === "running");
      if (part?.type !== "tool") throw new Error("the call does not run");
      // Of version 1 of the SDK; the method for it came with version 2.
      const http = (client as unknown as { _client: { patch(request: object): Promise<unknown> } })._client;
      const url = `/session/${sessionID}/message/${messageID}/part/${part.id}`;
      const headers = { "Content-Type": "application/json" };
      await http.patch({ url, headers, body: { ...part, state: { ...part.state, ...about } } });
    };
    return {
      event: async ({ event }) => {
        if (event.type !== "session.idle") return;
        const { sessionID } = event.properties;
        const parentID = parents.get(sessionID);
        if (parentID === undefined || !parents.delete(sessionID)) return;
        // How a turn has ended is stored some tens of milliseconds after its idle.
        await new Promise((resolve) => setTimeout(resolve, 100));
        const { data = [] } = await client.session.messages({ path: { id: sessionID } });
        const said = data.at(-1)?.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])) ?? [];
        const text = `Sub-agent has ended: ${said.join("\n")}`;
        await client.session.promptAsync({ path: { id: parentID }, body: { parts: [{ type: "text", text }] } });
      },
      tool: {
        task: tool({
          description: "Sends a sub-agent off. You are told when it has ended.",
          args: {
            description: tool.schema.string(),
            prompt: tool.schema.string(),
            subagent_type: tool.schema.string(),
          },
          execute: async ({ description, prompt }, { sessionID: parentID, messageID }) => {
            const { data: child } = await client.session.create({ body: { parentID, title: description } });
            if (child === undefined) throw new Error("OpenCode has made no session");
            parents.set(child.id, parentID);
            const about = { title: description, metadata: { sessionId: child.id } };
            if (names !== "result") await report(parentID, messageID, about);
            const parts = [{ type: "text" as const, text: prompt }];
            const send = () =>
              client.session.promptAsync({ path: { id: child.id }, body: { agent: "general", parts } });
            if (promptsAfterMs === undefined) await send();
            await new Promise((resolve) => setTimeout(resolve, returnsAfterMs));
            if (promptsAfterMs !== undefined) setTimeout(send, promptsAfterMs);
            return names === "running" ? "Sent off." : { ...about, output: "Sent off." };
          },
        }),
      },
    };
  },
} satisfies PluginModule & { id: string };

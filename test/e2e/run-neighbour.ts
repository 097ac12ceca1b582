/** Another plugin in an `opencode run` that makes children with nothing but OpenCode's client. Its options say how. */
import { type PluginModule, tool } from "@opencode-ai/plugin";

export const NEIGHBOUR = import.meta.path;

export interface NeighbourOptions {
  /** Whether it tells the parent how a child of its own has ended. @default true */
  readonly tells?: boolean;
  /** So long after its tool has returned a child gets its prompt. @default 0: before */
  readonly promptsAfterMs?: number;
}

export default {
  id: "run-neighbour",
  server: async ({ client }, { tells = true, promptsAfterMs }: NeighbourOptions = {}) => {
    /** The parents of the children that work. */
    const parents = new Map<string, string>();
    return {
      event: async ({ event }) => {
        if (event.type !== "session.idle") return;
        const { sessionID } = event.properties;
        const parentID = parents.get(sessionID);
        if (parentID === undefined || !parents.delete(sessionID) || !tells) return;
        const { data = [] } = await client.session.messages({ path: { id: sessionID } });
        const said = data.at(-1)?.parts.flatMap((part) => (part.type === "text" ? [part.text] : [])) ?? [];
        const text = `Helper ${sessionID} has ended: ${said.join("\n")}`;
        await client.session.promptAsync({ path: { id: parentID }, body: { parts: [{ type: "text", text }] } });
      },
      tool: {
        delegate: tool({
          description: "Sends a helper off. You are told when it has ended.",
          args: { subject: tool.schema.string() },
          execute: async ({ subject }, { sessionID: parentID }) => {
            const { data: child } = await client.session.create({ body: { parentID, title: subject } });
            if (child === undefined) throw new Error("OpenCode has made no session");
            parents.set(child.id, parentID);
            const parts = [{ type: "text" as const, text: `${subject}: help with it` }];
            const prompt = () =>
              client.session.promptAsync({ path: { id: child.id }, body: { agent: "general", parts } });
            if (promptsAfterMs === undefined) await prompt();
            else setTimeout(prompt, promptsAfterMs);
            return `Sent ${child.id}.`;
          },
        }),
      },
    };
  },
} satisfies PluginModule & { id: string };

/** A plugin of another author in an `opencode run`: its tool launches a task with the library and returns at once. */
import { type PluginModule, tool } from "@opencode-ai/plugin";
import { createTaskManager } from "opencode-goalkeeper";

export default {
  id: "run-author",
  server: async ({ client, directory }) => {
    const tasks = createTaskManager({ client, directory, key: "run-author" });
    return {
      event: async ({ event }) => tasks.event(event),
      dispose: async () => tasks.dispose(),
      tool: {
        review_later: tool({
          description: "Sends a reviewer off. You are told when it has ended.",
          args: { subject: tool.schema.string() },
          execute: async ({ subject }, { sessionID: parentID }) => {
            const { id } = await tasks.launch({
              parentID,
              description: subject,
              prompt: `${subject}: review it`,
            });
            return `Launched ${id}.`;
          },
        }),
      },
    };
  },
} satisfies PluginModule & { id: string };

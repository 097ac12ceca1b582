import { type PluginModule, type ToolContext, tool } from "@opencode-ai/plugin";
import { createTaskManager, isEnded, isLive, type Task, type TaskManager } from "opencode-goalkeeper";

const PATIENCE_MS = 5 * 60_000;

export default {
  id: "second-opinion",
  server: async ({ client, directory }) => {
    const tasks = createTaskManager({ client, directory, key: "second-opinion" });
    tasks.subscribe(({ before, after }) => {
      // A record changes more often than its status: what was failed before is no news.
      if (after?.status !== "failed" || before?.status === "failed") return;
      const message = `the reviewer "${after.title}" failed: ${after.outcome.error?.message}`;
      client.app.log({ body: { service: "second-opinion", level: "warn", message } }).catch(() => undefined);
    });
    return {
      event: async ({ event }) => tasks.event(event),
      dispose: async () => tasks.dispose(),
      tool: { second_opinion: secondOpinion(tasks) },
    };
  },
} satisfies PluginModule;

function secondOpinion(tasks: TaskManager) {
  const { object, string, array } = tool.schema;
  const reviewer = object({
    agent: string().optional().describe('Default: "general"'),
    model: object({ providerID: string(), modelID: string() }).optional().describe("Default: the agent's, or yours"),
  });
  return tool({
    description: "Asks two reviewers the same question. The first one then answers what the second one has said.",
    args: {
      question: string().describe("What to ask. They see nothing of this conversation."),
      reviewers: array(reviewer).max(2).optional().describe("Who is asked"),
    },
    async execute({ question, reviewers = [] }, context) {
      const both = [0, 1].map((index) => ({ ...reviewers[index], description: `opinion ${index + 1}` }));
      // What `launch` throws has a message for the model: a throw of a tool is its result.
      const launched = await Promise.all(
        both.map((wishes) => tasks.launch({ ...wishes, parentID: context.sessionID, prompt: question })),
      );
      const asked = await waitFor(launched, context);
      const opinions = await Promise.all(asked.map(report));
      const [first] = asked;
      const answered =
        first?.status === "completed" ? await waitFor([await followUp(first, opinions, context)], context) : [];
      const answers = await Promise.all(answered.map(report));
      // From here on this result tells them. Whoever has not ended by now is told later, in a message of its own.
      for (const task of [...asked, ...answered]) if (isEnded(task)) tasks.handedOver(task, context);
      return [...opinions, ...answers, stillOwed(context.sessionID)].join("\n\n");
    },
  });

  /** Until all have ended, the time is up or the user interrupts. */
  async function waitFor(launched: readonly Task[], { sessionID, abort }: ToolContext): Promise<readonly Task[]> {
    const options = { timeoutMs: PATIENCE_MS, signal: abort, callerID: sessionID };
    return Promise.all(launched.map(async (task) => (await tasks.wait(task.id, options)) ?? task));
  }

  /** The same session once more, which knows what it has said. */
  async function followUp({ id }: Task, [, other]: readonly string[], context: ToolContext): Promise<Task> {
    const { sessionID: callerID, messageID } = context;
    const prompt = `Another reviewer was asked the same. What do you change in your answer?\n\n${other}`;
    const { task } = await tasks.resume({ taskID: id, callerID, messageID, prompt });
    return task;
  }

  async function report({ id, title, run }: Task): Promise<string> {
    const { status, text, error, reason } = await tasks.output(id);
    const heading = `## ${title}${run.number > 1 ? ", having read the other" : ""} (${id}): ${status}`;
    return [heading, error ?? reason ?? "", text].filter((part) => part !== "").join("\n");
  }

  function stillOwed(sessionID: string): string {
    const working = tasks.owed(sessionID).flatMap(({ task }) => (isLive(task) ? [task.id] : []));
    return working.length === 0
      ? "Nothing is owed any more."
      : `Still at work: ${working.join(", ")}. You will be told when they end.`;
  }
}

import type { ModelRequest, Reply, SessionScript } from "../src/testing/index.ts";

/** How a run of the demo is made: what is asked for, and how patient it is. */
export interface Scenario {
  readonly objective: string;
  /** Until two tasks have ended and the third is all the goal waits for. */
  readonly firstPartMs: number;
  /** From the restart to the end of the goal. */
  readonly secondPartMs: number;
}

export const SCRIPTED: Scenario = {
  objective: "Get release 1.4 ready: tests, preview, changelog.",
  firstPartMs: 5 * 60_000,
  secondPartMs: 5 * 60_000,
};

const SECOND = 1_000;

/** The scripted agent does what a sensible model would do with what it is told; see SYSTEM_TEXT of the plugin. */
export function scriptedAgent(): SessionScript {
  const continuations: string[] = [];
  return {
    root: (request) => rootReply(request, continuations),
    children: {
      "Run the test suite": { text: "All 42 tests pass.", delayMs: 2.5 * SECOND },
      "Check the preview": { error: { status: 401, message: "the preview refused the key" }, delayMs: 5 * SECOND },
      // Works until OpenCode is killed under it.
      "Write the changelog": { hang: true },
    },
  };
}

function rootReply({ lastUserText, toolResults }: ModelRequest, continuations: string[]): Reply {
  const frame = /<goalkeeper kind="([a-z-]+)" id="(msg_\w+)">/.exec(lastUserText);
  const acted = toolResults.length > 0;
  switch (frame?.[1]) {
    case "goal":
      if (acted) return { text: "Three helpers are at work. I end my turn until they report.", delayMs: SECOND / 2 };
      return {
        text: "I hand out the three parts.",
        toolCalls: [
          task("tests", "Run the test suite and report."),
          task("preview", "Check the preview deployment and report."),
          task("changelog", "Write the changelog of 1.4 and report."),
        ],
      };
    case "continuation": {
      const id = frame[2] ?? "";
      if (!continuations.includes(id)) continuations.push(id);
      return continuations.length === 1 ? redo(acted, lastUserText) : finish(acted);
    }
    default:
      return { text: "Noted.", delayMs: SECOND / 2 };
  }
}

/** The first continuation tells what was lost: the agent does that part itself. */
function redo(acted: boolean, told: string): Reply {
  if (acted) return { text: "The lost part is done again.", delayMs: SECOND / 2 };
  const lost = /- "([^"]+)" \(ses_\w+\): LOST/.exec(told)?.[1] ?? "nothing";
  const command = "printf '1.4: goals that finish\\n' > CHANGELOG.md";
  return {
    text: `Lost: ${lost}. I do it myself.`,
    delayMs: SECOND,
    toolCalls: [{ name: "bash", args: { command, description: "Write the changelog" } }],
  };
}

function finish(acted: boolean): Reply {
  if (acted) return "Release 1.4 is ready.";
  const evidence = [
    { claim: "The test task reports 42 passed tests" },
    { claim: "The preview refuses the key; noted for the release notes" },
    { claim: "CHANGELOG.md exists, written again after its task was lost" },
  ];
  return { delayMs: SECOND, toolCalls: [{ name: "update_goal", args: { status: "complete", evidence } }] };
}

function task(description: string, prompt: string) {
  return { name: "background_task", args: { description, prompt } };
}

import {
  createIsolatedOpencode,
  type ModelRequest,
  type OpencodeServer,
  type PluginSpec,
  type Reply,
  type ScriptedModel,
  startScriptedModel,
} from "../src/testing/index.ts";
import { type Extent, type Row, times } from "./table.ts";

const TURNS = 10;
/** In each of these turns the agent sends two tasks off. */
const TASK_TURNS: ReadonlySet<number> = new Set([3, 6]);
const PLUGIN = new URL("../", import.meta.url).href.replace(/\/$/, "");

/**
 * What a goal of ten turns with four tasks costs: model requests of the session, and the tokens of their prompts. The
 * floor is OpenCode without a plugin, with its own background tasks, and a person who types "continue" as soon as nothing
 * works any more: nobody sends less to get ten turns.
 */
export async function benchGoal(extent: Extent): Promise<readonly Row[]> {
  const ours = await pursue([PLUGIN, { no_progress_turns: 0 }]);
  const floor = extent === "full" ? await pursue(undefined) : { requests: Number.NaN, promptTokens: Number.NaN };
  const what = `a goal of ${TURNS} turns with ${TASK_TURNS.size * 2} tasks`;
  const row = (unit: keyof Cost, name: string): Row => ({
    what: `${what}: ${name}`,
    ours: `${ours[unit]}`,
    against: `${floor[unit]} (a person types "continue")`,
    ratio: times(ours[unit], floor[unit]),
    aim: "≤ 1.1×",
  });
  return [row("requests", "model requests"), row("promptTokens", "prompt tokens (4 characters each)")];
}

interface Cost {
  readonly requests: number;
  readonly promptTokens: number;
}

async function pursue(plugin: PluginSpec | undefined): Promise<Cost> {
  const model = await startScriptedModel({
    root: (request) => reply(request, plugin !== undefined),
    children: { "*": { text: "Nothing was found.", delayMs: 200 } },
  });
  const opencode = createIsolatedOpencode({ model, plugins: plugin === undefined ? [] : [plugin] });
  try {
    const server = await opencode.serve({ readyTimeoutMs: 120_000 });
    const { id } = await server.createSession();
    if (plugin === undefined) await continueByHand(server, model, id);
    else {
      await server.client.session.command({ path: { id }, body: { command: "goal", arguments: "review it all" } });
      await model.waitForRequest((request) => text(request.messages.at(-1)).includes("The goal is complete"), {
        timeoutMs: 120_000,
      });
    }
    const requests = ofRoot(model);
    if (model.failures.length > 0) throw new Error(String(model.failures[0]?.error));
    return {
      requests: requests.length,
      promptTokens: Math.round(requests.reduce((sum, { body }) => sum + sizeOf(body), 0) / 4),
    };
  } finally {
    await opencode.dispose();
    await model.close();
  }
}

async function continueByHand(server: OpencodeServer, model: ScriptedModel, id: string): Promise<void> {
  for (let turn = 1; turn <= TURNS; turn++) {
    await server.prompt(id, turn === 1 ? "Review it all." : "continue");
    for (let quiet = 0; quiet < 5; ) {
      const { data } = await server.client.session.status();
      quiet = Object.keys(data ?? {}).length === 0 && prompts(ofRoot(model).at(-1)) === turn ? quiet + 1 : 0;
      await Bun.sleep(100);
    }
  }
}

/** One tool call and one text per turn; a report in between is read in one request more. */
function reply(request: ModelRequest, hasGoal: boolean): Reply {
  const newest = request.messages.at(-1);
  const turn = prompts(request);
  if (newest?.role === "tool") return text(newest).includes("The goal is complete") ? "Done." : `Turn ${turn} is done.`;
  if (!isPrompt(newest)) return "I have read it.";
  if (TASK_TURNS.has(turn))
    return { toolCalls: ["one", "two"].map((name) => sendOff(`${name} of turn ${turn}`, hasGoal)) };
  if (hasGoal && turn === TURNS)
    return {
      toolCalls: [{ name: "update_goal", args: { status: "complete", evidence: [{ claim: "all is reviewed" }] } }],
    };
  return { toolCalls: [{ name: "bash", args: { command: `echo turn ${turn}`, description: "looks" } }] };
}

function sendOff(description: string, hasGoal: boolean) {
  const args = { description, prompt: `Review ${description}.` };
  return hasGoal
    ? { name: "background_task", args }
    : { name: "task", args: { ...args, subagent_type: "general", background: true } };
}

function prompts(request: ModelRequest | undefined): number {
  return request?.messages.filter(isPrompt).length ?? 0;
}

/** What starts a turn of the goal: a person, or a continuation. A report of ended tasks does not. */
function isPrompt(message: ModelRequest["messages"][number] | undefined): boolean {
  if (message?.role !== "user") return false;
  const said = text(message);
  return (
    said !== "" &&
    !said.includes("<task id=") &&
    !said.includes('kind=\\"task-outcome') &&
    !said.includes('kind="task-outcome')
  );
}

function ofRoot(model: ScriptedModel): readonly ModelRequest[] {
  return model.requests.filter(({ kind, parentSessionID }) => kind === "turn" && parentSessionID === undefined);
}

function text(message: ModelRequest["messages"][number] | undefined): string {
  return JSON.stringify(message?.content ?? "");
}

/** What is sent beside the answer's settings: system text, messages and the tools. */
function sizeOf(body: Readonly<Record<string, unknown>>): number {
  return JSON.stringify(body.messages).length + JSON.stringify(body.tools ?? []).length;
}

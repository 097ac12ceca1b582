/** A scripted agent that pursues a goal with tasks: it knows only what stands in its requests, as a model does. */
import type { ModelRequest, Reply, ReplySpec } from "../../src/testing/index.ts";
import type { Random } from "./random.ts";

type Kind = "launched" | "background" | "foreground";

/** One piece of work that the agent hands to a task, and how that goes. */
export interface Work {
  /** Begins the prompt of its task, and stands nowhere else. */
  readonly name: string;
  readonly kind: Kind;
  readonly usesTool: boolean;
  readonly takesMs: number;
}

export interface Plan {
  readonly objective: string;
  readonly works: readonly Work[];
  /** How long a request of the main agent takes. */
  readonly thinksMs: number;
}

export function drawPlan(random: Random, objective: string, prefix: string): Plan {
  const works = Array.from(
    { length: random.between(1, 4) },
    (_, index): Work => ({
      name: `${prefix}${index + 1}`,
      kind: random.pick<Kind>(["launched", "launched", "background", "background", "foreground"]),
      usesTool: random.chance(0.5),
      takesMs: random.between(0, 2_500),
    }),
  );
  return { objective, works, thinksMs: random.between(0, 400) };
}

const COMPLETE = { name: "update_goal", args: { status: "complete", evidence: [{ claim: "all work is done" }] } };
const SHELL = { name: "bash", args: { command: "echo working", description: "works" } };
/** So many continuations in a row that tell nothing of a task: whoever waited for it would wait for ever. */
const MOST_IN_VAIN = 2;

/** Answers the requests of one root and of the tasks below it. */
export class Agent {
  /** What any request has shown: a compaction takes it out of the later ones. */
  private readonly started = new Set<string>();
  private readonly ended = new Set<string>();
  private readonly continuations = new Set<string>();
  private sinceNews = 0;

  constructor(readonly plan: Plan) {}

  /** Works of which nothing was ever told to the agent, and which it has given up. */
  get givenUp(): readonly string[] {
    return [...this.started].filter((name) => !this.ended.has(name));
  }

  reply(request: ModelRequest): Reply {
    return request.parentSessionID === undefined ? this.lead(request) : this.work(request);
  }

  private work({ firstUserText, step }: ModelRequest): ReplySpec {
    const work = this.plan.works.find(({ name }) => firstUserText.startsWith(`${name}:`));
    if (work === undefined) return { text: "Somebody else's work is done.", delayMs: 300 };
    if (work.usesTool && step === 0)
      return { text: `${work.name} begins`, toolCalls: [SHELL], delayMs: work.takesMs / 2 };
    return { text: `${work.name} is done`, delayMs: work.takesMs / 2, chunks: 3, chunkMs: 20 };
  }

  private lead(request: ModelRequest): ReplySpec {
    this.read(request);
    const delayMs = this.plan.thinksMs;
    const next = this.plan.works.find(({ name }) => !this.started.has(name));
    if (next !== undefined) return { toolCalls: [callOf(next)], delayMs };
    const waits = this.givenUp.length > 0 && this.sinceNews < MOST_IN_VAIN;
    // What is refused is tried again in a later turn.
    const isRefused = request.toolResults.some(({ name }) => name === "update_goal");
    return waits || isRefused ? { text: "My turn ends here.", delayMs } : { toolCalls: [COMPLETE], delayMs };
  }

  private read({ messages, lastUserText }: ModelRequest): void {
    const before = this.ended.size;
    const said = messages.map((message) => JSON.stringify(message).replaceAll('\\"', '"')).join("\n");
    for (const { name, kind } of this.plan.works) {
      const calls = messages.flatMap((message) => message.tool_calls ?? []);
      const own = calls.filter(({ function: called }) => called.arguments.includes(`"${name}: do your part"`));
      if (own.length > 0) this.started.add(name);
      const isResult = kind === "foreground" && own.some(({ id }) => isAnswered(messages, id));
      if (isResult || isTold(said, name)) this.ended.add(name);
    }
    const id = /kind="continuation" id="(msg_\w+)"/.exec(lastUserText)?.[1];
    if (this.ended.size > before) this.sinceNews = 0;
    if (id === undefined || this.continuations.has(id)) return;
    this.continuations.add(id);
    if (this.ended.size === before) this.sinceNews++;
  }
}

function callOf({ name, kind }: Work) {
  const args = { description: name, prompt: `${name}: do your part` };
  if (kind === "launched") return { name: "background_task", args };
  const native = { ...args, subagent_type: "general" };
  return { name: "task", args: kind === "background" ? { ...native, background: true } : native };
}

function isAnswered(messages: ModelRequest["messages"], callID: string): boolean {
  return messages.some(
    (message) => message.tool_call_id === callID && JSON.stringify(message.content).includes('state=\\"completed\\"'),
  );
}

function isTold(said: string, name: string): boolean {
  return (
    new RegExp(`"${name}" \\(ses_\\w+\\)(?: \\(run \\d+\\))?: (?:completed|failed|cancelled|LOST)`).test(said) ||
    new RegExp(`Background task (?:completed|failed): ${name}\\b`).test(said)
  );
}

/** One story: some goals in one OpenCode that is killed, or meddled with, at random moments, until all are complete. */
import { Database } from "bun:sqlite";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type ModelRequest,
  type OpencodeServer,
  startScriptedModel,
} from "../../src/testing/index.ts";
import { actOn } from "./acts.ts";
import { Agent, drawPlan } from "./agent.ts";
import { type Evidence, gather, judge, transcriptOf } from "./judge.ts";
import { Random } from "./random.ts";

const PLUGIN = new URL("../../", import.meta.url).href.replace(/\/$/, "");

export interface StoryOptions {
  readonly seed: number;
  /** How often OpenCode is killed, if the goals last as long. */
  readonly kills: number;
  /** How often people and neighbours do something. */
  readonly acts: number;
  /** How many goals there are at once. */
  readonly goals: number;
  /** How long anything may take that is waited for. */
  readonly limitMs: number;
  readonly say?: (line: string) => void;
}

export interface StoryResult {
  readonly kills: number;
  readonly acts: number;
  readonly tasks: number;
  /** Messages that lost their parts. */
  readonly torn: number;
  readonly breaches: readonly string[];
  /** Everything that there is to read about it. */
  readonly report: string;
}

interface Played {
  readonly id: string;
  readonly agent: Agent;
  readonly spoken: string[];
}

/** Runs a story, and leaves nothing behind. */
export async function playStory(options: StoryOptions): Promise<StoryResult> {
  const random = new Random(options.seed);
  /** Half of the stories go on by themselves; in the others a user comes back and writes. */
  const resumes = random.chance(0.5);
  const plans = Array.from({ length: options.goals }, (_, at) => drawPlan(random, `storm ${at + 1}`, `g${at + 1}t`));
  const agents = new Map<string, Agent>();
  const parents = new Map<string, string>();
  const rootOf = (id: string): string => {
    const parent = parents.get(id);
    return parent === undefined ? id : rootOf(parent);
  };
  const model = await startScriptedModel((request: ModelRequest) => {
    if (request.parentSessionID !== undefined) parents.set(request.sessionID, request.parentSessionID);
    return agents.get(rootOf(request.sessionID))?.reply(request) ?? "Nobody waits for this.";
  });
  const ours = {
    resume_on_start: resumes,
    missing_task_grace_seconds: 1,
    max_auto_turns: 0,
    no_progress_turns: 0,
    debug_log: true,
  };
  const opencode = createIsolatedOpencode({ model, plugins: [[PLUGIN, ours]] });
  try {
    const drawn = plans.map((plan) => new Agent(plan));
    return await new Storm(options, random, resumes, opencode).run(drawn, agents, () => model.requests);
  } finally {
    await opencode.dispose();
    await model.close();
  }
}

class Storm {
  private readonly startedAt = Date.now();
  private readonly log: string[] = [];
  private server!: OpencodeServer;
  private played: Played[] = [];
  private kills = 0;
  private acts = 0;
  private words = 0;

  constructor(
    private readonly options: StoryOptions,
    private readonly random: Random,
    private readonly resumes: boolean,
    private readonly opencode: IsolatedOpencode,
  ) {}

  async run(
    drawn: readonly Agent[],
    agents: Map<string, Agent>,
    requests: () => readonly ModelRequest[],
  ): Promise<StoryResult> {
    const breaches: string[] = [];
    const evidence: Evidence[] = [];
    this.note(this.resumes ? "goes on by itself after a start" : "sleeps after a start, until the user writes");
    try {
      await this.start();
      for (const agent of drawn) {
        const { id } = await this.server.createSession();
        agents.set(id, agent);
        this.played.push({ id, agent, spoken: [] });
        this.note(`${id}: ${agent.plan.works.map(({ name, kind }) => `${name} ${kind}`).join(", ")}`);
      }
      for (const { id, agent } of this.played) this.command(id, agent.plan.objective);
      await this.disturb();
      await this.finish();
      for (const { id, spoken } of this.played) evidence.push(await gather(this.server, id, requests(), spoken));
    } catch (error) {
      breaches.push(error instanceof Error ? error.message : String(error));
      for (const { id, spoken } of this.played) {
        const seen = await gather(this.server, id, requests(), spoken).catch(() => undefined);
        if (seen !== undefined) evidence.push(seen);
      }
    }
    for (const seen of evidence) breaches.push(...judge(seen, this.acts > 0));
    const torn = evidence.flatMap(({ messages }) => messages.filter(isTorn)).length;
    const tasks = evidence.reduce((sum, { children }) => sum + children.length, 0);
    const report = breaches.length === 0 ? "" : this.report(breaches, evidence);
    return { kills: this.kills, acts: this.acts, tasks, torn, breaches, report };
  }

  /** Kills and acts, at random moments, while any goal lasts. */
  private async disturb(): Promise<void> {
    const left = [
      ...Array.from({ length: this.options.kills }, () => "kill" as const),
      ...Array.from({ length: this.options.acts }, () => "act" as const),
    ];
    while (left.length > 0) {
      const [what] = left.splice(this.random.between(0, left.length - 1), 1);
      if (what === "kill") {
        await this.untilMoment();
        await this.kill();
      } else {
        await Bun.sleep(this.random.between(50, 900));
        const { id, spoken } = this.random.pick(this.played);
        const act = await actOn({
          server: this.server,
          rootID: id,
          random: this.random,
          say: (text) => spoken.push(text),
        });
        this.acts++;
        this.note(`${act} in ${id}`);
      }
      if (await this.isOver()) return this.note("every goal is complete");
    }
  }

  private async start(): Promise<void> {
    this.server = await this.opencode.serve({ readyTimeoutMs: this.options.limitMs });
  }

  /** After a while, or in the moment between a message and its parts, if there is one soon. */
  private async untilMoment(): Promise<void> {
    const ms = this.random.between(0, 4_000);
    if (this.random.chance(0.5)) return Bun.sleep(ms);
    const until = Date.now() + ms;
    using database = new Database(join(this.opencode.root, "data/opencode/opencode.db"), { readonly: true });
    database.run("pragma busy_timeout = 1000");
    while (Date.now() < until && !this.isTearing(database)) await Bun.sleep(3);
  }

  private isTearing(database: Database): boolean {
    const ids = this.played.map(({ id }) => id);
    const holes = ids.map(() => "?").join(", ");
    const found = database
      .query(
        `select count(*) as count from message where session_id in (${holes}) and time_created > ? and json_extract(data, '$.role') = 'user' and not exists (select 1 from part where message_id = message.id)`,
      )
      .get(...ids, Date.now() - 2_000) as { count: number };
    return found.count > 0;
  }

  private async kill(): Promise<void> {
    const signal = this.random.chance(0.7) ? "SIGKILL" : "SIGTERM";
    this.kills++;
    this.note(`${signal}, kill ${this.kills}`);
    await (signal === "SIGKILL" ? this.server.kill() : this.server.stop());
    await this.start();
    // The directory is opened by the first request.
    await this.server.client.session.list();
    this.note("started again");
    if (!this.resumes) for (const { id, spoken } of this.played) this.wake(id, spoken);
  }

  /** The user comes back. */
  private wake(id: string, spoken: string[]): void {
    if (this.random.chance(0.3)) return this.command(id, "resume");
    const text = `go on (word ${++this.words})`;
    spoken.push(text);
    this.server.prompt(id, text).catch(ignore);
  }

  private command(id: string, args: string): void {
    this.server.client.session.command({ path: { id }, body: { command: "goal", arguments: args } }).catch(ignore);
  }

  /** Nothing more happens but that the user comes back to a goal that sleeps or is paused. */
  private async finish(): Promise<void> {
    const deadline = Date.now() + this.options.limitMs;
    let askAt = Date.now() + 8_000;
    while (!(await this.isOver())) {
      if (Date.now() > deadline)
        throw new Error(`not every goal is complete after ${this.options.limitMs} ms of quiet`);
      if (Date.now() > askAt) {
        askAt = Date.now() + 8_000;
        for (const { id } of this.played) if (await this.needsUser(id)) this.command(id, "resume");
      }
      await Bun.sleep(100);
    }
    // What is said at the end of a turn is written down by then.
    for (const { id } of this.played) await this.untilIdle(id, deadline);
  }

  /** A command that never reached OpenCode is said again. */
  private async needsUser(id: string): Promise<boolean> {
    const { goal } = await this.books(id);
    if (goal === undefined) {
      const agent = this.played.find((played) => played.id === id)?.agent;
      if (agent !== undefined) this.command(id, agent.plan.objective);
      return false;
    }
    return goal.status !== "complete" && (!this.resumes || goal.status !== "active") && !(await this.isBusy(id));
  }

  private async isOver(): Promise<boolean> {
    for (const { id } of this.played) if ((await this.books(id)).goal?.status !== "complete") return false;
    return true;
  }

  private async books(id: string): Promise<{ readonly goal?: { readonly status: string } }> {
    return ((await this.server.metadata(id)).goalkeeper ?? {}) as { readonly goal?: { readonly status: string } };
  }

  private async isBusy(id: string): Promise<boolean> {
    const { data } = await this.server.client.session.status();
    return data?.[id] !== undefined;
  }

  private async untilIdle(id: string, deadline: number): Promise<void> {
    for (let quiet = 0; quiet < 5; quiet = (await this.isBusy(id)) ? 0 : quiet + 1) {
      if (Date.now() > deadline) throw new Error(`${id} never comes to rest`);
      await Bun.sleep(50);
    }
  }

  private note(what: string): void {
    const line = `${((Date.now() - this.startedAt) / 1_000).toFixed(1).padStart(6)} s  ${what}`;
    this.log.push(line);
    this.options.say?.(line);
  }

  private report(breaches: readonly string[], evidence: readonly Evidence[]): string {
    const { seed, kills, acts, goals } = this.options;
    const traces = join(this.opencode.root, "state/opencode-goalkeeper/traces");
    const files = existsSync(traces) ? readdirSync(traces) : [];
    return [
      `seed ${seed}, ${kills} kills, ${acts} acts, ${goals} goals`,
      ...breaches.map((breach) => `BREACH ${breach}`),
      "",
      ...this.log,
      ...evidence.flatMap((seen, at) => ["", `--- ${this.played[at]?.id}`, transcriptOf(seen)]),
      "",
      ...this.opencode
        .readLog()
        .split("\n")
        .filter((line) => line.includes("goalkeeper")),
      ...files.flatMap((file) => ["", `--- trace ${file}`, readFileSync(join(traces, file), "utf8")]),
    ].join("\n");
  }
}

function isTorn({ info, parts }: Evidence["messages"][number]): boolean {
  return info.role === "user" && parts.length === 0;
}

function ignore(): void {
  // OpenCode was killed before it could answer.
}

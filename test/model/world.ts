import type { GoalEvent } from "../../src/goals/goal.ts";
import { HostIds } from "../../src/host/message-id.ts";
import type { Answer, HostEvent, Prompt } from "../../src/host/port.ts";
import type { KeeperConfig } from "../../src/keeper/config.ts";
import { performer } from "../../src/keeper/effects.ts";
import { Keeper } from "../../src/keeper/keeper.ts";
import type { Input, Observation, Saved } from "../../src/keeper/messages.ts";
import type { Owner, StoredRoot } from "../../src/keeper/stored-root.ts";
import { TaskManager } from "../../src/library/task-manager.ts";
import { Launcher } from "../../src/tasks/launcher.ts";
import { readStoredLaunch } from "../../src/tasks/stored-launch.ts";
import { isLive } from "../../src/tasks/task.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { SimulatedHost } from "../../src/testing/simulated-host.ts";
import { Book } from "./book.ts";
import { Ledger, TASK_KEY } from "./ledger.ts";
import { Tools } from "./tools.ts";

export const CONFIG: KeeperConfig = {
  timing: { graceMs: 5_000, cleanupDelayMs: 600_000, ceilingMs: 900_000, staleMs: 600_000 },
  gate: { autoContinue: true, maxTaskBlockMs: 900_000, restrictedAgents: ["plan"] },
  command: "goal",
  limits: { budget: { turns: 25, tokens: 0, ms: 0 }, maxPromptFailures: 3, noProgressTurns: 0 },
  concurrency: 5,
  cancelOnInterrupt: true,
  reportHoldMs: 900_000,
  hasReadTool: true,
};

export interface WorldOptions {
  readonly config?: KeeperConfig;
  /** How long the root's turns take; undefined: until a test ends them. */
  readonly rootTurnMs?: number | undefined;
}

/** Launched tasks are nested no deeper. */
export const MAX_DEPTH = 3;

/** What one keeper was told and what it did, for the replay. */
export interface Life {
  readonly instance: string;
  /** Signs of life are no inputs, but a replay needs them. */
  readonly inputs: {
    readonly at: number;
    readonly input: Input | { readonly type: "sign"; readonly sessionID: string };
  }[];
  readonly observations: Observation[];
}

const MOST_PROMPTS = 300;

export type Disturbance = "drop" | "duplicate" | "delay";

/**
 * The whole plugin without a process: keeper, performer and store on a simulated host, with everything that the
 * invariants need recorded at the edges. A restart makes a new keeper from what the host has stored.
 */
export class World {
  readonly clock = new SimulatedClock();
  readonly host: SimulatedHost;
  readonly lives: Life[] = [];
  readonly book: Book;
  readonly ledger: Ledger;
  readonly tools: Tools;
  readonly config: KeeperConfig;
  rootTurnMs: number | undefined;
  childTurnMs: number | undefined;
  keeper: Keeper;
  /** Launches, reads and cancels; of the same life as {@link keeper}. */
  tasks: TaskManager;
  private readonly disturbances = new Map<HostEvent["type"], Disturbance[]>();

  constructor(options: WorldOptions = {}) {
    this.config = options.config ?? CONFIG;
    this.rootTurnMs = options.rootTurnMs;
    this.host = new SimulatedHost({
      clock: this.clock,
      onEvent: (event) => this.hear(event),
      onChatMessage: (message) => this.chatMessage(message),
      onDispose: () => this.tasks.dispose(),
      turnMs: (sessionID) => (this.host.isRoot(sessionID) ? this.rootTurnMs : this.childTurnMs),
    });
    this.book = new Book(this);
    this.ledger = new Ledger(this);
    this.tools = new Tools(this);
    this.keeper = this.newKeeper();
    this.tasks = this.newTasks();
  }

  get life(): Life {
    const life = this.lives.at(-1);
    if (life === undefined) throw new Error("no keeper has lived yet");
    return life;
  }

  // What people do

  goal(rootID: string, event: GoalEvent): void {
    this.book.goalEvent(rootID, event);
    this.keeper.dispatch({ type: "goal", rootID, event });
  }

  setGoal(rootID: string, objective = "make it work"): void {
    // The command comes with a message of the user's.
    this.book.woken(rootID);
    this.keeper.dispatch({ type: "wake", rootID });
    this.goal(rootID, { type: "set", id: `goal_${this.clock.now()}`, objective });
  }

  resume(rootID: string): void {
    this.book.woken(rootID);
    this.keeper.dispatch({ type: "wake", rootID });
    const liveTaskIDs = this.keeper
      .tasks(rootID)
      .filter(isLive)
      .map((task) => task.id);
    this.goal(rootID, { type: "resume", liveTaskIDs });
  }

  // What happens to the process

  async killAndRestart(awake: boolean, downMs = 1_000): Promise<void> {
    this.ledger.dying();
    this.host.kill();
    this.tools.forget();
    this.tasks.dispose();
    await this.clock.advance(downMs);
    await this.begin(awake);
  }

  async reload(awake: boolean): Promise<void> {
    this.tools.forget();
    this.host.dispose();
    await this.clock.advance(50);
    this.ledger.dying();
    await this.begin(awake);
  }

  private async begin(awake: boolean): Promise<void> {
    this.host.start();
    this.disturbances.clear();
    // A host that had told before it was killed, and a keeper that had not written it down yet.
    this.book.excuseAll();
    this.keeper = this.newKeeper();
    this.tasks = this.newTasks();
    this.book.restarted(awake);
    for (const stored of this.storedRoots()) {
      this.keeper.dispatch({ type: "restored", stored, awake, elsewhere: [] });
    }
    await this.clock.settle();
  }

  storedRoots(): readonly StoredRoot[] {
    return this.host.rootIDs().flatMap((id) => this.stored(id) ?? []);
  }

  /** What a new process finds; a copy that a fork brought along is not its own. */
  stored(rootID: string): StoredRoot | undefined {
    const key = this.host.metadata(rootID).goalkeeper;
    if (key === undefined) return undefined;
    const stored = JSON.parse(JSON.stringify(key)) as StoredRoot;
    return stored.self === rootID ? stored : undefined;
  }

  // Disturbances between the host and the keeper

  /** The next event of this type is dropped, doubled, or arrives 40 ms late (and so behind others). */
  disturb(type: HostEvent["type"], how: Disturbance): void {
    const queue = this.disturbances.get(type);
    if (queue === undefined) this.disturbances.set(type, [how]);
    else queue.push(how);
  }

  /** A session and all below it; what stands in their transcripts is counted before it is gone. */
  deleteSession(sessionID: string): void {
    this.ledger.deleting(sessionID);
    this.host.deleteSession(sessionID);
  }

  /** From now on the host is truthful and nothing gets lost. */
  calm(): void {
    this.disturbances.clear();
    this.ledger.trusted();
    this.host.chatMessageMs = 0;
    for (const call of Object.keys(this.host.faults)) delete this.host.faults[call as keyof typeof this.host.faults];
    this.host.fates.length = 0;
    this.host.hostTellsAfterMs = 3;
  }

  sign(sessionID: string): void {
    this.life.inputs.push({ at: this.clock.now(), input: { type: "sign", sessionID } });
    this.keeper.manager.signs.mark(sessionID, this.clock.now());
  }

  private hear(event: HostEvent): void {
    if (event.type === "session-idle") this.tools.turnOver(event.sessionID);
    // That a root is gone is never missed for good: its next prompt says so.
    const isVital = event.type === "session-deleted" && event.parentID === undefined;
    const how = isVital ? undefined : this.disturbances.get(event.type)?.shift();
    if (event.type === "user-text" && event.told !== undefined) {
      const late = this.host.hostTellsAfterMs === "never" || this.host.hostTellsAfterMs > 2_000;
      if (late || how === "drop" || how === "delay") this.book.excused.add(event.told.taskID);
    }
    switch (how) {
      case "drop":
        return;
      case "duplicate":
        this.pass(event);
        return this.pass(event);
      case "delay": {
        const { instance } = this.life;
        const sessionID = event.type === "session-seen" ? event.session.id : event.sessionID;
        // Nothing is said about a session after its deletion.
        this.clock.after(40, () => {
          if (instance === this.life.instance && this.host.exists(sessionID)) this.pass(event);
        });
        return;
      }
      case undefined:
        return this.pass(event);
    }
  }

  private pass(event: HostEvent): void {
    if (event.type !== "session-seen") this.sign(event.sessionID);
    this.book.heard(event);
    this.ledger.heard(event);
    this.keeper.dispatch({ type: "host", event });
  }

  private chatMessage(message: { sessionID: string; messageID: string; synthetic: boolean }): readonly string[] {
    const { sessionID: rootID, messageID, synthetic } = message;
    if (synthetic || this.keeper.root(rootID) === undefined) return [];
    this.book.woken(rootID);
    this.keeper.dispatch({ type: "user-speaks", rootID });
    const notice = this.keeper.pendingNotice(rootID);
    if (notice === undefined) return [];
    this.keeper.dispatch({ type: "handed-over", rootID, messageID });
    return [notice];
  }

  private newKeeper(): Keeper {
    const instance = `instance-${this.lives.length + 1}`;
    const life: Life = { instance, inputs: [], observations: [] };
    this.lives.push(life);
    const { clock, config } = this;
    const keeper: Keeper = new Keeper({
      clock,
      config,
      owner: ownerOf(instance),
      runner: instance,
      ids: idsOf(clock),
      adopts: true,
      onForgotten: (rootID) => this.book.forgotten(rootID),
      perform: (effect) => perform(effect),
      observe: (observation) => {
        if (observation.type === "input") life.inputs.push({ at: clock.now(), input: observation.input });
        life.observations.push(observation);
        this.book.observed(observation);
        this.ledger.observed(observation);
        this.tasks.observed(observation);
      },
    });
    const perform = performer({
      host: watched(this),
      store: { save: (stored) => this.save(stored), taken: async () => undefined },
      reread: async () => undefined,
      task: (taskID) => keeper.manager.get(taskID),
      storedPrompt: (taskID, promptID) => this.storedPrompt(taskID, promptID),
      isDisposed: () => keeper.isDisposed,
      dispatch: (input) => keeper.dispatch(input),
    });
    return keeper;
  }

  /** As `assemble()` wires them. */
  private newTasks(): TaskManager {
    const { clock, host, keeper } = this;
    const launcher = new Launcher({
      host,
      // Ids of its own: a replay of what the keeper was told makes none for the launcher.
      ids: idsOf(clock),
      now: () => clock.now(),
      metadataKey: TASK_KEY,
      maxDepth: MAX_DEPTH,
      unstableModels: [],
      books: {
        get: (taskID) => keeper.manager.get(taskID),
        begin: async (rootID) => {
          if (keeper.root(rootID)?.presence.kind !== "asleep") return;
          this.book.woken(rootID);
          keeper.dispatch({ type: "wake", rootID });
        },
        see: (session) => {
          if (keeper.manager.tree.get(session.id) !== undefined) return;
          keeper.dispatch({ type: "host", event: { type: "session-seen", session, created: false } });
        },
        voice: (sessionID) => keeper.root(sessionID)?.voice,
        launched: (rootID, task, requestedAt, stopped) =>
          keeper.dispatch({ type: "launched", rootID, task, requestedAt, stopped }),
        resume: (task) => keeper.dispatch({ type: "resume", rootID: keeper.rootOf(task.taskID), ...task }),
      },
    });
    const tasks = new TaskManager({
      clock,
      keeper,
      launcher,
      host,
      receive: () => undefined,
      onDispose: () => keeper.dispose(),
    });
    return tasks;
  }

  private async storedPrompt(taskID: string, promptID: string): Promise<Answer<string>> {
    const session = await this.host.session(taskID);
    if (session.kind !== "known") return session;
    const stored = readStoredLaunch(session.value.metadata[TASK_KEY]);
    return stored?.promptID === promptID
      ? { kind: "known", value: stored.prompt }
      : { kind: "unknown", reason: "it is not stored" };
  }

  private async save(stored: StoredRoot): Promise<Saved> {
    const written = JSON.parse(JSON.stringify(stored)) as StoredRoot;
    const answer = await this.host.writeMetadata(stored.self, { goalkeeper: written });
    // Also where the answer got lost.
    const found = this.host.exists(stored.self) ? this.stored(stored.self) : undefined;
    const isTheSame = found?.revision === written.revision && found.owner.instance === written.owner.instance;
    if (isTheSame) this.ledger.saved(written);
    if (answer.kind === "known") return { kind: "ok" };
    // A 404 for a session that is there would be a lie that ends everything.
    return this.host.exists(stored.self) ? { kind: "failed", reason: answer.kind } : { kind: "gone" };
  }
}

export function ownerOf(instance: string): Owner {
  return { host: "here", pid: 1, processStartedAt: 1, instance };
}

/** Ids that a replay makes again: their random part is none. */
export function idsOf(clock: { now(): number; after(delayMs: number, ring: () => void): () => void }): HostIds {
  return new HostIds(clock, () => 0);
}

/**
 * The host as the performer sees it. The book hears of every prompt of a root, and of every question about a session,
 * before it is sent and after it is answered.
 */
function watched({ host, book, ledger }: World): SimulatedHost {
  return new Proxy(host, {
    get(target, key) {
      if (key === "abort") {
        return (sessionID: string) => {
          ledger.aborting(sessionID);
          return target.abort(sessionID);
        };
      }
      if (key === "session") {
        return async (sessionID: string) => {
          book.askedFor(sessionID);
          const answer = await target.session(sessionID);
          if (answer.kind === "known") book.shown(sessionID);
          return answer;
        };
      }
      if (key !== "prompt") {
        const value = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (prompt: Prompt) => {
        // Prompts without end are a breach, and must not become a test without end.
        if (target.prompts.length > MOST_PROMPTS) {
          book.breaches.push(`I1: more than ${MOST_PROMPTS} prompts in one story`);
          return new Promise(() => undefined);
        }
        ledger.prompting(prompt);
        if (!target.isRoot(prompt.sessionID)) return target.prompt(prompt);
        book.prompting(prompt);
        const answer = await target.prompt(prompt);
        book.prompted(prompt, answer);
        return answer;
      };
    },
  });
}

import { frame } from "../../src/delivery/frame.ts";
import type { GoalEvent } from "../../src/goals/goal.ts";
import { AgentJudge } from "../../src/host/agent-judge.ts";
import { HostIds } from "../../src/host/message-id.ts";
import { OwnAborts } from "../../src/host/own-aborts.ts";
import type { Answer, HostEvent, Prompt } from "../../src/host/port.ts";
import { RunHold } from "../../src/host/run-hold.ts";
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
import { AGENTS } from "../support/agents.ts";
import { CONFIG } from "../support/keeper-config.ts";
import { Book } from "./book.ts";
import { Ledger, TASK_KEY } from "./ledger.ts";
import { ModelHost } from "./model-host.ts";
import { Pursuit } from "./pursuit.ts";
import { RunHost } from "./run-host.ts";
import { RunJudge } from "./run-judge.ts";
import { Tools } from "./tools.ts";

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

interface ChatMessage {
  readonly sessionID: string;
  readonly messageID: string;
  readonly synthetic: boolean;
}

const MOST_PROMPTS = 300;
const EXITS_AFTER_MS = 20;
const STORED_WITHIN_MS = 2_000;
/** An answer of the host, as the simulated calls take it. */
const ASKED_MS = 4;

export type LateNews = "nothing" | "the end" | "everything";
/** A turn of the next message may be at work by then. */
const LATE_END_MS = 300;

export type Disturbance = "drop" | "duplicate" | "delay";

/**
 * The whole plugin without a process: keeper, performer and store on a simulated host, with everything that the
 * invariants need recorded at the edges. A restart makes a new keeper from what the host has stored.
 */
export class World {
  readonly clock = new SimulatedClock();
  readonly host: ModelHost;
  readonly lives: Life[] = [];
  readonly book: Book;
  readonly ledger: Ledger;
  readonly pursuit: Pursuit;
  readonly tools: Tools;
  readonly runJudge: RunJudge;
  readonly config: KeeperConfig;
  rootTurnMs: number | undefined;
  childTurnMs: number | undefined;
  /** The hooks that hold a turn of `opencode run`. */
  runHold!: RunHold;
  /** Of `opencode run`: `exiting` from the first idle of its root. */
  process: "runs" | "exiting" | "over" = "runs";
  /** Writes that are under way. */
  writing = 0;
  /** What the user's own completion check will say; undefined: there is none. */
  checkPasses: boolean | undefined;
  keeper: Keeper;
  agents: AgentJudge;
  /** Launches, reads and cancels; of the same life as {@link keeper}. */
  tasks: TaskManager;
  private processes = 1;
  private readonly ownAborts = new OwnAborts();
  private readonly disturbances = new Map<HostEvent["type"], Disturbance[]>();

  constructor(options: WorldOptions = {}) {
    this.config = options.config ?? CONFIG;
    this.rootTurnMs = options.rootTurnMs;
    const host = {
      clock: this.clock,
      onEvent: (event: HostEvent) => this.hear(event),
      onChatMessage: (message: ChatMessage) => this.chatMessage(message),
      onDispose: () => this.tasks.dispose(),
      turnMs: (sessionID: string) => (this.host.isRoot(sessionID) ? this.rootTurnMs : this.childTurnMs),
    };
    const hooks = () => this.runHold;
    const isRun = this.config.run !== undefined;
    this.host = isRun ? new RunHost({ ...host, hooks, onIdle: () => this.exits() }) : new ModelHost(host);
    this.host.onUndoFinal = (sessionID, undoneFrom) => {
      this.ledger.undoing(sessionID, undoneFrom);
      this.pursuit.undoing(sessionID);
    };
    this.host.knownAgents = AGENTS;
    this.book = new Book(this);
    this.ledger = new Ledger(this);
    this.pursuit = new Pursuit(this);
    this.tools = new Tools(this);
    this.runJudge = new RunJudge(this);
    this.keeper = this.newKeeper();
    this.agents = this.newAgents();
    this.tasks = this.newTasks();
  }

  get life(): Life {
    const life = this.lives.at(-1);
    if (life === undefined) throw new Error("no keeper has lived yet");
    return life;
  }

  // What people do

  goal(rootID: string, event: GoalEvent): void {
    this.keeper.dispatch({ type: "goal", rootID, event });
  }

  setGoal(rootID: string, objective = "make it work"): void {
    this.goal(rootID, { type: "set", id: `goal_${this.clock.now()}`, objective });
    // The command comes with a message of the user's. Nothing is said for the goal before.
    this.keeper.dispatch({ type: "wake", rootID });
  }

  resume(rootID: string): void {
    this.keeper.dispatch({ type: "wake", rootID });
    const liveTaskIDs = this.keeper
      .tasks(rootID)
      .filter(isLive)
      .map((task) => task.id);
    this.goal(rootID, { type: "resume", liveTaskIDs });
  }

  // What happens to the process

  /** `tears`: between the last messages and their parts. */
  async killAndRestart(awake: boolean, tears = false, downMs = 1_000): Promise<void> {
    this.dying();
    this.host.kill(tears);
    this.processes++;
    this.tools.forget();
    this.tasks.dispose();
    await this.clock.advance(downMs);
    await this.begin(awake);
  }

  /** Ctrl-C in `opencode run`. */
  interruptRun(tears = false): void {
    if (this.process === "over") return;
    this.dying();
    this.host.kill(tears);
    this.tools.forget();
    this.tasks.dispose();
    this.process = "over";
  }

  /** OpenCode disposes of what is left once that is written. */
  exits(): void {
    if (this.process !== "runs") return;
    this.process = "exiting";
    this.runJudge.exits();
    const { life, keeper } = this;
    const dispose = () => {
      if (life !== this.life || this.process !== "exiting") return;
      this.dying();
      this.tools.forget();
      this.host.dispose();
      this.process = "over";
    };
    this.clock.after(EXITS_AFTER_MS, () => {
      const cancel = this.clock.after(STORED_WITHIN_MS, dispose);
      void keeper.allStored().then(() => {
        cancel();
        dispose();
      });
    });
  }

  /** The next `opencode run` in the same session. */
  async runsAgain(): Promise<void> {
    if (this.process !== "over") return;
    await this.clock.advance(1_000);
    this.process = "runs";
    this.processes++;
    this.runJudge.begins();
    await this.begin(false);
  }

  /** `hears`: what the new instance is told of the turns that ended with the old one. */
  async reload(awake: boolean, hears: LateNews = "nothing"): Promise<void> {
    this.tools.forget();
    const late = this.host.dispose();
    await this.clock.advance(50);
    this.dying();
    await this.begin(awake);
    if (hears === "everything") for (const { abort } of late) this.hearLate(abort);
    if (hears === "nothing") return;
    const { life } = this;
    this.clock.after(LATE_END_MS, () => {
      if (life === this.life) for (const { end } of late) this.hearLate(end);
    });
  }

  /** No news for those who judge: they know that the turn has ended. */
  private hearLate(events: readonly HostEvent[]): void {
    for (const event of events) {
      if (event.type === "session-seen" || !this.host.exists(event.sessionID)) continue;
      this.sign(event.sessionID);
      this.keeper.dispatch({ type: "host", event });
    }
  }

  private dying(): void {
    this.ledger.dying();
    this.pursuit.dying();
  }

  private async begin(awake: boolean): Promise<void> {
    this.writing = 0;
    this.host.start();
    this.disturbances.clear();
    // A host that had told before it was killed, and a keeper that had not written it down yet.
    this.book.excuseAll();
    this.keeper = this.newKeeper();
    this.agents = this.newAgents();
    this.tasks = this.newTasks();
    this.book.restarted(awake);
    for (const stored of this.storedRoots()) {
      this.keeper.dispatch({ type: "restored", stored, awake, elsewhere: [] });
      const session = this.host.info(stored.self);
      // As the loader does.
      if (session.undone)
        this.keeper.dispatch({ type: "host", event: { type: "session-seen", session, created: false } });
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
    this.host.storesFailureAfterMs = 20;
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
    if (event.type === "session-error" && (how === "drop" || how === "delay")) this.pursuit.isMuddled = true;
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
    this.pursuit.heard(event);
    if (this.config.run !== undefined) this.runJudge.heard(event);
    this.keeper.dispatch({ type: "host", event: this.ownAborts.named(event) });
    // As the hook does that hears of a message before it is stored.
    const isJudged = event.type === "user-message" && this.keeper.goal(event.sessionID)?.status === "active";
    if (isJudged) void this.agents.judge(event.sessionID, event.voice?.agent);
  }

  private chatMessage(message: ChatMessage): readonly string[] {
    const { sessionID: rootID, messageID, synthetic } = message;
    if (synthetic || this.keeper.root(rootID) === undefined) return [];
    // A prompt of `opencode run` wakes the session when it is heard, and not the goal.
    if (this.config.run === undefined) this.keeper.dispatch({ type: "user-speaks", rootID });
    const notice = this.keeper.pendingNotice(rootID);
    if (notice === undefined) return [];
    this.keeper.dispatch({ type: "handed-over", rootID, messageID });
    return [frame("task-outcome", messageID, notice)];
  }

  /** Of `opencode run`: what the hooks show of a turn. */
  private passTurn(event: HostEvent): void {
    this.book.heard(event);
    this.pursuit.heard(event);
    this.runJudge.heard(event);
  }

  private newKeeper(): Keeper {
    const instance = `${this.processes}-${this.lives.length + 1}`;
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
        this.pursuit.observed(observation);
        this.tasks.observed(observation);
      },
    });
    this.runHold = new RunHold({
      taken: async () => undefined,
      announce: () => undefined,
      keeper: {
        goal: (rootID) => keeper.goal(rootID),
        lastOf: (sessionID, messageIDs) => keeper.lastOf(sessionID, messageIDs),
        root: (rootID) => keeper.root(rootID),
        dispatch: (input) => {
          if (input.type === "host") this.passTurn(input.event);
          keeper.dispatch(input);
        },
      },
    });
    const { runHold } = this;
    const perform = performer({
      host: watched(this),
      aborting: (sessionID, messageID) => this.ownAborts.begin(sessionID, messageID),
      release: (rootID) => runHold.release(rootID),
      store: { save: (stored) => this.save(stored), taken: () => this.asked() },
      reread: async () => undefined,
      task: (taskID) => keeper.manager.get(taskID),
      storedPrompt: (taskID, promptID) => this.storedPrompt(taskID, promptID),
      maySend: (rootID, messageID) => keeper.maySend(rootID, messageID),
      isDisposed: () => keeper.isDisposed,
      owner: ownerOf(instance),
      loadedAt: clock.now(),
      dispatch: (input) => keeper.dispatch(input),
    });
    return keeper;
  }

  /** Nobody else has taken the root over. To ask takes as long as any call. */
  private asked(): Promise<undefined> {
    return new Promise((resolve) => this.clock.after(ASKED_MS, () => resolve(undefined)));
  }

  private newAgents(): AgentJudge {
    const { host, keeper } = this;
    return new AgentJudge({ host, keeper });
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
    const { runHold } = this;
    const tasks = new TaskManager({
      clock,
      keeper,
      launcher,
      host,
      receive: () => undefined,
      onDispose: () => {
        runHold.dispose();
        keeper.dispose();
      },
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
    this.writing++;
    const answer = await this.host.writeMetadata(stored.self, { goalkeeper: written });
    this.writing--;
    // Also where the answer got lost. Looked at, not copied: that is done at each write of each story.
    const found = this.host.exists(stored.self)
      ? (this.host.metadata(stored.self).goalkeeper as StoredRoot | undefined)
      : undefined;
    const isTheSame =
      found?.self === written.self &&
      found.revision === written.revision &&
      found.owner.instance === written.owner.instance;
    if (isTheSame) this.ledger.saved(written);
    if (answer.kind === "known") return { kind: "ok" };
    // A 404 for a session that is there would be a lie that ends everything.
    return this.host.exists(stored.self) ? { kind: "failed", reason: answer.kind } : { kind: "gone" };
  }
}

/** Of a life in a process: both are counted. */
export function ownerOf(instance: string): Owner {
  return { host: "here", pid: Number.parseInt(instance, 10), processStartedAt: 1, instance };
}

/** Ids that a replay makes again: their random part is none. */
export function idsOf(clock: { now(): number; after(delayMs: number, ring: () => void): () => void }): HostIds {
  return new HostIds(clock, () => 0);
}

/**
 * The host as the performer sees it. The book hears of every prompt of a root, and of every question about a session,
 * before it is sent and after it is answered.
 */
function watched({ host, book, ledger, pursuit, runJudge }: World): ModelHost {
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
      if (key !== "prompt" && key !== "deposit") {
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
        pursuit.prompting(prompt);
        runJudge.prompting(prompt);
        const answer = await target.prompt(prompt);
        book.prompted(prompt, answer);
        runJudge.prompted(answer);
        return answer;
      };
    },
  });
}

import { excerpt } from "../delivery/frame.ts";
import type { HoldReason } from "../goals/run-hold.ts";
import { goalState, releaseReason, waitReason } from "../goals/words.ts";
import type { Keeper } from "../keeper/keeper.ts";
import type { Observation } from "../keeper/messages.ts";
import { isEnded, isLive, isOursToTell, type Task } from "../tasks/task.ts";
import { duration } from "../time/duration.ts";
import type { RunMode } from "./run-mode.ts";

export interface RunProgressDependencies {
  readonly mode: RunMode;
  /** Name of the command, as people have to type it. */
  readonly command: string;
  readonly now: () => number;
  readonly stdout: (line: string) => void;
  readonly stderr: (line: string) => void;
  /** The run has not done what it was asked to do. */
  readonly onFailed: () => void;
  /** Runs something once the input that is observed just now has been handled: what follows from it may say it better. */
  readonly afterwards: (work: () => void) => void;
  readonly books: () => Pick<Keeper, "decision" | "goal" | "tasks">;
}

const TITLE_LENGTH = 60;
const REASON_LENGTH = 120;

/**
 * What a person who waits for `opencode run` sees: one line per change, on stderr, where OpenCode shows what it does
 * itself. With `--format json` it is one JSON event per change, among OpenCode's own on stdout, and nothing on stderr.
 */
export class RunProgress {
  private waitsFor = "";
  private heldAt: number | undefined;
  /** The message that is on its way into each root, and has not been answered. */
  private readonly onTheWay = new Set<string>();

  /** Sessions whose last words are said: a failed turn publishes its idle twice. */
  private readonly over = new Set<string>();
  private readonly unwritten = new Set<string>();
  /** Sessions whose goal has used so much that its turn is ended: not done, and not even wrapped up. */
  private readonly cut = new Set<string>();

  constructor(private readonly deps: RunProgressDependencies) {}

  /** Something is wrong with the options: what, what was expected, and what happens now. */
  problem(said: string): void {
    this.say(undefined, "options", said, {});
  }

  observe(observation: Observation): void {
    switch (observation.type) {
      case "hold":
        return this.hold(observation);
      case "goal":
        return this.goal(observation);
      case "task":
        return this.task(observation);
      case "outbox":
        return this.outbox(observation);
      case "input":
        return this.input(observation);
      case "concerns":
      case "decision":
      case "effect":
        return;
    }
  }

  private input({ rootID, input }: Extract<Observation, { type: "input" }>): void {
    if (rootID === undefined) return;
    if (input.type === "host" && input.event.type === "session-idle" && input.event.sessionID === rootID)
      return this.deps.afterwards(() => this.ended(rootID));
    if (input.type !== "saved") return;
    const { result } = input;
    if (result.kind !== "failed") this.unwritten.delete(rootID);
    else if (!this.unwritten.has(rootID)) {
      this.unwritten.add(rootID);
      const what = "goal and tasks of this session could not be stored";
      this.say(rootID, "storage", `${what}; it is tried again: ${result.reason}`, { reason: result.reason });
    }
  }

  private hold({ rootID, hold }: Extract<Observation, { type: "hold" }>): void {
    const now = this.deps.now();
    if (hold.kind === "release") {
      const { heldAt } = this;
      // The next hold of the same wait says nothing new.
      if (hold.why === "nothing-owed") this.waitsFor = "";
      this.heldAt = undefined;
      if (heldAt === undefined || (hold.why !== "ceiling" && hold.why !== "goal-continues")) return;
      const waitedMs = now - heldAt;
      return this.say(rootID, "waited", `waited ${duration(waitedMs)}; ${releaseReason(hold.why)}`, { waitedMs });
    }
    this.heldAt ??= now;
    const live = hold.reasons.filter((reason) => reason.why === "task-live");
    const tasks = live.map(({ taskID: id, title, status }) => ({ id, title, status }));
    const key = JSON.stringify(tasks);
    // How an outcome travels is over in a moment.
    if (key === this.waitsFor || tasks.length === 0) return;
    this.waitsFor = key;
    const until = Number.isFinite(hold.until) ? hold.until : undefined;
    const most = until === undefined ? "" : `, at most ${duration(until - now)} more`;
    this.say(rootID, "waiting", `waiting for ${names(live)}${most}`, {
      tasks,
      ...(until === undefined ? {} : { until }),
    });
  }

  private goal({ rootID, before, after, event }: Extract<Observation, { type: "goal" }>): void {
    if (after === undefined) return;
    const { status, turns } = after;
    // Said at the end: what is ended together with it comes before.
    if (event === "overrun") {
      this.cut.add(rootID);
      return;
    }
    if (event === "continued") {
      // An earlier process has begun it: that is found out by whoever opens the session next.
      if (this.sleeps(rootID)) return;
      return this.say(rootID, "goal", `the goal goes on, turn ${turns + 1}`, { status, turns });
    }
    if (before?.status === status || status === "active" || event === "restored") return;
    // A goal that could not be stored is not found by another process.
    const isKept = status !== "paused" || after.by !== "storage";
    const hint = status === "complete" || !isKept ? "" : `; ${this.goOn(rootID)}`;
    this.say(rootID, "goal", `the goal is ${goalState(after)}${hint}`, { status, turns });
  }

  private task({ rootID, change }: Extract<Observation, { type: "task" }>): void {
    const { before, after, event } = change;
    if (after === undefined || !isEnded(after) || before === undefined || event === "restored") return;
    if (isEnded(before) || after.origin === "foreground") return;
    const { id, title, status } = after;
    const { reason } = why(after);
    // When one was lost is not known: what is known is when that was noticed.
    const time = status === "lost" ? "" : ` after ${duration(after.endedAt - after.run.startedAt)}`;
    const because = reason === undefined ? "" : `: ${excerpt(reason, REASON_LENGTH)}`;
    const said = `${excerpt(title, TITLE_LENGTH)}: ${status}${time}${because}`;
    this.say(rootID, "task", said, { task: { id, title, status, ...(reason === undefined ? {} : { reason }) } });
  }

  private outbox({ rootID, state, message }: Extract<Observation, { type: "outbox" }>): void {
    const keepsGoing = message !== undefined && message.kind !== "task-outcome";
    if (keepsGoing && (state === "sending" || state === "sent")) this.onTheWay.add(rootID);
    else this.onTheWay.delete(rootID);
  }

  /** OpenCode exits now: what works ends with it, and what it has not answered it has taken too late. */
  private ended(rootID: string): void {
    if (this.over.has(rootID)) return;
    this.over.add(rootID);
    this.leaves(rootID, this.deps.books().tasks(rootID));
    if (this.unwritten.has(rootID)) {
      const what = "goal and tasks of this session are not stored as they are now";
      this.say(rootID, "storage", `${what}: the next run finds what could be stored last`, {});
      this.deps.onFailed();
    }
    if (this.onTheWay.delete(rootID)) this.lost(rootID);
    else this.unmet(rootID);
  }

  private leaves(rootID: string, all: readonly Task[]): void {
    const [left, untold] = [all.filter(isLive), all.filter(isOursToTell)];
    if (left.length > 0) {
      const end = left.length === 1 ? "ends" : "end";
      const said = `${count(left.length)} ${end} with OpenCode: ${titles(left)}`;
      this.say(rootID, "left", said, { tasks: left.map(brief) });
    }
    if (untold.length > 0) {
      const said = `the agent was not told how ${count(untold.length)} ended: ${titles(untold)}`;
      this.say(rootID, "untold", said, { tasks: untold.map(brief) });
    }
  }

  private lost(rootID: string): void {
    const why = "OpenCode ended the turn before the message that continues it was stored";
    this.say(rootID, "lost", `${why}; nothing is lost, ${this.goOn(rootID)}`, {});
    this.deps.onFailed();
  }

  /** The goal has come to no end, and nobody pursues it any more. */
  private unmet(rootID: string): void {
    const { books, now } = this.deps;
    const goal = books().goal(rootID);
    if (goal !== undefined && this.cut.has(rootID)) {
      const { status, turns } = goal;
      this.say(rootID, "goal", `the goal is ${goalState(goal)}; ${this.goOn(rootID)}`, { status, turns });
      return this.deps.onFailed();
    }
    if (goal?.status !== "active") return;
    const decision = books().decision(rootID);
    const reasons = decision.kind === "wait" ? decision.reasons.filter(({ why }) => why !== "root-busy") : [];
    const why = reasons.length === 0 ? "" : `: ${reasons.map((reason) => waitReason(reason, now())).join("; ")}`;
    this.say(rootID, "goal", `the goal is still active${why}; ${this.goOn(rootID)}`, {
      status: goal.status,
      turns: goal.turns,
    });
  }

  private sleeps(rootID: string): boolean {
    const decision = this.deps.books().decision(rootID);
    return decision.kind === "wait" && decision.reasons.some(({ why }) => why === "asleep");
  }

  /** By its id: another session may be used until then. */
  private goOn(sessionID: string): string {
    return `to go on: opencode run -s ${sessionID} --command ${this.deps.command} resume`;
  }

  private say(
    sessionID: string | undefined,
    event: string,
    message: string,
    more: Readonly<Record<string, unknown>>,
  ): void {
    const { mode, now, stdout, stderr } = this.deps;
    if (mode.format === "text") return stderr(`goalkeeper: ${message}\n`);
    stdout(`${JSON.stringify({ type: "goalkeeper", timestamp: now(), sessionID, event, message, ...more })}\n`);
  }
}

function names(live: readonly HoldReason[]): string {
  const said = live.map((reason) =>
    reason.why === "task-live" && reason.status !== "running"
      ? `"${excerpt(reason.title, TITLE_LENGTH)}" (${reason.status})`
      : `"${excerpt(reason.title, TITLE_LENGTH)}"`,
  );
  return `${count(live.length)}: ${said.join(", ")}`;
}

function titles(tasks: readonly Task[]): string {
  return tasks.map(({ title }) => `"${excerpt(title, TITLE_LENGTH)}"`).join(", ");
}

function brief({ id, title, status }: Task): Pick<Task, "id" | "title" | "status"> {
  return { id, title, status };
}

function count(tasks: number): string {
  return `${tasks} background task${tasks === 1 ? "" : "s"}`;
}

function why(task: Task): { readonly reason?: string } {
  const reason = isEnded(task) ? (task.outcome.error?.message ?? task.outcome.reason) : undefined;
  return reason === undefined ? {} : { reason };
}

import { excerpt } from "../delivery/frame.ts";
import type { HoldReason } from "../goals/run-hold.ts";
import { goalState, releaseReason } from "../goals/words.ts";
import type { Observation } from "../keeper/messages.ts";
import { isEnded, isLive, type Task } from "../tasks/task.ts";
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
  readonly tasks: (rootID: string) => readonly Task[];
  /** Whether the session has a goal that waits to be woken. */
  readonly sleeps: (rootID: string) => boolean;
}

const TITLE_LENGTH = 60;

/**
 * What a person who waits for `opencode run` sees: one line per change, on stderr, where OpenCode shows what it does
 * itself. With `--format json` it is one JSON event per change, among OpenCode's own on stdout, and nothing on stderr.
 */
export class RunProgress {
  private waitsFor = "";
  private heldAt: number | undefined;
  /** The message that is on its way into each root, and has not been answered. */
  private readonly onTheWay = new Set<string>();

  /** A failed turn publishes its idle twice. */
  private readonly leftBehind = new Set<string>();
  private readonly asleepTold = new Set<string>();

  constructor(private readonly deps: RunProgressDependencies) {}

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
      case "input": {
        const { rootID, input } = observation;
        const isOver = input.type === "host" && input.event.type === "session-idle" && input.event.sessionID === rootID;
        return isOver ? this.ended(input.event.sessionID) : undefined;
      }
      case "decision":
      case "effect":
        return;
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
    if (event === "continued")
      return this.say(rootID, "goal", `the goal goes on, turn ${turns + 1}`, { status, turns });
    if (before?.status === status || status === "active" || event === "restored") return;
    const hint = status === "complete" ? "" : `; to go on: opencode run -c --command ${this.deps.command} resume`;
    this.say(rootID, "goal", `the goal is ${goalState(after)}${hint}`, { status, turns });
  }

  private task({ rootID, change }: Extract<Observation, { type: "task" }>): void {
    const { before, after, event } = change;
    if (after === undefined || !isEnded(after) || before === undefined || event === "restored") return;
    if (isEnded(before) || after.origin === "foreground") return;
    const { id, title, status } = after;
    const said = `${excerpt(title, TITLE_LENGTH)}: ${status} after ${duration(after.endedAt - after.run.startedAt)}`;
    this.say(rootID, "task", said, { task: { id, title, status, ...why(after) } });
  }

  private outbox({ rootID, state, message }: Extract<Observation, { type: "outbox" }>): void {
    const keepsGoing = message !== undefined && message.kind !== "task-outcome";
    if (keepsGoing && (state === "sending" || state === "sent")) this.onTheWay.add(rootID);
    else this.onTheWay.delete(rootID);
  }

  /** OpenCode exits now: what works ends with it, and what it has not answered it has taken too late. */
  private ended(rootID: string): void {
    const left = this.deps.tasks(rootID).filter(isLive);
    if (left.length > 0 && !this.leftBehind.has(rootID)) {
      this.leftBehind.add(rootID);
      const tasks = left.map(({ id, title, status }) => ({ id, title, status }));
      const names = tasks.map(({ title }) => `"${excerpt(title, TITLE_LENGTH)}"`).join(", ");
      const ends = left.length === 1 ? "which ends" : "which end";
      this.say(rootID, "left", `not waited for ${count(left.length)}, ${ends} with OpenCode: ${names}`, { tasks });
    }
    const { command, onFailed, sleeps } = this.deps;
    const goOn = `go on with: opencode run -c --command ${command} resume`;
    if (sleeps(rootID) && !this.asleepTold.has(rootID)) {
      this.asleepTold.add(rootID);
      this.say(rootID, "goal", `a goal sleeps in this session; ${goOn}`, { status: "active" });
    }
    if (!this.onTheWay.delete(rootID)) return;
    const why = "OpenCode ended the turn before the message that continues it was stored";
    this.say(rootID, "lost", `${why}; nothing is lost, ${goOn}`, {});
    onFailed();
  }

  private say(sessionID: string, event: string, message: string, more: Readonly<Record<string, unknown>>): void {
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

function count(tasks: number): string {
  return `${tasks} background task${tasks === 1 ? "" : "s"}`;
}

function why(task: Task): { readonly reason?: string } {
  const reason = isEnded(task) ? (task.outcome.error?.message ?? task.outcome.reason) : undefined;
  return reason === undefined ? {} : { reason };
}

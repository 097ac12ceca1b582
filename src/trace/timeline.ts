import { decisionSaying, goalSaying, holdSaying } from "./goal-words.ts";
import { count, type Saying, taskName } from "./saying.ts";
import type { TraceRecord } from "./schema.ts";
import { askSaying, inputSaying, rootSaying } from "./session-words.ts";
import { taskSaying } from "./task-words.ts";

/** One line of the story that a trace tells. */
export interface TimelineLine extends Required<Saying> {
  /** Since the first record. */
  readonly ms: number;
  /** `main` is the session that the user talks to. */
  readonly who: string;
}

/** The story of a whole trace. */
export function timeline(records: readonly TraceRecord[]): readonly TimelineLine[] {
  const story = new Timeline();
  return [...records.flatMap((record) => [...story.add(record)]), ...story.flush()];
}

/** A reason to wait that is gone sooner than this has kept nobody waiting. */
const WORTH_TELLING_MS = 150;

/** The same, record by record, for a reader that follows a trace while it grows. Of one root. */
export class Timeline {
  private startedAt: number | undefined;
  private readonly names = new Map<string, string>();
  private begun = false;
  private busy = false;
  private turns = 0;
  private outbox = "empty";
  /** The wait that was told last, and the one that is not worth telling yet. */
  private waiting = "";
  private held: { readonly line: TimelineLine; readonly at: number } | undefined;
  /** What is told late must not look as if time went backwards. */
  private toldMs = 0;

  add(record: TraceRecord): readonly TimelineLine[] {
    const startedAt = this.startedAt ?? record.at;
    this.startedAt = startedAt;
    if (record.kind === "task") this.names.set(record.taskID, taskName(record.title));
    const due = this.flush(record.at);
    const who = this.who(record);
    const saying = this.saying(record);
    if (saying === undefined) return due;
    const line = { ms: record.at - startedAt, who, what: saying.what, tone: saying.tone ?? "plain" };
    if (record.kind !== "decision") {
      this.toldMs = line.ms;
      return [...due, line];
    }
    this.held = { line, at: record.at };
    return due;
  }

  /** The wait that has lasted long enough by `now` to be told; a reader that follows calls it now and then. */
  flush(now: number = Number.POSITIVE_INFINITY): readonly TimelineLine[] {
    if (this.held === undefined || now < this.held.at + WORTH_TELLING_MS) return [];
    const { line } = this.held;
    this.held = undefined;
    // A deadline that has come nearer is not another reason.
    const key = line.what.replace(/\(.*?\)/g, "");
    if (key === this.waiting) return [];
    this.waiting = key;
    return [{ ...line, ms: Math.max(line.ms, this.toldMs) }];
  }

  private who(record: TraceRecord): string {
    switch (record.kind) {
      case "start":
      case "stop":
        return "OpenCode";
      case "gap":
        return "trace";
      case "task":
        return this.name(record.taskID);
      case "host":
        return record.event.sessionID === record.root ? "main" : this.name(record.event.sessionID);
      case "input":
        return "taskID" in record.input ? this.name(record.input.taskID) : "main";
      case "goal":
      case "decision":
      case "hold":
      case "outbox":
      case "effect":
      case "again":
      case "known":
      case "forgotten":
      case "rested":
      case "seats":
        return "main";
    }
  }

  private saying(record: TraceRecord): Saying | undefined {
    switch (record.kind) {
      case "start":
        return this.started(record.pid);
      case "stop":
        return stopSaying(record.unread);
      case "gap":
        return { what: `${count(record.dropped, "line")} of the trace could not be written`, tone: "warn" };
      case "host":
        return this.hostSaying(record);
      case "input":
        return inputSaying(record.input);
      case "task":
        return taskSaying(record);
      case "goal":
        this.turns = record.turns;
        return goalSaying(record);
      case "decision":
        this.held = undefined;
        return decisionSaying(record.decision, record.at);
      case "hold":
        return holdSaying(record.hold, record.at);
      case "outbox":
        return this.outboxSaying(record);
      case "effect":
      case "again":
      case "known":
      case "forgotten":
      case "rested":
      case "seats":
        return undefined;
    }
  }

  /** A process that was killed says nothing: the next one does. */
  private started(pid: number): Saying | undefined {
    const isFirst = !this.begun;
    this.begun = true;
    this.busy = false;
    this.waiting = "";
    this.outbox = "empty";
    return isFirst ? undefined : { what: `a new process (${pid}) takes over the books`, tone: "warn" };
  }

  private hostSaying({ at, event, root }: Extract<TraceRecord, { kind: "host" }>): Saying | undefined {
    if (event.sessionID !== root) return askSaying(event);
    if (event.type !== "session-busy" && event.type !== "session-idle") return rootSaying(event, at);
    const isBusy = event.type === "session-busy";
    if (isBusy === this.busy) return undefined;
    this.busy = isBusy;
    this.waiting = "";
    if (isBusy) this.held = undefined;
    return { what: isBusy ? "starts a turn" : "has ended its turn", tone: "dim" };
  }

  private outboxSaying({ state, message }: Extract<TraceRecord, { kind: "outbox" }>): Saying | undefined {
    const before = this.outbox;
    this.outbox = state;
    if (message === undefined) return undefined;
    const names = {
      continuation: `continuation ${this.turns + 1}`,
      wrapup: "the wrap-up",
      "task-outcome": "a report",
      waiting: "a message that keeps the turn open",
    };
    const called = names[message.kind];
    switch (state) {
      case "sending": {
        const about = message.outcomes.map(({ taskID }) => this.name(taskID));
        const tells = about.length === 0 ? "" : `, which tells of ${about.join(", ")}`;
        return { what: `goalkeeper sends ${called}${before === "reserved" ? "" : " again"}${tells}`, tone: "good" };
      }
      case "backing-off":
        return { what: `${called} has started no turn: it is tried again`, tone: "warn" };
      case "unverified":
        return { what: `goalkeeper looks whether ${called}, prepared before, was sent`, tone: "dim" };
      default:
        return undefined;
    }
  }

  private name(sessionID: string): string {
    return this.names.get(sessionID) ?? `session …${sessionID.slice(-6)}`;
  }
}

function stopSaying(unread: Readonly<Record<string, number>> = {}): Saying {
  const dropped = Object.entries(unread).map(([type, times]) => `${type} ${times}×`);
  if (dropped.length === 0) return { what: "stops in good order", tone: "dim" };
  return { what: `stops in good order; events of a shape that was not known: ${dropped.join(", ")}`, tone: "warn" };
}

import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Dropped } from "../host/events.ts";
import type { HostPort } from "../host/port.ts";
import type { Observation } from "../keeper/messages.ts";
import type { Clock } from "../time/clock.ts";
import { knownBefore, newSigns, seatsBeside, startEntry, waitingRoots } from "./known.ts";
import { Repeats } from "./noise.ts";
import { recordOf } from "./record.ts";
import type { KnownSession, TraceEntry } from "./schema.ts";
import { texts } from "./texts.ts";
import { TraceFile } from "./trace-file.ts";

export interface RecorderOptions {
  /** Where the files go, one per root session. Made with mode 0700 if it does not exist. */
  readonly directory: string;
  readonly clock: Clock;
  /** Also prompt, output and error text. */
  readonly withText: boolean;
  readonly log: HostPort["log"];
  /** @default the id of this process */
  readonly pid?: number;
}

export interface Recorder {
  /** Never throws, never waits for anything but the local disk. */
  observe(observation: Observation): void;
  /** Counts a host event that was dropped; the counts stand in the last line of each file. Undefined when traces are off. */
  readonly dropped?: (why: Dropped, type: string) => void;
  /** Notes the end in every file it has written; observes nothing afterwards. */
  close(): void;
}

/**
 * Since version 2 it can be replayed: it has the options, and every input that concerns a root. Readers show the earlier
 * ones, too.
 */
export const TRACE_VERSION = 3;

/** The trace of one root while it is written. */
interface RootTrace {
  readonly file: TraceFile;
  readonly repeats: Repeats;
  readonly signs: Map<string, number>;
  seats: string;
}

/** The last input, while it is not known which roots it is about, and the roots that have it already. */
interface Held extends Extract<Observation, { type: "input" }> {
  readonly entry: TraceEntry;
  readonly known: readonly KnownSession[];
  readonly writtenTo: Set<string>;
}

/** Writes what a keeper observes, one JSON object per line. When traces are off, none is made. */
export function createRecorder({ directory, clock, withText, log, pid = process.pid }: RecorderOptions): Recorder {
  const roots = new Map<string, RootTrace>();
  const life = Math.floor(Math.random() * 36 ** 6).toString(36);
  const text = texts(withText);
  let held: Held | undefined;
  /** Roots that had a task which waited for a slot before the last input. */
  let waited: ReadonlySet<string> = new Set();
  /** Roots whose session was deleted, until nothing is left of them in the books. */
  const leaving = new Set<string>();
  const dropped = { unused: new Map<string, number>(), unread: new Map<string, number>() };
  let complained = false;
  let closed = false;

  const complain = (what: string, error: unknown): void => {
    if (complained) return;
    complained = true;
    log("warn", `The trace cannot be written (${what}). The goal goes on without it; later lines are tried again.`, {
      directory,
      error: String(error),
    });
  };

  const write = ({ file }: RootTrace, entry: TraceEntry): void => {
    const error = file.append(entry);
    if (error !== undefined) complain(error.code ?? error.name, error);
  };

  const open = (rootID: string): RootTrace => {
    const known = roots.get(rootID);
    if (known !== undefined) return known;
    const file = new TraceFile(join(directory, traceFileName(rootID)), rootID, pid, life);
    const root = { file, repeats: new Repeats(), signs: new Map(), seats: NO_SEATS };
    roots.set(rootID, root);
    write(root, startEntry(now(), TRACE_VERSION, held?.facts));
    return root;
  };

  /** All that follows from an input happens at its moment. */
  const now = (): number => (held?.facts === undefined ? clock.now() : held.entry.at);

  const writeInput = (rootID: string): RootTrace => {
    const root = open(rootID);
    if (held === undefined || held.writtenTo.has(rootID)) return root;
    held.writtenTo.add(rootID);
    const { entry, input, known, facts } = held;
    if (known.length > 0) write(root, { at: entry.at, kind: "known", sessions: [...known] });
    const about = held.rootID === rootID ? undefined : held.rootID;
    if (entry.kind === "input") {
      // Deadlines that depend on signs of life are looked at by these two.
      const looks = facts !== undefined && (input.type === "clock" || input.type === "statuses");
      write(root, { ...entry, about, signs: looks ? newSigns(rootID, root.signs, facts) : undefined });
    } else if (entry.kind === "host" && input.type === "host") {
      const of = about === undefined ? root.repeats.of(input.event, entry) : undefined;
      write(root, of === undefined ? { ...entry, about } : { at: entry.at, kind: "again", of });
      if (of === undefined && about === undefined) root.repeats.wrote(input.event, entry, root.file.last);
    }
    return root;
  };

  /** The slots of others are what they are after an input: whoever waits for one may have got it by it. */
  const writeSeats = (): void => {
    if (held?.facts === undefined) return;
    const waiting = waitingRoots(held.facts);
    for (const rootID of new Set([...waited, ...waiting])) {
      const taken = seatsBeside(rootID, held.facts);
      const seats = JSON.stringify(taken);
      const before = roots.get(rootID)?.seats ?? NO_SEATS;
      if (seats !== before) write(writeInput(rootID), { at: held.entry.at, kind: "seats", taken });
      const root = roots.get(rootID);
      if (root !== undefined) root.seats = waiting.has(rootID) ? seats : NO_SEATS;
    }
    waited = waiting;
  };

  const received = (observation: Extract<Observation, { type: "input" }>): void => {
    writeSeats();
    const { input, rootID, facts } = observation;
    for (const id of leaving) {
      if (facts?.knows(id) === true) continue;
      leaving.delete(id);
      roots.delete(id);
    }
    const at = facts?.now() ?? clock.now();
    const entry = recordOf(observation, at, text);
    if (entry === undefined) return;
    const isFirst = rootID !== undefined && !roots.has(rootID);
    const known = facts === undefined ? [] : knownBefore(input, rootID, isFirst, facts, text);
    held = { ...observation, entry, known, writtenTo: new Set() };
    if (rootID === undefined) return;
    writeInput(rootID);
    if (isDeletion(observation, rootID)) leaving.add(rootID);
  };

  const concerns = ({ rootID, forgotten, rested }: Extract<Observation, { type: "concerns" }>): void => {
    // What is known of a root that has no trace yet stands in its first lines.
    if (!roots.has(rootID) || held === undefined) return;
    const root = writeInput(rootID);
    const { at } = held.entry;
    if (rested !== undefined) write(root, { at, kind: "rested", sessionID: rested });
    // Anything but the clock lets a replay forget it, too.
    if (forgotten !== undefined && held.input.type === "clock")
      write(root, { at, kind: "forgotten", sessionID: forgotten });
  };

  const record = (observation: Observation): void => {
    if (observation.type === "input") return received(observation);
    if (observation.type === "concerns") return concerns(observation);
    const { rootID } = observation;
    // An effect for nobody in particular, for instance one status call for all.
    if (rootID === undefined) return;
    const entry = recordOf(observation, now(), text);
    if (entry !== undefined) write(writeInput(rootID), entry);
  };

  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      complain("an observation that it does not understand", error);
    }
  };

  return {
    observe(observation) {
      if (!closed) guarded(() => record(observation));
    },
    dropped(why, type) {
      dropped[why].set(type, (dropped[why].get(type) ?? 0) + 1);
    },
    close() {
      if (closed) return;
      closed = true;
      guarded(writeSeats);
      const [unused, unread] = [Object.fromEntries(dropped.unused), Object.fromEntries(dropped.unread)];
      for (const root of roots.values()) write(root, { at: clock.now(), kind: "stop", unused, unread });
      roots.clear();
    },
  };
}

const NO_SEATS = "[]";

/** A session id from outside never becomes a path: what does not look like one is hashed. */
export function traceFileName(rootID: string): string {
  if (/^ses_[0-9A-Za-z]{1,64}$/.test(rootID)) return `${rootID}.jsonl`;
  // Loaded for such an id alone: it would cost milliseconds of every start.
  const { createHash } = process.getBuiltinModule("node:crypto");
  return `hashed-${createHash("sha256").update(rootID).digest("hex").slice(0, 32)}.jsonl`;
}

/** Where traces go when `debug_log` is `true`. */
export function defaultTraceDirectory(env: Readonly<Record<string, string | undefined>>): string {
  const state = env.XDG_STATE_HOME;
  // The specification: a relative path there is invalid and must be ignored.
  const home = state !== undefined && isAbsolute(state) ? state : join(homedir(), ".local", "state");
  return join(home, "opencode-goalkeeper", "traces");
}

function isDeletion({ input }: Extract<Observation, { type: "input" }>, rootID: string): boolean {
  return input.type === "host" && input.event.type === "session-deleted" && input.event.sessionID === rootID;
}

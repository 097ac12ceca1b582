import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Dropped } from "../host/events.ts";
import type { HostPort } from "../host/port.ts";
import type { Observation } from "../keeper/messages.ts";
import type { Clock } from "../time/clock.ts";
import { Repeats } from "./noise.ts";
import { toRecord } from "./record.ts";
import type { TraceEntry } from "./schema.ts";
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

const TRACE_VERSION = 1;

/** Writes what a keeper observes, one JSON object per line. When traces are off, none is made. */
export function createRecorder({ directory, clock, withText, log, pid = process.pid }: RecorderOptions): Recorder {
  const files = new Map<string, TraceFile>();
  const repeats = new Repeats();
  /** The last input, while it is not known whether it is worth a line, and the roots that have it already. */
  let held: { readonly entry: TraceEntry; readonly writtenTo: Set<string> } | undefined;
  /** A root whose session was deleted by the last input: what follows from that still belongs into its file. */
  let leaving: string | undefined;
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

  const write = (rootID: string, entry: TraceEntry): void => {
    const file = files.get(rootID) ?? new TraceFile(join(directory, traceFileName(rootID)), rootID, pid);
    if (!files.has(rootID)) {
      files.set(rootID, file);
      write(rootID, { at: entry.at, kind: "start", version: TRACE_VERSION });
    }
    const error = file.append(entry);
    if (error !== undefined) complain(error.code ?? error.name, error);
  };

  const record = (observation: Observation): void => {
    const entry = toRecord(observation, clock.now(), withText);
    if (entry === undefined) return;
    const { rootID } = observation;
    if (observation.type === "input") {
      held = { entry, writtenTo: new Set() };
      if (leaving !== undefined) files.delete(leaving);
      leaving = isDeletion(observation, rootID) ? rootID : undefined;
      if (rootID === undefined || isRepeat(observation, repeats)) return;
    }
    // An effect for nobody in particular, for instance one status call for all.
    if (rootID === undefined) return;
    if (held !== undefined && !held.writtenTo.has(rootID)) {
      held.writtenTo.add(rootID);
      write(rootID, held.entry);
    }
    if (observation.type !== "input") write(rootID, entry);
  };

  return {
    observe(observation) {
      if (closed) return;
      try {
        record(observation);
      } catch (error) {
        complain("an observation that it does not understand", error);
      }
    },
    dropped(why, type) {
      dropped[why].set(type, (dropped[why].get(type) ?? 0) + 1);
    },
    close() {
      if (closed) return;
      closed = true;
      const [unused, unread] = [Object.fromEntries(dropped.unused), Object.fromEntries(dropped.unread)];
      for (const rootID of files.keys()) write(rootID, { at: clock.now(), kind: "stop", unused, unread });
      files.clear();
    },
  };
}

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

type InputObservation = Extract<Observation, { type: "input" }>;

function isRepeat({ input }: InputObservation, repeats: Repeats): boolean {
  return input.type === "host" && repeats.has(input.event);
}

function isDeletion({ input }: InputObservation, rootID: string | undefined): boolean {
  return input.type === "host" && input.event.type === "session-deleted" && input.event.sessionID === rootID;
}

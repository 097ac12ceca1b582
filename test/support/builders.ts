/** Builders of the core's values: every field has a plain default, a test names only what its rule is about. */
import type { Message } from "../../src/delivery/outbox.ts";
import type { GateConfig } from "../../src/goals/gate.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { Root } from "../../src/goals/root.ts";
import type { SessionInfo, TranscriptMessage, Voice } from "../../src/host/port.ts";
import type { Look } from "../../src/tasks/grace-period-pruner.ts";
import type { IsBefore } from "../../src/tasks/message-order.ts";
import { NO_USAGE, type Reading } from "../../src/tasks/outcome.ts";
import type { Delivery, EndedTask, MissingTask, QueuedTask, RunningTask, TaskTiming } from "../../src/tasks/task.ts";

/** A message's id of OpenCode's own form: of two the one with the higher number is the later one. */
export function anID(number: number): string {
  return `msg_${((T0 * 4096 + number) % 2 ** 48).toString(16).padStart(12, "0")}${"0".repeat(14)}`;
}

/** The order of messages whose ids are all of one form: "msg_1" comes before "msg_2". */
export const bySpelling: IsBefore = (one, other) => one < other;

/** The moment at which everything here begins; epoch ms. */
export const T0 = 1_800_000_000_000;
export const ROOT = "ses_root";
export const CHILD = "ses_child";
export const VOICE: Voice = { agent: "build", model: { providerID: "p", modelID: "m" } };

export const TIMING: TaskTiming = {
  graceMs: 5_000,
  cleanupDelayMs: 600_000,
  ceilingMs: 900_000,
  staleMs: 600_000,
};
export const GATE: GateConfig = { autoContinue: true, maxTaskBlockMs: 900_000, restrictedAgents: ["plan"] };

const RECORD = {
  id: CHILD,
  parentID: ROOT,
  rootID: ROOT,
  origin: "background",
  title: "look at the tests",
  createdAt: T0,
  run: { number: 1, startedAt: T0 },
  runner: "me",
} as const;

export function aQueuedTask(more: Partial<QueuedTask> = {}): QueuedTask {
  return { ...RECORD, status: "queued", waits: { for: "sign", askAt: T0 + 60_000 }, ...more };
}

/** A running task; with another `observed` an idle or an aborted one. */
export function aTask(more: Partial<RunningTask> = {}): RunningTask {
  return { ...RECORD, status: "running", observed: { kind: "alive", askAt: T0 + 60_000 }, ...more };
}

export function anIdleTask(more: Partial<RunningTask> = {}): RunningTask {
  return aTask({ observed: { kind: "idle", since: T0, lookAt: T0 + 2_000 }, ...more });
}

export function anAbortedTask(more: Partial<RunningTask> = {}): RunningTask {
  return aTask({ observed: { kind: "aborted", since: T0, lookAt: T0 + 2_000 }, ...more });
}

export function aMissingTask(more: Partial<MissingTask> = {}): MissingTask {
  const doubt = { doubt: "no-status", since: T0, graceUntil: T0 + 5_000, lookAt: T0 + 5_000, looks: 0 } as const;
  return { ...RECORD, status: "missing", ...doubt, ...more };
}

export const OURS: Delivery = { state: "pending", teller: "goalkeeper" };

export function anEndedTask(more: Partial<EndedTask> = {}): EndedTask {
  return { ...RECORD, status: "completed", endedAt: T0, outcome: { text: "done" }, delivery: OURS, ...more };
}

export function hostTells(until: number): Delivery {
  return { state: "pending", teller: "host", until };
}

export function delivered(more: Partial<Extract<Delivery, { state: "delivered" }>> = {}): Delivery {
  return { state: "delivered", sessionID: ROOT, messageID: "msg_told", at: T0, byTurn: false, ...more };
}

export function aRoot(more: Partial<Root> = {}): Root {
  return {
    id: ROOT,
    activity: { kind: "idle", since: T0 },
    presence: { kind: "awake" },
    voice: VOICE,
    asks: [],
    openedAt: T0 - 3_600_000,
    agentLimits: undefined,
    toldID: "",
    unanswered: undefined,
    turn: undefined,
    lastMessageID: "msg_1",
    lastSpokenID: "msg_1",
    wait: undefined,
    ...more,
  };
}

type GoalBase = Omit<Extract<Goal, { status: "active" }>, "status">;
type GoalState = { [S in Goal as S["status"]]: Omit<S, keyof GoalBase> }[Goal["status"]];

const STATES = {
  active: { status: "active" },
  paused: { status: "paused", by: "user", reason: "you said so", at: T0 },
  complete: { status: "complete", evidence: [{ claim: "it works" }], at: T0 },
  blocked: { status: "blocked", blocker: "no key", at: T0 },
  limited: { status: "limited", limit: "25 turns", wrapUp: "owed", at: T0 },
} as const satisfies Record<Goal["status"], GoalState>;

export function aGoal(more: Partial<GoalBase> = {}, state: GoalState = STATES.active): Goal {
  const used = { allowedAt: T0, turns: 0, tokens: { own: 0, tasks: 0 }, budget: {}, releases: {} };
  const calm = { failures: 0, retryAt: 0, quotaUntil: 0, quotaHits: 0, idleTurns: 0 };
  return { id: "goal_1", objective: "make the build pass", startedAt: T0, ...used, ...calm, ...more, ...state };
}

/** A goal in one of its states, with plain values for what that state has. */
export function aGoalThatIs(status: Goal["status"], more: Partial<GoalBase> = {}): Goal {
  return aGoal(more, STATES[status]);
}

export function aMessage(more: Partial<Message> = {}): Message {
  const text = '<goalkeeper kind="continuation" id="msg_5">\nGo on.\n</goalkeeper>';
  return { id: "msg_5", partID: "prt_5", kind: "continuation", text, outcomes: [], overdueTaskIDs: [], ...more };
}

/** A reading that costs nothing; of an unfinished one there is at least the beginning of an answer. */
export function aReading(reading: WithDefaults<Reading>): Reading {
  const begun = reading.kind === "unfinished" ? { begun: true } : {};
  return { usage: NO_USAGE, ...begun, ...reading } as Reading;
}

type WithDefaults<R> = R extends Reading ? Omit<R, "usage" | "begun"> & Partial<Pick<R, "usage">> & Begun<R> : never;
type Begun<R> = R extends { begun: boolean } ? { readonly begun?: boolean } : unknown;

/** All three questions answered: not shown as working, still listed, and what the transcript says. */
export function aLook(
  reading: WithDefaults<Reading> = { kind: "unfinished", text: "" },
  more: Partial<Look> = {},
): Look {
  return { shown: known(false), listed: known(true), reading: known(aReading(reading)), ...more };
}

export function known<T>(value: T): { readonly kind: "known"; readonly value: T } {
  return { kind: "known", value };
}

export const UNKNOWN = { kind: "unknown", reason: "no answer" } as const;
export const GONE = { kind: "gone" } as const;

export function aUserMessage(id: string, more: Partial<TranscriptMessage> = {}): TranscriptMessage {
  const text = `prompt ${id}`;
  const said = { text, rawText: text, parts: [{ type: "text", text }] } as const;
  return { id, role: "user", createdAt: T0, summary: false, compaction: false, ...said, ...more };
}

/** An assistant message that has ended well. */
export function anAnswer(id: string, parentID: string, more: Partial<TranscriptMessage> = {}): TranscriptMessage {
  const ended = { completedAt: T0 + 1_000, finish: "stop" };
  const text = `answer ${id}`;
  const kind = { role: "assistant", summary: false, compaction: false } as const;
  const said = { text, rawText: text, parts: [{ type: "text", text }] } as const;
  return { id, parentID, createdAt: T0, ...kind, ...ended, ...said, ...more };
}

/** An assistant message without an end: what `kill -9` leaves behind. */
export function anUnfinishedAnswer(
  id: string,
  parentID: string,
  more: Partial<TranscriptMessage> = {},
): TranscriptMessage {
  const { completedAt: _completedAt, finish: _finish, ...message } = anAnswer(id, parentID);
  return { ...message, ...more };
}

export function aSession(id: string, more: Partial<SessionInfo> = {}): SessionInfo {
  return { id, title: `title of ${id}`, createdAt: T0, archived: false, metadata: {}, ...more };
}

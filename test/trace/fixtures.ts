import type { Message } from "../../src/delivery/outbox.ts";
import type { Goal } from "../../src/goals/goal.ts";
import type { HostEvent } from "../../src/host/port.ts";
import type { Effect, Input, Observation } from "../../src/keeper/messages.ts";
import type { Task } from "../../src/tasks/task.ts";
import type { Clock } from "../../src/time/clock.ts";

export const ROOT = "ses_root1";
export const CHILD = "ses_child1";

/** In every place where a user, a model, a task or a provider could have written something. */
export const SECRET = "s3cret words";

export class ManualClock implements Clock {
  at = 1_000_000;
  now(): number {
    return this.at;
  }
  after(): () => void {
    return () => undefined;
  }
}

export function host(event: HostEvent, rootID: string | undefined = ROOT): Observation {
  return { type: "input", rootID, input: { type: "host", event } };
}

export function input(observed: Exclude<Input, { type: "host" }>, rootID: string | undefined = ROOT): Observation {
  return { type: "input", rootID, input: observed };
}

export function effect(observed: Effect, rootID: string | undefined = ROOT): Observation {
  return { type: "effect", rootID, effect: observed };
}

const base = {
  id: CHILD,
  parentID: ROOT,
  rootID: ROOT,
  origin: "background",
  title: "tests (@general subagent)",
  createdAt: 0,
  runner: "here",
} as const;

export const running: Task = {
  ...base,
  run: { number: 1, startedAt: 999_000 },
  status: "running",
  observed: { kind: "alive", askAt: 2_000_000 },
};

export const missing: Task = {
  ...base,
  run: { number: 1, startedAt: 999_000 },
  status: "missing",
  doubt: "restart",
  since: 1_000_000,
  graceUntil: 1_002_000,
  lookAt: 1_000_000,
  looks: 0,
};

export const failed: Task = {
  ...base,
  run: { number: 1, startedAt: 999_000 },
  status: "failed",
  endedAt: 1_001_500,
  outcome: { text: SECRET, error: { name: "APIError", message: SECRET, statusCode: 401 } },
  delivery: { state: "undelivered", at: 1_001_500, reason: SECRET },
};

export const lost: Task = {
  ...base,
  run: { number: 1, startedAt: 999_000 },
  status: "lost",
  endedAt: 1_002_000,
  outcome: { text: SECRET, reason: "OpenCode stopped while it was working" },
  delivery: { state: "pending", teller: "goalkeeper" },
};

export function task(
  before: Task | undefined,
  after: Task | undefined,
  event: "busy" | "looked" | "clock" | "noticed" = "busy",
): Observation {
  return { type: "task", rootID: ROOT, change: { before, after, event } };
}

export const goal: Goal = {
  id: "msg_goal1",
  objective: SECRET,
  startedAt: 1_000_000,
  budget: {},
  allowedAt: 1_000_000,
  turns: 0,
  tokens: { own: 0, tasks: 0 },
  failures: 0,
  retryAt: 0,
  quotaUntil: 0,
  quotaHits: 0,
  idleTurns: 0,
  releases: {},
  status: "active",
};

export const message: Message = {
  id: "msg_1",
  partID: "prt_1",
  kind: "continuation",
  text: SECRET,
  outcomes: [{ taskID: CHILD, run: 1 }],
  overdueTaskIDs: [],
};

const voice = { agent: "build", model: { providerID: "p", modelID: "m" } };
const error = {
  name: "APIError",
  message: `Model not found: ${SECRET}`,
  statusCode: 500,
  headers: { "retry-after": "7", "x-request": SECRET },
  body: JSON.stringify({
    error: { code: SECRET, type: "server_error", message: SECRET, details: [{ reason: SECRET }] },
  }),
  isRetryable: false,
};
const launch = { voice, unstable: false };
const session = {
  id: CHILD,
  parentID: ROOT,
  title: "tests",
  createdAt: 0,
  archived: false,
  metadata: { secret: SECRET },
};
const stored = {
  version: 1 as const,
  self: ROOT,
  owner: { host: "h", pid: 7, processStartedAt: 1, instance: "i" },
  claim: 1,
  revision: 1,
  goal,
  reserved: message,
  tasks: [failed],
};

/** One of each kind of observation, with a secret wherever text can be. */
export const EVERYTHING: readonly Observation[] = [
  host({
    type: "session-seen",
    session: { id: ROOT, title: SECRET, createdAt: 0, archived: false, metadata: {} },
    created: false,
  }),
  host({ type: "session-seen", session, created: true }),
  host({ type: "session-seen", session: { ...session, undone: true }, created: false }),
  host({ type: "session-deleted", sessionID: CHILD, parentID: ROOT }),
  host({ type: "session-busy", sessionID: ROOT }),
  host({ type: "session-retrying", sessionID: ROOT, until: 5, message: SECRET }),
  host({ type: "session-idle", sessionID: ROOT }),
  host({ type: "session-error", sessionID: ROOT, error }),
  host({ type: "session-compacted", sessionID: ROOT }),
  host({ type: "message-removed", sessionID: ROOT, messageID: "msg_1" }),
  host({ type: "turn-held", sessionID: ROOT, messageID: "msg_2", readID: "msg_1" }),
  host({ type: "turn-goes-on", sessionID: ROOT }),
  host({ type: "step-ended", sessionID: ROOT, messageID: "msg_2", readID: "msg_1" }),
  host({ type: "user-message", sessionID: ROOT, messageID: "msg_1", voice }),
  host({
    type: "user-text",
    sessionID: ROOT,
    messageID: "msg_1",
    text: SECRET,
    synthetic: true,
    ignored: false,
    told: { taskID: CHILD, ended: "completed", text: SECRET },
    lost: [{ taskID: CHILD, run: 1 }],
  }),
  host({ type: "assistant-text", sessionID: ROOT, text: SECRET }),
  host({
    type: "assistant-message",
    sessionID: ROOT,
    messageID: "msg_2",
    parentID: "msg_1",
    summary: false,
    completedAt: 9,
    error,
    usage: { tokens: 1_200, cost: 0.02 },
  }),
  host({
    type: "tool",
    sessionID: ROOT,
    messageID: "msg_2",
    callID: "call_1",
    tool: "task",
    state: "completed",
    output: SECRET,
    child: { sessionID: CHILD, background: true, title: "tests" },
  }),
  host({ type: "ask-opened", sessionID: ROOT, askID: "per_1", kind: "permission", about: SECRET }),
  host({ type: "ask-closed", sessionID: ROOT, askID: "per_1", kind: "permission", rejected: true }),
  input({ type: "clock" }),
  input({ type: "goal", rootID: ROOT, event: { type: "set", id: "msg_goal1", objective: SECRET } }),
  input({ type: "goal", rootID: ROOT, event: { type: "pause", by: "error", reason: SECRET } }),
  input({ type: "goal", rootID: ROOT, event: { type: "resume", liveTaskIDs: [CHILD] } }),
  input({ type: "goal", rootID: ROOT, event: { type: "complete", evidence: [{ claim: SECRET }] } }),
  input({ type: "goal", rootID: ROOT, event: { type: "blocked", blocker: SECRET } }),
  input({ type: "goal", rootID: ROOT, event: { type: "prompt-failed", reason: SECRET } }),
  input({ type: "goal", rootID: ROOT, event: { type: "turn-ended", by: "continuation", progressed: false, error } }),
  input({ type: "wake", rootID: ROOT }),
  input({ type: "restored", stored, awake: true, elsewhere: [CHILD] }),
  ...[
    { ...goal, status: "paused", by: "error", reason: SECRET, at: 1 } as const,
    { ...goal, status: "blocked", blocker: SECRET, at: 1 } as const,
    { ...goal, status: "complete", evidence: [{ claim: SECRET, tool_call_ids: ["call_1"] }], at: 1 } as const,
  ].map((goal) => input({ type: "reread", stored: { ...stored, goal }, elsewhere: [] })),
  input({
    type: "launched",
    rootID: ROOT,
    task: { id: CHILD, parentID: ROOT, title: "tests", createdAt: 5, launch, promptID: "msg_3", prompt: SECRET },
    requestedAt: 1,
  }),
  input({
    type: "resume",
    rootID: ROOT,
    taskID: CHILD,
    callerID: ROOT,
    messageID: "msg_4",
    requestedAt: 1,
    launch,
    promptID: "msg_3",
    prompt: SECRET,
  }),
  input({
    type: "told-before",
    told: { taskID: CHILD, ended: "completed", text: SECRET },
    messageID: "msg_5",
    run: 1,
    answered: true,
  }),
  input({ type: "started", taskID: CHILD, run: 1, answer: { kind: "unknown", reason: SECRET } }),
  input({
    type: "looked",
    taskID: CHILD,
    run: 1,
    look: {
      shown: { kind: "unknown", reason: SECRET },
      listed: { kind: "gone" },
      reading: { kind: "known", value: { kind: "failed", text: SECRET, usage: { tokens: 1_200, cost: 0.02 }, error } },
    },
  }),
  input({ type: "statuses", answer: { kind: "known", value: new Map([[CHILD, "busy"]]) } }),
  input({ type: "saved", rootID: ROOT, revision: 1, result: { kind: "failed", reason: SECRET } }),
  input({
    type: "sent",
    rootID: ROOT,
    sessionID: ROOT,
    messageID: "msg_1",
    answer: { kind: "unknown", reason: SECRET },
  }),
  input({ type: "verified", rootID: ROOT, sessionID: ROOT, found: { kind: "unanswered", text: SECRET } }),
  input({ type: "handed-over", rootID: ROOT, messageID: "msg_1" }),
  task(running, failed),
  task(failed, undefined),
  { type: "goal", rootID: ROOT, before: undefined, after: goal, event: "set" },
  {
    type: "goal",
    rootID: ROOT,
    before: goal,
    after: { ...goal, status: "paused", by: "error", reason: SECRET, at: 1 },
    event: "turn-ended",
  },
  {
    type: "goal",
    rootID: ROOT,
    before: goal,
    after: { ...goal, status: "complete", evidence: [{ claim: SECRET }], at: 1 },
    event: "complete",
  },
  {
    type: "goal",
    rootID: ROOT,
    before: goal,
    after: { ...goal, status: "blocked", blocker: SECRET, at: 1 },
    event: "blocked",
  },
  { type: "decision", rootID: ROOT, decision: { kind: "continue", prompt: "continuation", overdueTaskIDs: [CHILD] } },
  {
    type: "decision",
    rootID: ROOT,
    decision: {
      kind: "wait",
      reasons: [
        { why: "task-live", taskID: CHILD, title: "tests", status: "running", until: 1_900_000 },
        { why: "provider-retries", message: SECRET, until: 1_001_000 },
        { why: "ask-open", sessionID: CHILD, kind: "question", about: SECRET, endedBy: "user" },
      ],
    },
  },
  {
    type: "decision",
    rootID: ROOT,
    decision: { kind: "stop", reason: { why: "paused", by: "storage", reason: SECRET } },
  },
  { type: "decision", rootID: ROOT, decision: { kind: "stop", reason: { why: "blocked", blocker: SECRET } } },
  {
    type: "hold",
    rootID: ROOT,
    hold: {
      kind: "hold",
      reasons: [
        { why: "task-live", taskID: CHILD, title: "tests", status: "running", until: 1_900_000 },
        { why: "outcome-untold", taskID: CHILD, title: "tests", until: 1_002_000 },
      ],
      until: 1_900_000,
    },
  },
  // Without a ceiling; JSON has no word for that.
  {
    type: "hold",
    rootID: ROOT,
    hold: {
      kind: "hold",
      reasons: [{ why: "task-live", taskID: CHILD, title: "tests", status: "queued", until: Number.POSITIVE_INFINITY }],
      until: Number.POSITIVE_INFINITY,
    },
  },
  { type: "hold", rootID: ROOT, hold: { kind: "release", why: "ceiling" } },
  { type: "outbox", rootID: ROOT, state: "sending", message },
  { type: "outbox", rootID: ROOT, state: "sent", message: { ...message, kind: "waiting", outcomes: [] } },
  effect({ type: "look", taskID: CHILD, run: 1, scope: "everything" }),
  effect({ type: "save", rootID: ROOT, revision: 1, stored }),
  effect({
    type: "send",
    rootID: ROOT,
    prompt: { sessionID: ROOT, messageID: "msg_1", partID: "prt_1", text: SECRET, voice, synthetic: true },
  }),
  effect({
    type: "send",
    rootID: ROOT,
    prompt: { sessionID: ROOT, messageID: "msg_1", partID: "prt_1", text: SECRET, voice, synthetic: true },
    deposit: true,
  }),
  effect({ type: "release", rootID: ROOT }),
  effect({ type: "verify", rootID: ROOT, sessionID: ROOT, message }),
  effect({ type: "toast", rootID: ROOT, variant: "info", message: SECRET }),
];

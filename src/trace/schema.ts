import * as z from "zod/mini";
import { error, hostEvent, session, text } from "./event-schema.ts";
import { effect, input } from "./input-schema.ts";

/**
 * The lines of a trace. The types of `record.ts` come from here, so what is written and what is read back cannot
 * drift apart. Readers only: the plugin itself imports nothing but the types.
 */

const wayOut = { until: z.optional(z.number()), endedBy: z.optional(z.literal("user")) };
const ofTask = { taskID: z.string(), title: z.string() };

const waitReason = z.discriminatedUnion("why", [
  z.object({ why: z.literal("root-busy"), ...wayOut }),
  z.object({ why: z.literal("provider-retries"), ...wayOut, message: text }),
  z.object({ why: z.literal("task-live"), ...wayOut, ...ofTask, status: z.enum(["queued", "running", "missing"]) }),
  z.object({ why: z.literal("outcome-untold"), ...wayOut, ...ofTask }),
  z.object({ why: z.literal("outcome-unanswered"), ...wayOut, ...ofTask }),
  z.object({
    why: z.literal("ask-open"),
    ...wayOut,
    ...session,
    kind: z.enum(["permission", "question"]),
    about: text,
  }),
  z.object({ why: z.literal("undone"), ...wayOut, ...session }),
  z.object({ why: z.literal("user-message-unanswered"), ...wayOut }),
  z.object({ why: z.literal("back-off"), ...wayOut, failures: z.number() }),
  z.object({ why: z.literal("usage-limit"), ...wayOut }),
  z.object({ why: z.literal("quiet"), ...wayOut }),
  z.object({ why: z.literal("asleep"), ...wayOut }),
]);

const stopReason = z.discriminatedUnion("why", [
  z.object({ why: z.literal("no-goal") }),
  z.object({ why: z.literal("auto-continue-off") }),
  z.object({ why: z.literal("paused"), by: z.string(), reason: text }),
  z.object({ why: z.literal("complete") }),
  z.object({ why: z.literal("blocked"), blocker: text }),
  z.object({ why: z.literal("limited"), limit: z.string(), isCut: z.optional(z.literal(true)) }),
  z.object({ why: z.literal("restricted-agent"), agent: z.string() }),
  z.object({ why: z.literal("unable-agent"), agent: z.string(), lacks: z.enum(["update_goal", "steps"]) }),
]);

const decision = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("continue"),
    prompt: z.enum(["continuation", "wrapup"]),
    overdueTaskIDs: z.array(z.string()),
  }),
  z.object({ kind: z.literal("wait"), reasons: z.array(waitReason) }),
  z.object({ kind: z.literal("stop"), reason: stopReason }),
]);

const hold = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("hold"), reasons: z.array(waitReason), until: z.optional(z.number()) }),
  z.object({ kind: z.literal("release"), why: z.string() }),
]);

/** How a task stood after a change. */
const taskState = z.object({
  status: z.enum(["queued", "running", "missing", "completed", "failed", "cancelled", "lost"]),
  /** The moment at which something happens by itself: a look, the end of the grace period, our turn to tell. */
  until: z.optional(z.number()),
  observed: z.optional(z.enum(["alive", "awaits-own", "elsewhere", "idle", "aborted", "returned"])),
  waits: z.optional(z.enum(["sign", "slot", "turn"])),
  doubt: z.optional(z.enum(["idle-unfinished", "restart", "no-status"])),
  /** Duration of the run. */
  ranMs: z.optional(z.number()),
  delivery: z.optional(z.enum(["not-owed", "pending", "delivered", "reconciled", "undelivered"])),
  teller: z.optional(z.enum(["host", "maker", "goalkeeper"])),
  reason: z.optional(text),
  error: z.optional(error),
  output: z.optional(text),
});

/**
 * `at`: epoch ms. `seq` ascends per file and `life`; a hole means dropped lines. Processes may share a file, and so may
 * the plugin and a library's manager in one process: `life` tells them apart. Version 1 had none.
 */
const line = { at: z.number(), seq: z.number(), pid: z.number(), life: z.optional(z.string()), root: z.string() };

/** An input that is about another root. */
const about = { about: z.optional(z.string()) };

const timing = z.object({
  graceMs: z.number(),
  cleanupDelayMs: z.number(),
  ceilingMs: z.number(),
  staleMs: z.number(),
});
const limits = z.object({
  budget: z.object({ turns: z.number(), tokens: z.number(), ms: z.number() }),
  maxPromptFailures: z.number(),
  noProgressTurns: z.number(),
});

/** The options, as the keeper has them. */
const config = z.object({
  timing,
  gate: z.object({
    autoContinue: z.boolean(),
    maxTaskBlockMs: z.number(),
    restrictedAgents: z.array(z.string()),
  }),
  limits,
  concurrency: z.union([z.number(), z.record(z.string(), z.number())]),
  cancelOnInterrupt: z.boolean(),
  reportHoldMs: z.number(),
  hasReadTool: z.boolean(),
  /** Without a ceiling: none. */
  run: z.optional(z.object({ waits: z.boolean(), ceilingMs: z.optional(z.number()) })),
});

/** A session that is known, without an input that could say so: from before this file, or before it was known whose it is. */
const knownSession = z.object({
  id: z.string(),
  parentID: z.optional(z.string()),
  title: text,
  createdAt: z.number(),
  busy: z.boolean(),
  native: z.optional(
    z.object({ callID: z.string(), background: z.boolean(), isRunning: z.boolean(), title: z.string() }),
  ),
});

export const traceRecord = z.discriminatedUnion("kind", [
  /** A plugin instance begins to write this file. */
  z.object({
    ...line,
    kind: z.literal("start"),
    version: z.number(),
    config: z.optional(config),
    adopts: z.optional(z.boolean()),
  }),
  /** It has stopped in good order; after a crash this line is missing. */
  z.object({
    ...line,
    kind: z.literal("stop"),
    /** Host events that were dropped, of all sessions: types of no use here, and shapes that are not known. */
    unused: z.optional(z.record(z.string(), z.number())),
    unread: z.optional(z.record(z.string(), z.number())),
  }),
  /** Lines could not be written before this one. */
  z.object({ ...line, kind: z.literal("gap"), dropped: z.number() }),
  z.object({ ...line, ...about, kind: z.literal("host"), event: hostEvent }),
  z.object({
    ...line,
    ...about,
    kind: z.literal("input"),
    input,
    /** When sessions were last heard of, where that is news: signs of life are no inputs. */
    signs: z.optional(z.record(z.string(), z.number())),
  }),
  /** The host event of line `of` once more. */
  z.object({ ...line, kind: z.literal("again"), of: z.number() }),
  /** What is known beside the next input. */
  z.object({ ...line, kind: z.literal("known"), sessions: z.array(knownSession) }),
  /** Of the last input: a session that nobody needs any more, or one whose idle was missed. */
  z.object({ ...line, kind: z.literal("forgotten"), sessionID: z.string() }),
  z.object({ ...line, kind: z.literal("rested"), sessionID: z.string() }),
  /** The models of the slots that tasks of other roots have after the last input, while one of this root waits. */
  z.object({ ...line, kind: z.literal("seats"), taken: z.array(z.string()) }),
  z.object({
    ...line,
    kind: z.literal("task"),
    taskID: z.string(),
    title: z.string(),
    parentID: z.string(),
    origin: z.enum(["foreground", "background", "launched", "adopted"]),
    run: z.number(),
    event: z.string(),
    before: z.optional(taskState),
    /** Absent: the record was removed. */
    after: z.optional(taskState),
  }),
  z.object({
    ...line,
    kind: z.literal("goal"),
    goalID: z.string(),
    event: z.string(),
    from: z.optional(z.string()),
    /** Absent: there is none any more. */
    to: z.optional(z.enum(["active", "paused", "complete", "blocked", "limited"])),
    turns: z.number(),
    ageMs: z.number(),
    failures: z.number(),
    idleTurns: z.number(),
    retryAt: z.optional(z.number()),
    quotaUntil: z.optional(z.number()),
    /** Used since the goal began or was resumed. */
    tokens: z.optional(z.object({ own: z.number(), tasks: z.number() })),
    by: z.optional(z.string()),
    /** Why it is paused, or what blocks it. */
    reason: z.optional(text),
    limit: z.optional(z.string()),
    /** A turn that went on far beyond the limit was ended. */
    isCut: z.optional(z.literal(true)),
    evidence: z.optional(z.number()),
    objective: text,
  }),
  z.object({ ...line, kind: z.literal("decision"), decision }),
  /** Why the turn of an `opencode run` is held, or goes on. */
  z.object({ ...line, kind: z.literal("hold"), hold }),
  z.object({
    ...line,
    kind: z.literal("outbox"),
    state: z.string(),
    message: z.optional(
      z.object({
        id: z.string(),
        kind: z.enum(["continuation", "wrapup", "task-outcome", "waiting"]),
        outcomes: z.array(z.object({ taskID: z.string(), run: z.number() })),
        overdueTaskIDs: z.array(z.string()),
      }),
    ),
  }),
  z.object({ ...line, kind: z.literal("effect"), effect }),
]);

export type TraceRecord = z.infer<typeof traceRecord>;
type Unstamped<T> = T extends unknown ? Omit<T, "seq" | "pid" | "life" | "root"> : never;
/** A record before the recorder has given it its place. */
export type TraceEntry = Unstamped<TraceRecord>;
export type TracedConfig = z.infer<typeof config>;
export type KnownSession = z.infer<typeof knownSession>;
export type TracedDecision = z.infer<typeof decision>;
export type TracedWaitReason = z.infer<typeof waitReason>;
export type TracedHold = z.infer<typeof hold>;
export type TracedStopReason = z.infer<typeof stopReason>;
export type TracedTask = z.infer<typeof taskState>;

import * as z from "zod/mini";
import { error, session, text, usage } from "./event-schema.ts";

/** What else came in, and what went out, as a trace has it; a part of `schema.ts`. */

const known = z.enum(["known", "gone", "unknown"]);
const shown = z.enum(["yes", "no", "gone", "unknown"]);

const launch = {
  agent: z.string(),
  model: z.optional(z.string()),
  variant: z.optional(z.string()),
  unstable: z.boolean(),
  requestedAt: z.optional(z.number()),
};

const stored = {
  goal: z.optional(z.string()),
  turns: z.number(),
  /** The process that wrote it. */
  pid: z.number(),
  /** Ids of tasks that another living process runs. */
  elsewhere: z.array(z.string()),
  reserved: z.optional(z.object({ messageID: z.string(), kind: z.string() })),
  tasks: z.array(
    z.object({
      taskID: z.string(),
      title: z.string(),
      run: z.number(),
      status: z.string(),
      origin: z.string(),
      delivery: z.optional(z.string()),
    }),
  ),
  /** All of it, texts as their length; see `stored-record.ts`. */
  root: z.optional(z.record(z.string(), z.unknown())),
};

const budget = z.object({
  turns: z.optional(z.number()),
  tokens: z.optional(z.number()),
  ms: z.optional(z.number()),
});

export const input = z.discriminatedUnion("type", [
  z.object({ type: z.literal("clock") }),
  z.object({
    type: z.literal("goal"),
    event: z.string(),
    goalID: z.optional(z.string()),
    budget: z.optional(budget),
    by: z.optional(z.string()),
    /** Objective, reason or blocker. */
    text: z.optional(text),
    evidence: z.optional(z.number()),
    taskIDs: z.optional(z.array(z.string())),
    error: z.optional(error),
  }),
  z.object({ type: z.literal("user-speaks") }),
  z.object({ type: z.literal("wake") }),
  z.object({
    type: z.literal("agent-judged"),
    agent: z.string(),
    denied: z.array(z.string()),
    isSingleStep: z.boolean(),
  }),
  z.object({ type: z.literal("restored"), awake: z.boolean(), ...stored }),
  /** Tasks that another process runs: what it has written down about them. */
  z.object({ type: z.literal("reread"), ...stored }),
  z.object({ type: z.literal("storage-repaired") }),
  z.object({ type: z.literal("moved"), claim: z.number() }),
  z.object({
    type: z.literal("looked"),
    taskID: z.string(),
    run: z.number(),
    shown,
    listed: shown,
    reading: z.enum(["finished", "failed", "aborted", "unfinished", "gone", "unknown"]),
    begun: z.optional(z.boolean()),
    usage: z.optional(usage),
    text: z.optional(text),
    error: z.optional(error),
  }),
  z.object({
    type: z.literal("told-before"),
    taskID: z.string(),
    run: z.number(),
    ended: z.enum(["completed", "failed"]),
    messageID: z.string(),
    answered: z.boolean(),
    text,
  }),
  z.object({
    type: z.literal("read-back"),
    told: z.array(
      z.object({
        taskID: z.string(),
        run: z.number(),
        messageID: z.string(),
        as: z.enum(["answered", "unanswered", "not-told"]),
      }),
    ),
    lostID: z.optional(z.string()),
  }),
  z.object({ type: z.literal("statuses"), answer: known, working: z.array(z.string()) }),
  z.object({
    type: z.literal("saved"),
    revision: z.number(),
    result: z.enum(["ok", "failed", "gone", "owned-elsewhere"]),
    reason: z.optional(text),
    claim: z.optional(z.number()),
  }),
  z.object({ type: z.literal("sent"), ...session, messageID: z.string(), answer: known, reason: z.optional(text) }),
  z.object({
    type: z.literal("verified"),
    ...session,
    found: z.enum(["answered", "unanswered", "overtaken", "torn", "absent"]),
    text: z.optional(text),
  }),
  z.object({ type: z.literal("handed-over"), messageID: z.string() }),
  z.object({
    type: z.literal("launched"),
    taskID: z.string(),
    parentID: z.string(),
    title: z.string(),
    messageID: z.string(),
    prompt: text,
    ...launch,
    madeAt: z.optional(z.number()),
    tookMs: z.number(),
    stopped: z.optional(z.string()),
  }),
  z.object({
    type: z.literal("resume"),
    taskID: z.string(),
    messageID: z.string(),
    prompt: text,
    ...launch,
    callerID: z.optional(z.string()),
    /** The message whose tool call asked for it. */
    calledBy: z.optional(z.string()),
  }),
  z.object({ type: z.literal("cancel"), taskID: z.string(), reason: text }),
  z.object({ type: z.literal("launches-stopped"), ...session }),
  z.object({
    type: z.literal("started"),
    taskID: z.string(),
    run: z.number(),
    answer: z.enum(["sent", "answered", "gone", "unknown"]),
    reason: z.optional(text),
  }),
  z.object({ type: z.literal("read"), taskID: z.string(), run: z.number(), ...session, messageID: z.string() }),
  z.object({
    type: z.literal("attached"),
    taskID: z.string(),
    by: z.optional(z.string()),
    attached: z.boolean(),
  }),
]);

export const effect = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("look"),
    taskID: z.string(),
    run: z.number(),
    scope: z.enum(["transcript", "everything"]),
  }),
  z.object({ type: z.literal("ask-statuses") }),
  z.object({ type: z.literal("ask-session"), ...session }),
  z.object({
    type: z.literal("start"),
    taskID: z.string(),
    run: z.number(),
    messageID: z.string(),
    prompt: z.optional(text),
    agent: z.string(),
    model: z.optional(z.string()),
    mayBeThere: z.boolean(),
  }),
  z.object({ type: z.literal("abort"), taskID: z.string(), run: z.number() }),
  z.object({ type: z.literal("reread") }),
  z.object({
    type: z.literal("save"),
    revision: z.number(),
    goal: z.optional(z.string()),
    tasks: z.number(),
    reserved: z.optional(z.string()),
  }),
  z.object({
    type: z.literal("send"),
    ...session,
    messageID: z.string(),
    text,
    agent: z.optional(z.string()),
    model: z.optional(z.string()),
    deposit: z.optional(z.boolean()),
  }),
  z.object({ type: z.literal("abort-turn"), messageID: z.string() }),
  z.object({ type: z.literal("release") }),
  z.object({ type: z.literal("verify"), ...session, messageID: z.string() }),
  z.object({
    type: z.literal("read-back"),
    taskIDs: z.array(z.string()),
    messageID: z.optional(z.string()),
  }),
  z.object({
    type: z.literal("toast"),
    variant: z.enum(["info", "success", "warning", "error"]),
    message: text,
  }),
]);

export type TracedInput = z.infer<typeof input>;
export type TracedEffect = z.infer<typeof effect>;

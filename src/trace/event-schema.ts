import * as z from "zod/mini";

/** What came in and what went out, as a trace shows it; the other half of `schema.ts`. */

/** Text of a user, a model, a task or a provider: its length, or the text itself with `debug_log_text`. */
export const text = z.union([z.number(), z.string()]);

export const error = z.object({ name: z.string(), statusCode: z.optional(z.number()), message: text });

const usage = z.object({ tokens: z.number(), cost: z.number() });

const known = z.enum(["known", "gone", "unknown"]);
const shown = z.enum(["yes", "no", "gone", "unknown"]);

export const session = { sessionID: z.string() };

export const hostEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("session-seen"),
    ...session,
    parentID: z.optional(z.string()),
    title: text,
    created: z.boolean(),
    archived: z.boolean(),
  }),
  z.object({ type: z.literal("session-deleted"), ...session, parentID: z.optional(z.string()) }),
  z.object({ type: z.literal("session-busy"), ...session }),
  z.object({ type: z.literal("session-retrying"), ...session, until: z.number(), message: text }),
  z.object({ type: z.literal("session-idle"), ...session }),
  z.object({ type: z.literal("session-error"), ...session, error }),
  z.object({ type: z.literal("session-compacted"), ...session }),
  z.object({ type: z.literal("turn-held"), ...session, messageID: z.string(), readID: z.string() }),
  z.object({ type: z.literal("turn-goes-on"), ...session }),
  z.object({ type: z.literal("step-ended"), ...session, messageID: z.string(), readID: z.string() }),
  z.object({
    type: z.literal("user-message"),
    ...session,
    messageID: z.string(),
    agent: z.optional(z.string()),
    model: z.optional(z.string()),
    variant: z.optional(z.string()),
  }),
  z.object({
    type: z.literal("user-text"),
    ...session,
    messageID: z.string(),
    text,
    synthetic: z.boolean(),
    ignored: z.boolean(),
    /** The tag, if the text is one of ours. */
    frame: z.optional(z.object({ kind: z.string(), id: z.string() })),
    told: z.optional(z.object({ taskID: z.string(), ended: z.enum(["completed", "failed"]), text })),
    lost: z.optional(z.array(z.object({ taskID: z.string(), run: z.number() }))),
  }),
  z.object({ type: z.literal("assistant-text"), ...session, text }),
  z.object({
    type: z.literal("assistant-message"),
    ...session,
    messageID: z.string(),
    parentID: z.string(),
    summary: z.boolean(),
    completedAt: z.optional(z.number()),
    error: z.optional(error),
    usage: z.optional(usage),
  }),
  z.object({
    type: z.literal("tool"),
    ...session,
    messageID: z.string(),
    callID: z.string(),
    tool: z.string(),
    state: z.enum(["running", "completed", "error"]),
    output: text,
    child: z.optional(z.object({ sessionID: z.string(), background: z.boolean(), title: z.string() })),
  }),
  z.object({
    type: z.literal("ask-opened"),
    ...session,
    askID: z.string(),
    kind: z.enum(["permission", "question"]),
    about: text,
  }),
  z.object({
    type: z.literal("ask-closed"),
    ...session,
    askID: z.string(),
    kind: z.enum(["permission", "question"]),
    rejected: z.boolean(),
  }),
]);

const launch = { agent: z.string(), model: z.optional(z.string()), unstable: z.boolean() };

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
};

export const input = z.discriminatedUnion("type", [
  z.object({ type: z.literal("clock") }),
  z.object({
    type: z.literal("goal"),
    event: z.string(),
    by: z.optional(z.string()),
    /** Objective, reason or blocker. */
    text: z.optional(text),
    evidence: z.optional(z.number()),
    taskIDs: z.optional(z.array(z.string())),
    error: z.optional(error),
  }),
  z.object({ type: z.literal("user-speaks") }),
  z.object({ type: z.literal("wake") }),
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
  z.object({ type: z.literal("statuses"), answer: known, working: z.array(z.string()) }),
  z.object({
    type: z.literal("saved"),
    revision: z.number(),
    result: z.enum(["ok", "failed", "gone", "owned-elsewhere"]),
    reason: z.optional(text),
  }),
  z.object({ type: z.literal("sent"), ...session, messageID: z.string(), answer: known, reason: z.optional(text) }),
  z.object({
    type: z.literal("verified"),
    ...session,
    found: z.enum(["answered", "unanswered", "overtaken", "absent"]),
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
    tookMs: z.number(),
    stopped: z.optional(z.string()),
  }),
  z.object({ type: z.literal("resume"), taskID: z.string(), messageID: z.string(), prompt: text, ...launch }),
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
  z.object({ type: z.literal("release") }),
  z.object({ type: z.literal("verify"), ...session, messageID: z.string() }),
  z.object({
    type: z.literal("toast"),
    variant: z.enum(["info", "success", "warning", "error"]),
    message: text,
  }),
]);

export type TraceText = z.infer<typeof text>;
export type TraceError = z.infer<typeof error>;
export type TracedHostEvent = z.infer<typeof hostEvent>;
export type TracedInput = z.infer<typeof input>;
export type TracedEffect = z.infer<typeof effect>;

import * as z from "zod/mini";

/** What the host has shown, as a trace has it; a part of `schema.ts`. */

/** Text of a user, a model, a task or a provider: its length, or the text itself with `debug_log_text`. */
export const text = z.union([z.number(), z.string()]);

export const error = z.object({ name: z.string(), statusCode: z.optional(z.number()), message: text });

/** What tells of a provider's error what can be done about it; see `provider-record.ts`. */
const providerError = z.object({
  ...error.shape,
  isRetryable: z.optional(z.boolean()),
  final: z.optional(z.boolean()),
  headers: z.optional(z.record(z.string(), z.string())),
  body: z.optional(z.string()),
  begins: z.optional(z.string()),
  unclear: z.optional(z.boolean()),
});

export const usage = z.object({ tokens: z.number(), cost: z.number() });

export const session = { sessionID: z.string() };

export const hostEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("session-seen"),
    ...session,
    parentID: z.optional(z.string()),
    title: text,
    madeAt: z.optional(z.number()),
    created: z.boolean(),
    archived: z.boolean(),
    undone: z.optional(z.literal(true)),
  }),
  z.object({ type: z.literal("session-deleted"), ...session, parentID: z.optional(z.string()) }),
  z.object({ type: z.literal("session-busy"), ...session }),
  z.object({ type: z.literal("session-retrying"), ...session, until: z.number(), message: text }),
  z.object({ type: z.literal("session-idle"), ...session }),
  z.object({ type: z.literal("session-error"), ...session, error: providerError }),
  z.object({ type: z.literal("session-compacted"), ...session }),
  z.object({ type: z.literal("message-removed"), ...session, messageID: z.string() }),
  z.object({ type: z.literal("turn-held"), ...session, messageID: z.string(), readID: z.string() }),
  z.object({ type: z.literal("turn-goes-on"), ...session }),
  // Version 1 had the message that the step has answered.
  z.object({ type: z.literal("step-ended"), ...session, messageID: z.string(), readID: z._default(z.string(), "") }),
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
    /** Ids of sessions that it names. */
    names: z.optional(z.array(z.string())),
  }),
  z.object({ type: z.literal("assistant-text"), ...session, text }),
  z.object({
    type: z.literal("assistant-message"),
    ...session,
    messageID: z.string(),
    parentID: z.string(),
    summary: z.boolean(),
    completedAt: z.optional(z.number()),
    error: z.optional(providerError),
    fromBefore: z.optional(z.literal(true)),
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
    fromBefore: z.optional(z.literal(true)),
    byOther: z.optional(z.literal(true)),
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

export type TraceText = z.infer<typeof text>;
export type TraceError = z.infer<typeof error>;
export type TracedProviderError = z.infer<typeof providerError>;
export type TracedHostEvent = z.infer<typeof hostEvent>;

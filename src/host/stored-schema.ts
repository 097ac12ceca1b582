import * as z from "zod/mini";
import type { StoredRoot } from "../keeper/stored-root.ts";

/** Built when something stored is read for the first time: most starts of OpenCode read nothing, and pay for nothing. */
function buildSchema() {
  const time = z.number();
  const error = z.object({ name: z.string(), message: z.string(), statusCode: z.optional(z.number()) });
  const run = z.object({
    number: z.number(),
    startedAt: time,
    callID: z.optional(z.string()),
    promptID: z.optional(z.string()),
    attempt: z.optional(z.number()),
    error: z.optional(error),
  });
  const delivery = z.union([
    z.object({ state: z.literal("not-owed") }),
    z.object({ state: z.literal("pending"), teller: z.enum(["host", "maker"]), until: time }),
    z.object({ state: z.literal("pending"), teller: z.literal("goalkeeper") }),
    z.object({
      state: z.literal("delivered"),
      sessionID: z.string(),
      messageID: z.string(),
      at: time,
      byTurn: z.boolean(),
    }),
    z.object({ state: z.literal("reconciled"), at: time }),
    z.object({ state: z.literal("undelivered"), at: time, reason: z.string() }),
  ]);
  const voice = z.object({
    agent: z.string(),
    model: z.optional(z.object({ providerID: z.string(), modelID: z.string() })),
    variant: z.optional(z.string()),
  });
  const waits = z.discriminatedUnion("for", [
    z.object({ for: z.literal("sign"), askAt: time }),
    z.object({ for: z.literal("slot") }),
  ]);
  const task = {
    id: z.string(),
    parentID: z.string(),
    rootID: z.string(),
    origin: z.enum(["foreground", "background", "launched", "adopted"]),
    title: z.string(),
    createdAt: time,
    run,
    runner: z.string(),
    interruptedAt: z.optional(time),
    launch: z.optional(z.object({ voice, unstable: z.boolean() })),
  };
  const usage = z.object({ tokens: z.number(), cost: z.number() });
  const outcome = z.object({ error: z.optional(error), reason: z.optional(z.string()), usage: z.optional(usage) });
  const stub = z.union([
    z.object({ ...task, status: z.literal("queued"), waits }),
    z.object({
      ...task,
      status: z.enum(["completed", "failed", "cancelled", "lost"]),
      endedAt: time,
      outcome,
      delivery,
    }),
  ]);
  const count = z.number();
  const goalBase = {
    id: z.string(),
    objective: z.string(),
    startedAt: time,
    // Of a version that had no budgets: nothing was counted.
    budget: z._default(z.object({ turns: z.optional(count), tokens: z.optional(count), ms: z.optional(count) }), {}),
    allowedAt: z._default(time, 0),
    turns: z.number(),
    tokens: z._default(z.object({ own: z.number(), tasks: z.number() }), { own: 0, tasks: 0 }),
    quotaUntil: z._default(time, 0),
    quotaHits: z._default(z.number(), 0),
    failures: z.number(),
    retryAt: time,
    idleTurns: z.number(),
    releases: z.record(z.string(), time),
  };
  const evidence = z.object({ claim: z.string(), tool_call_ids: z.optional(z.array(z.string())) });
  const goal = z.discriminatedUnion("status", [
    z.object({ ...goalBase, status: z.literal("active") }),
    z.object({
      ...goalBase,
      status: z.literal("paused"),
      by: z.enum(["user", "error", "no-progress", "restricted-agent", "unable-agent", "storage"]),
      reason: z.string(),
      at: time,
    }),
    z.object({ ...goalBase, status: z.literal("complete"), evidence: z.array(evidence), at: time }),
    z.object({ ...goalBase, status: z.literal("blocked"), blocker: z.string(), at: time }),
    z.object({
      ...goalBase,
      status: z.literal("limited"),
      limit: z.string(),
      wrapUp: z.enum(["owed", "sent", "cut"]),
      spent: z.optional(z.number()),
      at: time,
    }),
  ]);
  const reserved = z.object({
    id: z.string(),
    partID: z.string(),
    kind: z.enum(["continuation", "wrapup", "task-outcome", "waiting"]),
    outcomes: z.array(z.object({ taskID: z.string(), run: z.number() })),
    overdueTaskIDs: z.array(z.string()),
    goalID: z.optional(z.string()),
  });
  return z.object({
    version: z.literal(1),
    self: z.string(),
    owner: z.object({ host: z.string(), pid: z.number(), processStartedAt: z.number(), instance: z.string() }),
    claim: z.number(),
    revision: z.number(),
    goal: z.optional(goal),
    reserved: z.optional(reserved),
    tasks: z.array(stub),
  });
}

let schema: ReturnType<typeof buildSchema> | undefined;

/** Stored state as it should be, or what is wrong with it, in words. */
export function parseStoredRoot(value: unknown): { readonly stored: StoredRoot } | { readonly problem: string } {
  schema ??= buildSchema();
  const parsed = schema.safeParse(value);
  if (parsed.success && parsed.data.goal?.allowedAt === 0) parsed.data.goal.allowedAt = parsed.data.goal.startedAt;
  // Optional keys that are absent come back absent, which is what `exactOptionalPropertyTypes` asks for.
  if (parsed.success) return { stored: parsed.data as StoredRoot };
  const [issue] = parsed.error.issues;
  return { problem: `${issue?.path.join(".") || "the whole value"}: ${issue?.message ?? "not what it should be"}` };
}

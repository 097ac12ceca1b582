import { type EndedTask, isEnded, isLive, type LiveTask, SILENCE_MS, type Task } from "../tasks/task.ts";
import { ENDS_GOAL } from "./agent-limits.ts";
import { type Goal, RELEASED_BY_USER } from "./goal.ts";
import { isUndecided, limitsOf, type Root, USER_MESSAGE_HOLDS_MS } from "./root.ts";

/** A wait always ends: at a moment, or by something that the user can see and do. */
export type WayOut = { readonly until: number } | { readonly endedBy: "user" };

export type WaitReason = WayOut &
  (
    | { readonly why: "root-busy" }
    | { readonly why: "provider-retries"; readonly message: string }
    | {
        readonly why: "task-live";
        readonly taskID: string;
        readonly title: string;
        readonly status: LiveTask["status"];
      }
    | { readonly why: "outcome-untold"; readonly taskID: string; readonly title: string }
    | { readonly why: "outcome-unanswered"; readonly taskID: string; readonly title: string }
    | {
        readonly why: "ask-open";
        readonly sessionID: string;
        readonly kind: "permission" | "question";
        readonly about: string;
        /** Of the task that asks; undefined: the root itself does. */
        readonly title?: string;
      }
    | {
        readonly why: "undone";
        readonly sessionID: string;
        /** Of the task in whose session it is; undefined: it is the root's own. */
        readonly title?: string;
      }
    | { readonly why: "user-message-unanswered" }
    | { readonly why: "back-off"; readonly failures: number }
    /** The provider's usage limit. */
    | { readonly why: "usage-limit" }
    | { readonly why: "quiet" }
    | { readonly why: "asleep" }
  );

export type StopReason =
  | { readonly why: "no-goal" }
  | { readonly why: "auto-continue-off" }
  | { readonly why: "paused"; readonly by: string; readonly reason: string }
  | { readonly why: "complete" }
  | { readonly why: "blocked"; readonly blocker: string }
  /** `isCut`: a turn went on far beyond it, and was ended. */
  | { readonly why: "limited"; readonly limit: string; readonly isCut?: true }
  | { readonly why: "restricted-agent"; readonly agent: string }
  /** It can never end a goal. */
  | { readonly why: "unable-agent"; readonly agent: string; readonly lacks: "update_goal" | "steps" };

export type Decision =
  /** `overdueTaskIDs`: live tasks past their ceiling, to be named as still running. */
  | {
      readonly kind: "continue";
      readonly prompt: "continuation" | "wrapup";
      readonly overdueTaskIDs: readonly string[];
    }
  | { readonly kind: "wait"; readonly reasons: readonly WaitReason[] }
  | { readonly kind: "stop"; readonly reason: StopReason };

export interface GateConfig {
  readonly autoContinue: boolean;
  /** How long one task may hold the goal back; 0: until it ends or the user resumes. */
  readonly maxTaskBlockMs: number;
  readonly restrictedAgents: readonly string[];
}

/** How long an idle root may leave an outcome unanswered before it stops holding the gate. */
export const UNANSWERED_HOLDS_MS = 5_000;

/**
 * May the next prompt towards the goal go out now; if not, why, and until when? A function of its arguments alone:
 * the same state at the same time gives the same decision.
 */
export function decide(
  goal: Goal | undefined,
  root: Root,
  tasks: readonly Task[],
  now: number,
  config: GateConfig,
): Decision {
  const stop = stopReason(goal, root, config);
  if (goal === undefined || stop !== undefined) return { kind: "stop", reason: stop ?? { why: "no-goal" } };
  const live = tasks.filter(isLive);
  const reasons: WaitReason[] = [
    ...rootReasons(root, now).map((reason) => withTitle(reason, root, tasks)),
    ...(root.presence.kind === "goal-asleep" ? [{ why: "asleep", endedBy: "user" } as const] : []),
    ...live.flatMap((task) => liveReason(goal, task, now, config)),
    ...tasks.filter(isEnded).flatMap((task) => outcomeReason(task, root, now)),
    ...(goal.retryAt > now ? [{ why: "back-off", failures: goal.failures, until: goal.retryAt } as const] : []),
    ...(goal.quotaUntil > now ? [{ why: "usage-limit", until: goal.quotaUntil } as const] : []),
  ];
  if (reasons.length > 0) return { kind: "wait", reasons };
  const prompt = goal.status === "limited" ? "wrapup" : "continuation";
  return { kind: "continue", prompt, overdueTaskIDs: live.map(({ id }) => id) };
}

/** Why nothing may prompt the root at all, goal or not: the outbox asks this before it tells an outcome. */
export function rootReasons(root: Root, now: number): readonly WaitReason[] {
  const reasons: WaitReason[] = [];
  const { activity, presence, unanswered } = root;
  if (activity.kind === "busy") reasons.push({ why: "root-busy", until: Math.max(activity.askAt, now + 1) });
  // Nothing towards the goal goes out before the turn is known to be at its end. An event ends that, not a moment.
  if (activity.kind === "held") {
    const until = root.wait?.until ?? 0;
    reasons.push({ why: "root-busy", until: until > now ? until : now + SILENCE_MS });
  }
  if (activity.kind === "settling") reasons.push({ why: "root-busy", until: Math.max(activity.until, now + 1) });
  if (activity.kind === "retrying")
    reasons.push({ why: "provider-retries", message: activity.message, until: Math.max(activity.until, now + 1) });
  if (isUndecided(presence)) reasons.push({ why: "quiet", until: Math.max(presence.until, now + 1) });
  if (presence.kind === "quiet") reasons.push({ why: "quiet", endedBy: "user" });
  if (presence.kind === "asleep") reasons.push({ why: "asleep", endedBy: "user" });
  for (const { sessionID, kind, about } of root.asks) {
    if (kind === "undo") reasons.push({ why: "undone", sessionID, endedBy: "user" });
    else reasons.push({ why: "ask-open", sessionID, kind, about, endedBy: "user" });
  }
  if (unanswered !== undefined) {
    const until = Math.max(unanswered.at, activity.kind === "idle" ? activity.since : now) + USER_MESSAGE_HOLDS_MS;
    if (until > now) reasons.push({ why: "user-message-unanswered", until });
  }
  return reasons;
}

function withTitle(reason: WaitReason, root: Root, tasks: readonly Task[]): WaitReason {
  if (reason.why !== "ask-open" && reason.why !== "undone") return reason;
  const title = askingTask(reason.sessionID, root, tasks);
  return title === undefined ? reason : { ...reason, title };
}

/** What people know the task by that asks; undefined: the root itself does. */
export function askingTask(sessionID: string, root: Root, tasks: readonly Task[]): string | undefined {
  if (sessionID === root.id) return undefined;
  return tasks.find(({ id }) => id === sessionID)?.title ?? sessionID;
}

/**
 * Why nothing about tasks may be told in the root. A turn that is held, or kept open at its end, waits for just that, and
 * what is asked in it is asked by others.
 */
export function reportReasons(root: Root, now: number): readonly WaitReason[] {
  const reasons = rootReasons(root, now);
  const { kind } = root.activity;
  if (kind === "ending") return reasons.filter(({ why }) => why !== "ask-open");
  return kind === "held" ? reasons.filter(({ why }) => why === "quiet" || why === "asleep") : reasons;
}

/** The earliest moment at which a decision ends by itself. */
export function decisionDeadline(decision: Decision): number {
  if (decision.kind !== "wait") return Number.POSITIVE_INFINITY;
  return Math.min(...decision.reasons.map((reason) => ("until" in reason ? reason.until : Number.POSITIVE_INFINITY)));
}

function stopReason(goal: Goal | undefined, root: Root, config: GateConfig): StopReason | undefined {
  if (goal === undefined) return { why: "no-goal" };
  switch (goal.status) {
    case "paused":
      return { why: "paused", by: goal.by, reason: goal.reason };
    case "complete":
      return { why: "complete" };
    case "blocked":
      return { why: "blocked", blocker: goal.blocker };
    case "limited":
      if (goal.wrapUp === "owed") break;
      return { why: "limited", limit: goal.limit, ...(goal.wrapUp === "cut" ? { isCut: true } : {}) };
    case "active":
      break;
  }
  const agent = root.voice?.agent;
  if (agent !== undefined && config.restrictedAgents.includes(agent)) return { why: "restricted-agent", agent };
  const unable = unableAgent(root);
  if (unable !== undefined) return { why: "unable-agent", ...unable };
  return config.autoContinue ? undefined : { why: "auto-continue-off" };
}

/** The agent of a root that can never end a goal, and what it lacks for that. */
export function unableAgent(
  root: Root,
): { readonly agent: string; readonly lacks: "update_goal" | "steps" } | undefined {
  const limits = limitsOf(root);
  if (limits === undefined) return undefined;
  const { agent, denied, isSingleStep } = limits;
  if (denied.includes(ENDS_GOAL)) return { agent, lacks: ENDS_GOAL };
  return isSingleStep ? { agent, lacks: "steps" } : undefined;
}

/** Its ceiling counts from the later of run start and goal start, and anew from the continuation that it bought. */
function liveReason(goal: Goal, task: LiveTask, now: number, config: GateConfig): readonly WaitReason[] {
  const { id: taskID, title, status } = task;
  const released = goal.releases[taskID];
  if (released === RELEASED_BY_USER) return [];
  if (config.maxTaskBlockMs === 0) return [{ why: "task-live", taskID, title, status, endedBy: "user" }];
  const until = Math.max(task.run.startedAt, goal.startedAt, released ?? 0) + config.maxTaskBlockMs;
  return until > now ? [{ why: "task-live", taskID, title, status, until }] : [];
}

/** An outcome holds only while somebody else may still tell it, or the agent may still answer it. */
function outcomeReason(task: EndedTask, root: Root, now: number): readonly WaitReason[] {
  const { id: taskID, title, delivery } = task;
  const mayBeTold = delivery.state === "pending" && delivery.teller === "maker";
  if (task.status === "lost" && !mayBeTold) return [];
  switch (delivery.state) {
    case "pending":
      return delivery.teller !== "goalkeeper" && delivery.until > now
        ? [{ why: "outcome-untold", taskID, title, until: delivery.until }]
        : [];
    case "delivered": {
      const idleSince = root.activity.kind === "idle" ? root.activity.since : now;
      const until = Math.max(delivery.at, idleSince) + UNANSWERED_HOLDS_MS;
      return until > now ? [{ why: "outcome-unanswered", taskID, title, until }] : [];
    }
    case "not-owed":
    case "reconciled":
    case "undelivered":
      return [];
  }
}

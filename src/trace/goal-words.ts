import { excerpt } from "../delivery/frame.ts";
import { goalState, releaseReason, stopReason, waitReason } from "../goals/words.ts";
import { duration } from "../time/duration.ts";
import { count, type Saying, taskName } from "./saying.ts";
import type { TracedDecision, TracedHold, TracedWaitReason, TraceRecord } from "./schema.ts";
import { toGoal, toStopReason, toWaitReason } from "./untrace.ts";

export function goalSaying(record: Extract<TraceRecord, { kind: "goal" }>): Saying | undefined {
  const { at, event, from, to, turns, failures, ageMs, retryAt } = record;
  const goal = toGoal(record);
  if (goal === undefined) {
    return { what: event === "moved" ? "its goal goes on in another process" : "its goal is gone", tone: "warn" };
  }
  if (event === "set") return { what: `a goal is set: ${excerpt(goal.objective, 70)}`, tone: "good" };
  if (event === "continued") return { what: `continuation ${turns} has started` };
  if (event === "restored") return undefined;
  if (to === "complete") {
    const evidence = record.evidence === undefined ? "" : `, with ${count(record.evidence, "piece")} of evidence`;
    const what = `GOAL COMPLETE after ${duration(ageMs)} and ${count(turns, "continuation")}${evidence}`;
    return { what, tone: "good" };
  }
  if (from !== to) {
    return to === "active"
      ? { what: "the goal goes on", tone: "good" }
      : { what: `the goal is ${goalState(goal)}`, tone: "warn" };
  }
  if (failures === 0 || (event !== "turn-ended" && event !== "prompt-failed")) return undefined;
  const next = retryAt === undefined ? "" : `, next try in ${duration(retryAt - at)}`;
  return { what: `${count(failures, "turn")} in a row failed${next}`, tone: "warn" };
}

/** Why the goal does not go on now. Undefined: it goes on, the agent works, or the goal's own state says it. */
export function decisionSaying(decision: TracedDecision, at: number): Saying | undefined {
  switch (decision.kind) {
    case "continue":
      return undefined;
    case "stop": {
      const { reason } = decision;
      const { why } = reason;
      if (why !== "auto-continue-off" && why !== "restricted-agent" && why !== "unable-agent") return undefined;
      return { what: `does not continue: ${stopReason(toStopReason(reason))}`, tone: "warn" };
    }
    case "wait": {
      // While the agent works nothing waits: what else holds is told when its turn has ended.
      if (decision.reasons.some(({ why }) => why === "root-busy")) return undefined;
      return { what: `waits: ${waits(decision.reasons, at).join("; ")}`, tone: "warn" };
    }
  }
}

/** What `opencode run` waits for at the end of a turn. That nothing is owed needs no words. */
export function holdSaying(hold: TracedHold, at: number): Saying | undefined {
  if (hold.kind === "hold") {
    const reasons = waits(hold.reasons, at, "however long that takes");
    // Only something of ours is on its way: that is told by itself.
    return reasons.length === 0 ? undefined : { what: `is held: ${reasons.join("; ")}`, tone: "warn" };
  }
  const words = releaseReason(hold.why);
  return words === undefined ? undefined : { what: `goes on: ${words}`, tone: "dim" };
}

/** `endless`: what is said of a wait for tasks that has no ceiling. */
function waits(reasons: readonly TracedWaitReason[], at: number, endless: string = "until you act"): readonly string[] {
  const live = reasons.filter((reason) => reason.why === "task-live");
  const others = reasons.filter((reason) => reason.why !== "task-live");
  const tasks = live.length === 0 ? [] : [liveWords(live, at, endless)];
  return [...tasks, ...others.map((reason) => waitReason(toWaitReason(reason), at))];
}

/** All live tasks in one phrase: with ten of them, ten phrases would hide the point. */
function liveWords(
  live: readonly Extract<TracedWaitReason, { why: "task-live" }>[],
  at: number,
  endless: string,
): string {
  const names = live.map(({ title }) => taskName(title)).join(", ");
  const until = Math.max(...live.map((reason) => reason.until ?? Number.POSITIVE_INFINITY));
  const wayOut = until === Number.POSITIVE_INFINITY ? endless : `at most ${duration(until - at)}`;
  const subject = live.length === 1 ? "1 task is" : `${live.length} tasks are`;
  return `${subject} still ${liveStatus(live)}: ${names} (${wayOut})`;
}

/** In the brackets what may change without being told again. */
function liveStatus(live: readonly { readonly status: string }[]): string {
  const statuses = [...new Set(live.map(({ status }) => status))];
  if (statuses.length <= 1) return statuses[0] ?? "running";
  const counts = statuses.map((one) => `${live.filter(({ status }) => status === one).length} ${one}`);
  return `open (${counts.join(", ")})`;
}

import { spentLimit } from "../goals/budget.ts";
import { askingTask, type Decision, decide } from "../goals/gate.ts";
import { type Goal, type GoalEvent, transitionGoal } from "../goals/goal.ts";
import type { Root } from "../goals/root.ts";
import { type Decided, goalState, stopReason } from "../goals/words.ts";
import type { HostEvent } from "../host/port.ts";
import type { MessageOrder } from "../tasks/message-order.ts";
import type { Task } from "../tasks/task.ts";
import { askAnnouncement } from "./announcement.ts";
import type { KeeperConfig } from "./config.ts";
import { isSameDecision } from "./decision-key.ts";
import type { Effect, Observation } from "./messages.ts";

export type GoalChange = GoalEvent["type"] | "restored" | "moved";

export interface RootGoalContext {
  readonly rootID: string;
  readonly now: () => number;
  readonly config: KeeperConfig;
  readonly ids: { message(after: string): string };
  readonly order: Pick<MessageOrder, "isBefore">;
  readonly onChange: (goal: Goal | undefined, event: GoalChange) => void;
  readonly perform: (effect: Effect) => void;
  readonly observe: (observation: Observation) => void;
}

/** So many decisions are kept for `/goal why`. */
const LONGEST_LOG = 30;

interface Memo {
  readonly goal: Goal | undefined;
  readonly root: Root;
  readonly tasks: readonly Task[];
  readonly now: number;
  readonly decision: Decision;
}

/** The goal of one root: what happens to it, what it has used, and what the gate has decided about it. */
export class RootGoal {
  private goal: Goal | undefined;
  private memo: Memo | undefined;
  private log: readonly Decided[] = [];
  /** Open asks of which a person was shown that they hold the goal. */
  private announced: ReadonlySet<string> = new Set();
  /** The last message of each session whose tokens are counted: OpenCode publishes messages again. */
  private readonly counted = new Map<string, string>();
  /** What a message must stand behind to be counted: earlier ones are counted already, or are not the goal's. */
  private firstID = "";

  constructor(private readonly context: RootGoalContext) {}

  get value(): Goal | undefined {
    return this.goal;
  }

  /** The last decisions, the newest last. */
  get decisions(): readonly Decided[] {
    return this.log;
  }

  event(event: GoalEvent): void {
    const { context, goal: before } = this;
    const after = transitionGoal(before, event, context.now(), context.config.limits);
    if (after === before) return;
    this.set(after, event.type);
    if (after === undefined || after.status === "active" || after.status === before?.status) return;
    // What is ended together with it is said together with it.
    if (event.type === "overrun" || (event.type === "limit-reached" && event.isFar === true)) return;
    const done = after.status === "complete";
    const message = `Goal ${goalState(after)}.${done ? "" : ` /${context.config.command} resume goes on.`}`;
    context.perform({ type: "toast", rootID: context.rootID, variant: done ? "success" : "warning", message });
  }

  set(goal: Goal | undefined, event: GoalChange): void {
    const before = this.goal;
    if (goal === before) return;
    this.goal = goal;
    if (goal?.id !== before?.id) {
      this.log = [];
      this.firstID = event === "restored" ? this.context.ids.message("") : (goal?.id ?? "");
    }
    this.context.onChange(goal, event);
    // What was used is seen in the messages.
    if (event === "spent") return;
    this.context.observe({ type: "goal", rootID: this.context.rootID, before, after: goal, event });
  }

  /** May the next prompt go out? All of what it asks about are values: the same ones give the same answer. */
  decide(root: Root, tasks: readonly Task[]): Decision {
    const { goal, memo } = this;
    const now = this.context.now();
    if (memo !== undefined && memo.goal === goal && memo.root === root && memo.tasks === tasks && memo.now === now)
      return memo.decision;
    const decision = decide(goal, root, tasks, now, this.context.config.gate);
    this.memo = { goal, root, tasks, now, decision };
    return decision;
  }

  /** Ends what must not go on: an agent that pursues no goals, a budget that is used up. Whether anything has changed. */
  enforce(decision: Decision): boolean {
    const { goal } = this;
    if (goal?.status !== "active") return false;
    if (decision.kind === "stop") {
      const { why } = decision.reason;
      if (why !== "restricted-agent" && why !== "unable-agent") return false;
      this.event({ type: "pause", by: why, reason: stopReason(decision.reason) });
      return true;
    }
    const limit = spentLimit(goal, this.context.now(), this.context.config.limits.budget);
    if (decision.kind !== "continue" || limit === undefined) return false;
    this.event({ type: "limit-reached", limit });
    return true;
  }

  /** Remembers what was decided, when it is not what was decided before. */
  decided(decision: Decision): void {
    const last = this.log.at(-1)?.decision;
    if (this.goal === undefined || (last !== undefined && isSameDecision(decision, last))) return;
    this.log = [...this.log.slice(1 - LONGEST_LOG), { at: this.context.now(), decision }];
    this.context.observe({ type: "decision", rootID: this.context.rootID, decision });
  }

  /**
   * Says once of everything that is asked that the goal waits for it, where it would go on otherwise.
   *
   * @param owesReport tasks have ended, and it is ours to say so: that waits for an undo, goal or not
   */
  announceAsks(decision: Decision, root: Root, tasks: readonly Task[], owesReport: boolean): void {
    const { asks } = root;
    if (asks.length === 0 && this.announced.size === 0) return;
    const announced = new Set(asks.flatMap(({ askID }) => (this.announced.has(askID) ? [askID] : [])));
    this.announced = announced;
    const goalWaits = this.goal?.status === "active" && waitsAwake(decision);
    const waits = goalWaits ? "the goal" : "a report about tasks";
    for (const ask of asks.filter(({ askID }) => !announced.has(askID))) {
      if (!goalWaits && !(ask.kind === "undo" && owesReport && root.presence.kind === "awake")) continue;
      announced.add(ask.askID);
      const { rootID, perform } = this.context;
      perform({ type: "toast", rootID, ...askAnnouncement(ask, askingTask(ask.sessionID, root, tasks), waits) });
    }
  }

  /** Counts the tokens of a model request, in the root or in a task below it, once. */
  count(event: Extract<HostEvent, { type: "assistant-message" }>, inRoot: boolean): void {
    const { goal } = this;
    const { sessionID, messageID, usage } = event;
    if (goal === undefined || usage === undefined || (goal.status !== "active" && goal.status !== "limited")) return;
    const { order } = this.context;
    const isNew = order.isBefore(sessionID, this.counted.get(sessionID) ?? "", messageID);
    if (!isNew || order.isBefore(sessionID, messageID, this.firstID)) return;
    this.counted.set(sessionID, messageID);
    this.event({ type: "spent", by: inRoot ? "own" : "tasks", tokens: usage.tokens });
  }
}

/** Neither an abort nor a restart keeps it from going on. */
function waitsAwake(decision: Decision): boolean {
  return decision.kind === "wait" && decision.reasons.every(({ why }) => why !== "quiet" && why !== "asleep");
}

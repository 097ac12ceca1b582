import type { Goal, GoalEvent } from "../goals/goal.ts";
import { overrun, overrunDeadline } from "../goals/overrun.ts";
import { rests, worksByItself } from "../goals/root.ts";
import type { HostEvent } from "../host/port.ts";
import { isNative } from "../tasks/lifecycle.ts";
import { OUR_ABORT_ERROR } from "../tasks/outcome.ts";
import { isLive, type Task } from "../tasks/task.ts";
import { overrunAnnouncement } from "./announcement.ts";
import type { KeeperConfig } from "./config.ts";
import type { Effect } from "./messages.ts";
import type { RootSession } from "./root-session.ts";
import type { TaskDesk } from "./task-desk.ts";

export interface RootBudgetContext {
  readonly rootID: string;
  readonly now: () => number;
  readonly config: KeeperConfig;
  readonly desk: Pick<TaskDesk, "endLaunched">;
  readonly session: RootSession;
  readonly goal: () => Goal | undefined;
  readonly tasks: () => readonly Task[];
  readonly onGoalEvent: (event: GoalEvent) => void;
  /** Something is to be done once what has changed is stored. */
  readonly onChange: () => void;
  readonly perform: (effect: Effect) => void;
}

/** Of a turn that is aborted: as long as the second idle of one may take. */
const ENDS_WITHIN_MS = 10_000;

/**
 * The end of what goes on far beyond a goal's budget. Looked at when a step begins behind others, in the root or in a task:
 * a step that has ended may have been the last one. The goal is limited first, in the store too, and then its turn is ended.
 */
export class RootBudget {
  /** It ends once that is written: each further step would limit it anew, and no write would be the last one. */
  private isEnding = false;
  private endsUntil = 0;

  constructor(private readonly context: RootBudgetContext) {}

  /** The earliest moment at which {@link check} has something to do though nothing happens: a step may hang. */
  get deadline(): number {
    const { session, goal, now, config } = this.context;
    return overrunDeadline(goal(), session.state.turn?.by, now(), config.limits);
  }

  check(): void {
    if (this.isEnding || this.isBeingEnded) return;
    const { session, goal, now, config } = this.context;
    const pursued = goal();
    if (pursued === undefined || pursued.status === "paused") return;
    const limit = overrun(pursued, session.state.turn?.by, now(), config.limits);
    if (limit === undefined) return;
    if (worksByItself(session.state)) this.cut(limit);
    else if (rests(session.state)) this.endTasks(limit);
  }

  /** Ends the turn that has been found to use too much, unless it has ended by itself or the user has written meanwhile. */
  endTurn(isStored: boolean): void {
    if (!this.isEnding || !isStored) return;
    this.isEnding = false;
    const { rootID, session, now, perform } = this.context;
    if (!worksByItself(session.state)) return;
    const { lastMessageID: messageID } = session.state;
    session.cutOff();
    this.endsUntil = now() + ENDS_WITHIN_MS;
    perform({ type: "abort-turn", rootID, messageID });
  }

  /** Steps that begin before our abort has reached the turn. One that is still there later is ended once more. */
  private get isBeingEnded(): boolean {
    const { session, now } = this.context;
    return session.state.turn?.error?.name === OUR_ABORT_ERROR && now() < this.endsUntil;
  }

  private cut(limit: string): void {
    const { session, tasks, onGoalEvent, onChange } = this.context;
    this.isEnding = true;
    session.quieten();
    onGoalEvent({ type: "overrun", limit });
    const ended = this.endLaunched(limit);
    // OpenCode ends what its own Task tool has made, together with the turn.
    this.say(
      ended,
      tasks().filter((task) => isLive(task) && !isNative(task)),
    );
    onChange();
  }

  /** Between two turns one message still wraps up, and tells of them. */
  private endTasks(limit: string): void {
    const { tasks, onGoalEvent } = this.context;
    const wouldEnd = tasks().some((task) => isLive(task) && task.origin === "launched");
    if (!wouldEnd) return;
    onGoalEvent({ type: "limit-reached", limit, isFar: true });
    this.say(this.endLaunched(limit), tasks().filter(isLive));
  }

  private endLaunched(limit: string): readonly Task[] {
    const { rootID, desk } = this.context;
    return desk.endLaunched(rootID, `the budget of the goal is used up: ${limit}`);
  }

  private say(ended: readonly Task[], atWork: readonly Task[]): void {
    const { rootID, goal, config, perform } = this.context;
    const limited = goal();
    if (limited === undefined) return;
    perform({ type: "toast", rootID, ...overrunAnnouncement(limited, ended, atWork, config) });
  }
}

/** A model request begins: what came before it in its turn was not the end. */
export function isBeginOfStep(event: HostEvent): boolean {
  return event.type === "assistant-message" && event.completedAt === undefined && event.error === undefined;
}

import type { Decision } from "../goals/gate.ts";
import type { Root } from "../goals/root.ts";
import { decideHold, type Hold, holdReasons } from "../goals/run-hold.ts";
import type { IsBefore } from "../tasks/message-order.ts";
import type { Task } from "../tasks/task.ts";
import type { RunConfig } from "./config.ts";
import type { Effect, Observation } from "./messages.ts";
import type { RootSession } from "./root-session.ts";

export interface RunTurnContext {
  readonly rootID: string;
  readonly run: RunConfig;
  readonly now: () => number;
  readonly session: RootSession;
  /** The order of its messages. */
  readonly isBefore: IsBefore;
  readonly tasks: () => readonly Task[];
  readonly addressed: () => readonly Task[];
  /** What the gate would answer if the root were in this state. */
  readonly decide: (root: Root) => Decision;
  readonly isUnderWay: () => boolean;
  readonly canTell: () => boolean;
  /** Whether the next message towards the goal has an id that is stored, or needs none. */
  readonly isPrepared: () => boolean;
  readonly perform: (effect: Effect) => void;
  readonly observe: (observation: Observation) => void;
}

/** The turn of an `opencode run`: whether it is held, and what for. At its end the process exits. */
export class RunTurn {
  private held: Hold | undefined;

  constructor(private readonly context: RunTurnContext) {}

  /** Tasks for which a turn that has ended without a text, and so cannot be held, is to be kept going. */
  get waitsFor(): readonly Task[] {
    const { run, session, tasks, addressed, canTell, now } = this.context;
    const root = session.state;
    const wait = root.wait ?? { until: now() + run.ceilingMs, overdueTold: false };
    if (!run.waits || root.activity.kind !== "ending" || wait.until <= now()) return [];
    const view = { root, tasks: tasks(), addressed: addressed(), canTell: canTell(), now: now() };
    const ids = new Set(holdReasons(view, wait).map(({ taskID }) => taskID));
    return view.tasks.filter(({ id }) => ids.has(id));
  }

  /** Lets the host go on when nothing is waited for any more, and when the turn itself does. */
  evaluate(): void {
    const { rootID, run, session, now, observe } = this.context;
    const root = session.state;
    if (root.activity.kind !== "held") return this.letGo();
    const hold = decideHold({
      waits: run.waits,
      root,
      isBefore: this.context.isBefore,
      tasks: this.context.tasks(),
      decision: this.context.decide({ ...root, activity: { kind: "idle", since: root.activity.since } }),
      addressed: this.context.addressed(),
      isSending: this.context.isUnderWay(),
      canTell: this.context.canTell(),
      isPreparing: this.context.canTell() && !this.context.isPrepared(),
      now: now(),
    });
    if (!isSame(hold, this.held)) observe({ type: "hold", rootID, hold });
    this.held = hold;
    if (hold.kind === "hold") return;
    session.release(hold.why === "nothing-owed" || hold.why === "interrupted");
    this.letGo();
  }

  /** The session is deleted: the host may wait for us all the same. */
  end(): void {
    this.letGo();
  }

  private letGo(): void {
    if (this.held === undefined) return;
    this.held = undefined;
    this.context.perform({ type: "release", rootID: this.context.rootID });
  }
}

function isSame(one: Hold, other: Hold | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

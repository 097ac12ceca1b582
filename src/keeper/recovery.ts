import type { BackgroundTaskManager } from "../tasks/background-task-manager.ts";
import { isNative } from "../tasks/lifecycle.ts";
import { elsewhere as runsElsewhere } from "../tasks/observation.ts";
import { isLive, type LiveTask, type Task } from "../tasks/task.ts";
import { type DeliveredTask, isDelivered } from "../tasks/task-records.ts";
import { MESSAGE_LOST } from "./announcement.ts";
import type { Effect, Input } from "./messages.ts";
import type { RootKeeper } from "./root-keeper.ts";
import { isUnsent, type StoredRoot } from "./stored-root.ts";

export interface RecoveryContext {
  readonly manager: BackgroundTaskManager;
  /** This instance, as it stands in the tasks that it runs. */
  readonly runner: string;
  readonly open: (rootID: string) => RootKeeper;
  readonly perform: (effect: Effect) => void;
}

/** Takes back what another process, or this one before a restart, has written down. */
export class Recovery {
  constructor(private readonly context: RecoveryContext) {}

  restored({ stored, awake, elsewhere }: Extract<Input, { type: "restored" }>): void {
    const { manager, open } = this.context;
    const seen = { archived: false, metadata: {} };
    manager.tree.see({ id: stored.self, title: "", createdAt: 0, ...seen });
    for (const { id, parentID, title, createdAt } of stored.tasks)
      manager.tree.see({ id, parentID, title, createdAt, ...seen });
    this.knowMessages(stored);
    const isTheirs = (task: Task): task is LiveTask => isLive(task) && elsewhere.includes(task.id);
    for (const task of stored.tasks) manager.dispatch(task.id, { type: "reread", stored: task });
    manager.restore(stored.tasks.map((task) => (isTheirs(task) ? runsElsewhere(task, isUnsent(task), 0) : task)));
    open(stored.self).restore(stored, awake);
    this.takeOver(stored, elsewhere);
    this.askBack(stored, elsewhere);
  }

  /** What was told and answered is done, and what was not told is told. */
  readBack({ rootID, told, lostID }: Extract<Input, { type: "read-back" }>): void {
    const { manager, perform } = this.context;
    for (const { taskID, run, messageID, as } of told) {
      if (as === "answered") manager.dispatch(taskID, { type: "reconciled", run });
      if (as === "not-told") manager.dispatch(taskID, { type: "not-stored", messageID });
    }
    // The report of a background task can be lost in the same way, and is told again.
    const mayBeReport = manager
      .of(rootID)
      .some((task) => task.origin === "background" && (isLive(task) || task.delivery.state === "pending"));
    if (lostID !== undefined && !mayBeReport)
      perform({ type: "toast", rootID, variant: "warning", message: MESSAGE_LOST });
  }

  reread({ stored, elsewhere }: Extract<Input, { type: "reread" }>): void {
    const { manager, runner } = this.context;
    for (const task of stored.tasks) {
      if (manager.get(task.id)?.runner !== runner) manager.dispatch(task.id, { type: "reread", stored: task });
    }
    this.takeOver(stored, elsewhere);
  }

  /** The host had told an outcome before it was killed: its message stands in the parent's transcript. */
  toldBefore({ told, messageID, run, answered }: Extract<Input, { type: "told-before" }>): void {
    const { manager } = this.context;
    const { taskID, ended, text } = told;
    if (manager.get(taskID)?.run.number !== run) return;
    manager.dispatch(taskID, { type: "told", ended, text, messageID });
    if (answered) manager.dispatch(taskID, { type: "reconciled", run });
  }

  /**
   * A process dies between what it tells and what it writes down about it: the transcript is read before either is
   * believed.
   */
  private askBack({ self: rootID, owner, reserved, goal }: StoredRoot, elsewhere: readonly string[]): void {
    const { manager, perform } = this.context;
    const told = manager
      .of(rootID)
      .filter(isDelivered)
      .filter(({ id, delivery }) => delivery.sessionID === rootID && !elsewhere.includes(id));
    // OpenCode stores the result of a tool of its own before it says so, and the turn that was to read it is over.
    for (const { id, run } of told.filter(isToolResult)) manager.dispatch(id, { type: "reconciled", run: run.number });
    const taskIDs = told.filter((task) => !isToolResult(task)).map(({ id }) => id);
    const known = { reservedID: reserved?.id, goal: goal && { id: goal.id, startedAt: goal.startedAt } };
    perform({ type: "read-back", rootID, taskIDs, known, before: owner });
  }

  /** Whatever is said from now on comes behind what was told, and behind what was to be. */
  private knowMessages({ self: rootID, reserved, tasks }: StoredRoot): void {
    const { order, tree } = this.context.manager;
    for (const { delivery } of tasks.filter(isDelivered)) {
      if (tree.get(delivery.sessionID) !== undefined) order.known(delivery.sessionID, delivery.messageID, delivery.at);
    }
    // Of our own form: it tells itself since when it is.
    if (reserved !== undefined) order.known(rootID, reserved.id, 0);
  }

  /** Tasks whose process is gone are ours from now on; those of a living one stay with it. */
  private takeOver(stored: StoredRoot, elsewhere: readonly string[]): void {
    const { manager, runner } = this.context;
    for (const task of stored.tasks) {
      const orphaned = !elsewhere.includes(task.id) && manager.get(task.id)?.runner !== runner;
      if (orphaned) manager.dispatch(task.id, { type: "restarted", runner, waits: isUnsent(task) });
    }
  }
}

function isToolResult(task: DeliveredTask): boolean {
  return task.delivery.byTurn && isNative(task);
}

import type { StoredRoot } from "../keeper/stored-root.ts";
import { isOwn, type TaskManager, type TaskView } from "../library/task-manager.ts";
import { isEnded, isLive, type Task } from "../tasks/task.ts";
import { resolveCaller } from "../tools/context.ts";
import { cancelledText, elsewhereText, endedAlready, noSuchTask, taskBoard, unclearText } from "../tools/task-board.ts";
import { parseTasksCommand, TASKS_COMMAND, type TasksCommand } from "../tools/tasks-command.ts";
import { type AnswerDependencies, answer, answerFromElsewhere } from "./command.ts";

export interface TasksCommandDependencies extends AnswerDependencies {
  readonly tasks: TaskManager;
  readonly now: () => number;
}

const REASON = "the user cancelled it";

/** What is said, and what of it fits into a toast. */
interface Said {
  readonly said: string;
  readonly brief?: string;
}

/** Acts on `/tasks …`: a person sees the background tasks and ends them, without the agent. */
export class TasksCommandRunner {
  /** By root: a number means what it meant in the list that was shown last, whatever has come or gone since. */
  private readonly shown = new Map<string, readonly string[]>();

  constructor(private readonly deps: TasksCommandDependencies) {}

  /** @throws CommandAnswered when the command has been answered: no turn may start */
  async execute(sessionID: string, args: string): Promise<never> {
    const { deps } = this;
    const command = parseTasksCommand(args);
    const stored = await deps.loader.foreignRoot(sessionID);
    if (stored !== undefined && stored.tasks.length > 0) {
      const board = taskBoard(stored.tasks.map(storedView), deps.now());
      const said = elsewhereText(board, stored.owner.pid);
      return answerFromElsewhere(sessionID, { title: TASKS_COMMAND, said }, deps);
    }
    const caller = await resolveCaller(sessionID, deps);
    const said = await this.act(command, caller.rootID);
    return answer(sessionID, { title: TASKS_COMMAND, ...said }, caller, deps);
  }

  private async act(command: TasksCommand, rootID: string): Promise<Said> {
    switch (command.type) {
      case "show":
        return this.show(rootID);
      case "cancel":
        return { said: await this.cancel(command.which, rootID) };
      case "cancel-all":
        return { said: await this.cancelAll(rootID) };
      case "unclear":
        return { said: unclearText(command.said) };
    }
  }

  private show(rootID: string): Said {
    const { ids, ...said } = taskBoard(this.deps.tasks.list(rootID), this.deps.now());
    this.shown.set(rootID, ids);
    return said;
  }

  private async cancel(which: number | string, rootID: string): Promise<string> {
    const { tasks } = this.deps;
    const task = tasks.get(typeof which === "number" ? (this.numbered(rootID)[which - 1] ?? "") : which);
    if (task === undefined || task.rootID !== rootID) return noSuchTask(which);
    if (isEnded(task)) return endedAlready(task);
    const live = this.live(rootID);
    await tasks.cancel(task.id, REASON);
    return cancelledText(this.endedOf(live));
  }

  private async cancelAll(rootID: string): Promise<string> {
    const { tasks } = this.deps;
    const live = this.live(rootID);
    const own = live.filter(isOwn).map(({ id }) => tasks.cancel(id, REASON));
    await Promise.all([tasks.cancelAll(rootID, REASON), ...own]);
    return cancelledText(this.endedOf(live));
  }

  private numbered(rootID: string): readonly string[] {
    return this.shown.get(rootID) ?? taskBoard(this.deps.tasks.list(rootID), this.deps.now()).ids;
  }

  private live(rootID: string): readonly Task[] {
    return this.deps.keeper.tasks(rootID).filter(isLive);
  }

  /** Those that this has ended; what came to its own end meanwhile was not cancelled. */
  private endedOf(before: readonly Task[]): readonly Task[] {
    return before.filter(({ id }) => this.deps.tasks.get(id)?.status === "cancelled");
  }
}

/** A stub holds neither signs of life nor places: they are known where the task runs. */
function storedView(task: StoredRoot["tasks"][number]): TaskView {
  const usage = (isEnded(task) ? task.outcome.usage : undefined) ?? { tokens: 0, cost: 0 };
  return { task, queuePosition: 0, lastSignAt: task.run.startedAt, toolRuns: false, usage };
}

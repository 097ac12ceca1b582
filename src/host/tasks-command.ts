import type { StoredRoot } from "../keeper/stored-root.ts";
import { isOwn, type TaskManager, type TaskView } from "../library/task-manager.ts";
import { isEnded, isLive, type Task } from "../tasks/task.ts";
import { resolveCaller } from "../tools/context.ts";
import { cancelledText, elsewhereText, endedAlready, noSuchTask, taskBoard, unclearText } from "../tools/task-board.ts";
import { parseTasksCommand, TASKS_COMMAND, type TasksCommand } from "../tools/tasks-command.ts";
import { type AnswerDependencies, answer, answerFromElsewhere, rootOf } from "./command.ts";

export interface TasksCommandDependencies extends AnswerDependencies {
  readonly tasks: TaskManager;
  readonly now: () => number;
}

const REASON = "the user cancelled it";

/** What is said, and what of it fits into a toast. */
interface Said {
  readonly said: string;
  readonly brief?: string;
  readonly isRefused?: boolean;
}

/** Acts on `/tasks …`: a person sees the background tasks and ends them, without the agent. */
export class TasksCommandRunner {
  /** By root: a number means what it meant in the list that was shown last, whatever has come or gone since. */
  private readonly shown = new Map<string, readonly string[]>();

  constructor(private readonly deps: TasksCommandDependencies) {}

  /** @throws CommandAnswered when the command has been answered: no turn may start */
  async execute(sessionID: string, args: string, hasFiles = false): Promise<never> {
    const deps = { ...this.deps, hasFiles };
    const command = parseTasksCommand(args);
    const rootID = await rootOf(sessionID, deps);
    const foreign = await deps.loader.foreignRoot(rootID);
    if (foreign !== undefined)
      return answerFromElsewhere(sessionID, { title: TASKS_COMMAND, ...this.elsewhere(command, foreign) }, deps);
    if (command.type === "unclear")
      return answer(sessionID, { title: TASKS_COMMAND, ...notUnderstood(command.said) }, { rootID }, deps);
    const caller = await resolveCaller(sessionID, deps);
    const said = await this.act(command, caller.rootID);
    return answer(sessionID, { title: TASKS_COMMAND, ...said }, caller, deps);
  }

  private async act(command: Exclude<TasksCommand, { type: "unclear" }>, rootID: string): Promise<Said> {
    switch (command.type) {
      case "show":
        return this.show(rootID);
      case "cancel":
        return this.cancel(command.which, rootID);
      case "cancel-all":
        return { said: await this.cancelAll(rootID) };
    }
  }

  /** Where another process works nothing is taken away from it, neither by a look nor by what is cancelled there. */
  private elsewhere(command: TasksCommand, { tasks, owner }: StoredRoot): Said {
    if (command.type === "unclear") return notUnderstood(command.said);
    const board = taskBoard(tasks.map(storedView), this.deps.now());
    if (tasks.length > 0) return { said: elsewhereText(board, owner.pid), isRefused: command.type !== "show" };
    if (command.type === "show") return { said: board.said };
    return command.type === "cancel-all"
      ? { said: cancelledText([]) }
      : { said: noSuchTask(command.which), isRefused: true };
  }

  private show(rootID: string): Said {
    const { ids, ...said } = taskBoard(this.deps.tasks.list(rootID), this.deps.now());
    this.shown.set(rootID, ids);
    return said;
  }

  private async cancel(which: number | string, rootID: string): Promise<Said> {
    const { tasks } = this.deps;
    const task = tasks.get(typeof which === "number" ? (this.numbered(rootID)[which - 1] ?? "") : which);
    if (task === undefined || task.rootID !== rootID) return { said: noSuchTask(which), isRefused: true };
    if (isEnded(task)) return { said: endedAlready(task) };
    const live = this.live(rootID);
    await tasks.cancel(task.id, REASON);
    return { said: cancelledText(this.endedOf(live)) };
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

function notUnderstood(said: string): Said {
  return { said: unclearText(said), isRefused: true };
}

/** A stub holds neither signs of life nor places: they are known where the task runs. */
function storedView(task: StoredRoot["tasks"][number]): TaskView {
  const usage = (isEnded(task) ? task.outcome.usage : undefined) ?? { tokens: 0, cost: 0 };
  return { task, queuePosition: 0, lastSignAt: task.run.startedAt, toolRuns: false, usage };
}

import type { Voice } from "../../src/host/port.ts";
import { type TaskManager, TaskNotFoundError } from "../../src/library/task-manager.ts";
import { LaunchError } from "../../src/tasks/launcher.ts";
import { type EndedTask, isEnded, type Task } from "../../src/tasks/task.ts";
import { HostSilentError } from "../../src/tools/context.ts";
import type { World } from "./world.ts";

/** A tool call that has not returned yet. Without a turn it is the call of a library's author. */
interface Call {
  readonly sessionID: string;
  readonly callID: string | undefined;
  readonly messageID: string;
  readonly waits: boolean;
  /** The task whose next run it asks for. */
  resumes?: string;
  /** Of the process that it belongs to. */
  readonly tasks: TaskManager;
  readonly controller: AbortController;
  /** Tasks whose end its output tells. */
  readonly told: string[];
}

/** What the models of the world do with tasks: each call as our tools make it, under way for as long as it takes. */
export class Tools {
  private readonly open = new Set<Call>();
  private count = 0;

  constructor(private readonly world: World) {}

  launch(parentID: string, model: Voice["model"] | undefined): void {
    const wish = { description: `part ${++this.count}`, prompt: `do part ${this.count}`, model };
    this.use(parentID, "background_task", async (call) => {
      const { signal } = call.controller;
      const task = await call.tasks.launch({ ...wish, parentID, signal });
      return isEnded(task) ? this.ended(task, call) : "launched";
    });
  }

  resume(taskID: string, callerID: string, model: Voice["model"] | undefined): void {
    const prompt = `do part ${++this.count}`;
    this.use(callerID, "background_task", async (call) => {
      call.resumes = taskID;
      const messageID = call.callID === undefined ? undefined : call.messageID;
      const { signal } = call.controller;
      const { earlier } = await call.tasks.resume({ taskID, callerID, messageID, prompt, model, signal });
      return earlier === undefined ? "resumed" : this.line(earlier, call);
    });
  }

  cancel(taskID: string, callerID: string): void {
    this.world.ledger.intends(this.world.host.exists(taskID) ? [taskID, ...this.world.host.below(taskID)] : [taskID]);
    this.use(callerID, "background_cancel", async (call) => {
      const task = await call.tasks.cancel(taskID, "no longer wanted");
      return task === undefined ? "unknown" : this.ended(task, call);
    });
  }

  cancelAll(callerID: string): void {
    this.world.ledger.intends(this.world.host.below(callerID));
    // Also those whose deletion was not heard.
    const known = this.world.keeper.tasks(this.world.host.rootOf(callerID));
    this.world.ledger.intends(known.filter(({ parentID }) => parentID === callerID).map(({ id }) => id));
    this.world.ledger.stopsNow(callerID);
    this.use(callerID, "background_cancel", async (call) => {
      const tasks = await call.tasks.cancelAll(callerID, "no longer wanted");
      return tasks.map((task) => this.ended(task, call)).join("\n");
    });
  }

  read(taskID: string, callerID: string): void {
    this.use(callerID, "background_output", async (call) => this.output(taskID, call));
  }

  wait(taskID: string, callerID: string, timeoutMs: number): void {
    this.use(callerID, "wait", async (call) => {
      const { signal } = call.controller;
      await call.tasks.wait(taskID, { timeoutMs, signal, callerID });
      return signal.aborted ? "aborted" : this.output(taskID, call);
    });
  }

  isResuming(taskID: string): boolean {
    return [...this.open].some((call) => call.resumes === taskID);
  }

  /** Whether a call of this session waits for tasks. */
  waits(sessionID: string): boolean {
    return [...this.open].some((call) => call.waits && call.sessionID === sessionID);
  }

  /** Whether its turn cannot end because a tool call has not returned. */
  holds(sessionID: string): boolean {
    return [...this.open].some((call) => call.callID !== undefined && call.sessionID === sessionID);
  }

  get size(): number {
    return this.open.size;
  }

  /** OpenCode aborts the tool calls of a turn that ends before them. */
  turnOver(sessionID: string): void {
    if (this.world.host.hasTurn(sessionID)) return;
    for (const call of this.open) if (call.sessionID === sessionID) call.controller.abort();
  }

  /** The process is gone, and with it every call. */
  forget(): void {
    this.open.clear();
  }

  /** Of the turn that runs: a turn that was cut short has given up its calls. */
  private isRunning(sessionID: string, callID: string): boolean {
    const { host } = this.world;
    if (!host.hasTurn(sessionID)) return false;
    const answer = host.messages(sessionID).findLast(({ role }) => role === "assistant");
    return answer?.calls.get(callID)?.state === "running";
  }

  private async output(taskID: string, call: Call): Promise<string> {
    const { task } = await call.tasks.output(taskID);
    return task !== undefined && isEnded(task) ? this.ended(task, call) : "works";
  }

  /** `before`: another call of the same turn may have told it meanwhile. */
  private ended(before: Task, call: Call): string {
    const task = call.tasks.get(before.id) ?? before;
    // As our tools do: OpenCode drops the results of a turn that the user has aborted.
    if (!isEnded(task) || call.callID === undefined || call.controller.signal.aborted) return "";
    const { state } = task.delivery;
    const isUntold = state === "pending" || state === "undelivered";
    const isReader = this.world.keeper.manager.readerOf(task) === call.sessionID;
    if (!isUntold || !isReader) return "told before";
    const { sessionID, messageID } = call;
    call.tasks.handedOver(task, { sessionID, messageID });
    return this.line(task, call);
  }

  private line({ id, title, status }: EndedTask, call: Call): string {
    call.told.push(id);
    const how = { completed: "completed", failed: "failed: so", cancelled: "cancelled.", lost: "LOST" }[status];
    return `- "${title}" (${id}): ${how}`;
  }

  /** A model calls a tool; without a turn of its own, the author of a plugin does. */
  use(sessionID: string, tool: string, work: (call: Call) => Promise<string>): void {
    const { host, life, tasks } = this.world;
    const callID = host.hasTurn(sessionID) ? host.beginTool(sessionID, tool) : undefined;
    const messageID = host.messages(sessionID).findLast(({ role }) => role === "assistant")?.id ?? "";
    const controller = new AbortController();
    const call: Call = { sessionID, callID, messageID, waits: tool === "wait", tasks, controller, told: [] };
    this.open.add(call);
    void work(call)
      .catch((error: unknown) => {
        const isMeant = [LaunchError, TaskNotFoundError, HostSilentError].some((known) => error instanceof known);
        if (isMeant) return String(error);
        this.world.book.breaches.push(`L0: ${tool} threw ${String(error)}`);
        return "";
      })
      .then((output) => {
        const isOpen = this.open.delete(call);
        if (!isOpen || life !== this.world.life || callID === undefined) return;
        if (this.isRunning(sessionID, callID)) return host.endTool(sessionID, callID, "completed", output);
        // Nobody is told it again.
        if (call.told.length > 0)
          this.world.book.breaches.push(`L2: ${tool} told ${call.told} in a result that is dropped`);
      });
  }
}

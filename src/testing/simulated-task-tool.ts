import { AFTER, SimulatedEngine, TASK_TOOL } from "./simulated-engine.ts";
import type { SimulatedJob, SimulatedSession } from "./simulated-sessions.ts";

/** How a turn of a child ended, for the Task tool that waits for it. */
export type End =
  | { readonly kind: "completed"; readonly text: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "aborted" };

/** How another plugin's tool of the same name goes about it. */
export interface ForeignCall {
  readonly title?: string;
  /** How long the call takes. @default 60 */
  readonly returnsAfterMs?: number;
  /** When the child gets its prompt. @default 2 */
  readonly promptsAfterMs?: number;
  /** Whether the part names the child while the call runs; its result always does. @default true */
  readonly namesEarly?: boolean;
}

/** The native Task tool: its calls, in the foreground and in the background, and what it tells the parent. */
export abstract class SimulatedTaskTool extends SimulatedEngine {
  /** When the host reports an ended background task to its parent: after so many ms, or never. */
  hostTellsAfterMs: number | "never" = AFTER.hostTells;

  /** Lets the run loop of a session look for something to answer. */
  protected abstract wake(session: SimulatedSession): void;
  protected abstract wakeLater(session: SimulatedSession, ms: number): void;
  /** A client writes into a session. */
  protected abstract storeText(session: SimulatedSession, text: string, synthetic: boolean): string;

  protected runJob(child: SimulatedSession, job: SimulatedJob): void {
    child.job = job;
    const isCurrent = () => child.job === job && this.sessions.all.has(child.id);
    this.later(AFTER.toolRunning, () => isCurrent() && this.emitTool(child, job, "running", ""));
    this.later(AFTER.childPrompt, () => {
      if (!isCurrent()) return;
      const part = { id: this.sessions.id("prt"), text: job.title, synthetic: false, ignored: false };
      this.store(child, { id: this.sessions.messageID(), parts: [part], voice: undefined });
    });
    if (job.background) this.later(AFTER.backgroundCompleted, () => isCurrent() && this.started(child));
    const busyAfter = job.background ? AFTER.backgroundCompleted + 1 : AFTER.childBusy;
    this.later(busyAfter, () => isCurrent() && this.wake(child));
  }

  protected started(child: SimulatedSession): void {
    if (child.job === undefined) return;
    child.job.started = true;
    const output = `<task id="${child.id}" state="running">\n<summary>Background task started</summary>\n</task>`;
    this.emitTool(child, child.job, "completed", output);
  }

  protected jobEnded(child: SimulatedSession, end: End): void {
    const { job } = child;
    if (job === undefined || child.parentID === undefined) return;
    child.job = undefined;
    const parent = this.sessions.get(child.parentID);
    if (parent === undefined) return;
    if (!job.background) return this.foregroundEnded(child, job, end);
    if (end.kind === "aborted" || this.hostTellsAfterMs === "never") return;
    this.later(this.hostTellsAfterMs, () => {
      if (!this.sessions.all.has(parent.id)) return;
      const text = backgroundReport(child, end);
      const told = { taskID: child.id, ended: end.kind, text: end.kind === "completed" ? end.text : end.message };
      const part = { id: this.sessions.id("prt"), text, synthetic: true, ignored: false };
      this.store(parent, { id: this.sessions.messageID(), parts: [part], voice: undefined }, () => told);
      this.wakeLater(parent, AFTER.wakesParent);
    });
  }

  protected foregroundEnded(child: SimulatedSession, job: SimulatedJob, end: End): void {
    this.later(AFTER.toolEnds, () => {
      switch (end.kind) {
        case "completed":
          return this.emitTool(child, job, "completed", foregroundResult(child, end.text));
        case "failed":
          return this.emitTool(child, job, "error", `Subagent failed (task_id: ${child.id}): ${end.message}`);
        case "aborted":
          return this.emitTool(child, job, "error", "Task cancelled");
      }
    });
  }

  protected emitTool(
    child: SimulatedSession,
    job: SimulatedJob,
    state: "running" | "completed" | "error",
    output: string,
  ): void {
    const { callID, messageID, background, title } = job;
    if (child.parentID === undefined) return;
    const about = { sessionID: child.id, background, title };
    const message = this.sessions.get(child.parentID)?.messages.find(({ id }) => id === messageID);
    const input = JSON.stringify({ description: title, background });
    message?.calls.set(callID, { type: "tool", callID, tool: TASK_TOOL, state, title, input, output });
    this.emit({
      type: "tool",
      sessionID: child.parentID,
      messageID,
      callID,
      tool: TASK_TOOL,
      state,
      output,
      child: about,
    });
  }

  /** Nothing waits for the child of such a call, and whoever made it tells of its end or does not. */
  protected runForeignCall(child: SimulatedSession, messageID: string, how: ForeignCall): void {
    const { returnsAfterMs = 60, promptsAfterMs = 2, namesEarly = true } = how;
    const parent = this.sessions.must(child.parentID ?? "");
    const call = { callID: this.sessions.id("call"), messageID, title: child.title, background: false, started: false };
    parent.openCalls.add(call.callID);
    this.later(1, () => {
      if (namesEarly && this.sessions.get(child.id) === child) this.emitTool(child, call, "running", "");
    });
    this.later(promptsAfterMs, () => {
      if (this.sessions.get(child.id) === child) this.storeText(child, child.title, false);
    });
    this.later(returnsAfterMs, () => {
      parent.openCalls.delete(call.callID);
      // An abort has ended the call with its turn, and the error of such a part names no child here.
      const runs = parent.turn?.answer.id === messageID && this.sessions.get(child.id) === child;
      if (runs) this.emitTool(child, call, "completed", "Sent off.");
    });
  }

  /** A call of the Task tool is not completed yet, so that the turn cannot end. */
  isHeldByTask(sessionID: string): boolean {
    if ((this.sessions.get(sessionID)?.openCalls.size ?? 0) > 0) return true;
    return this.sessions.children(sessionID).some(({ job }) => job !== undefined && !(job.background && job.started));
  }
}

function backgroundReport(child: SimulatedSession, end: Exclude<End, { kind: "aborted" }>): string {
  return end.kind === "completed"
    ? `<task id="${child.id}" state="completed">\n<summary>Background task completed: ${child.title}</summary>\n<task_result>\n${end.text}\n</task_result>\n</task>`
    : `<task id="${child.id}" state="error">\n<summary>Background task failed: ${child.title}</summary>\n<task_error>\n${end.message}\n</task_error>\n</task>`;
}

function foregroundResult(child: SimulatedSession, text: string): string {
  return `<task id="${child.id}" state="completed">\n<task_result>\n${text}\n</task_result>\n</task>`;
}

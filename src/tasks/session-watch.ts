import { readFrame } from "../delivery/frame.ts";
import type { HostEvent, TurnError } from "../host/port.ts";
import type { MessageOrder } from "./message-order.ts";
import { ABORT_ERROR } from "./outcome.ts";
import type { NativeCall, SessionTree } from "./session-tree.ts";
import type { Signs } from "./signs.ts";
import { isEnded, type Origin, type Task } from "./task.ts";
import type { TaskEvent } from "./task-event.ts";
import type { TaskRecords } from "./task-records.ts";
import { UnneededSessions, type Use } from "./unneeded-sessions.ts";

/** A child that somebody else has made, seen at work. */
export interface NoticedChild extends Pick<Task, "id" | "parentID" | "rootID" | "origin" | "title" | "createdAt"> {
  readonly callID: string | undefined;
}

export interface SessionWatchDependencies {
  readonly order: Pick<MessageOrder, "isBefore">;
  readonly tree: SessionTree;
  readonly signs: Signs;
  readonly records: Pick<TaskRecords, "childrenOf" | "deliveredTo" | "get" | "has" | "hasRoot" | "of">;
  readonly now: () => number;
  /** Whether children that others made are tasks too, also where we launched nothing. */
  readonly adopts: boolean;
  readonly dispatch: (taskID: string, event: TaskEvent) => void;
  /** Opens a record. */
  readonly open: (child: NoticedChild) => void;
  readonly askStatuses: () => void;
  /** The answer comes as an event. */
  readonly askSession: (sessionID: string) => void;
}

/** What the host shows of its sessions, sorted to the tasks that it concerns. It changes no record itself. */
export class SessionWatch {
  private readonly watched = new Set<string>();
  private readonly unneeded: UnneededSessions;

  constructor(private readonly deps: SessionWatchDependencies) {
    this.unneeded = new UnneededSessions({
      now: deps.now,
      useOf: (sessionID) => this.useOf(sessionID),
      forget: (sessionID) => this.forget(sessionID),
      askStatuses: deps.askStatuses,
    });
  }

  /** Sorts one host event to the tasks that it concerns. */
  receive(event: HostEvent): void {
    switch (event.type) {
      case "session-seen":
        return this.seen(event);
      case "session-deleted":
        return this.deleted(event.sessionID);
      case "session-busy":
      case "session-retrying":
        this.deps.tree.setBusy(event.sessionID, true);
        this.heard(event.sessionID);
        this.askAbove(event.sessionID);
        // A provider that is asked again in an hour is no silence until then.
        if (event.type === "session-retrying") this.deps.signs.mark(event.sessionID, event.until);
        this.notice(event.sessionID);
        return this.deps.dispatch(event.sessionID, { type: "busy" });
      case "session-idle":
        return this.idle(event.sessionID);
      case "session-error":
        if (event.error.name === ABORT_ERROR) return this.deps.dispatch(event.sessionID, { type: "aborted" });
        return this.deps.dispatch(event.sessionID, { type: "errored", error: bare(event.error) });
      case "user-text":
        // A report of ours may come when its reader has just been cancelled: that is no new run.
        if (!event.ignored && !(event.synthetic && readFrame(event.text) !== undefined) && !this.isOld(event))
          this.deps.dispatch(event.sessionID, { type: "prompted", promptID: event.messageID });
        return this.hostTold(event);
      case "assistant-text":
        return this.deps.signs.keepText(event.sessionID, event.text);
      case "assistant-message":
        if (event.usage !== undefined) this.deps.signs.count(event.sessionID, event.messageID, event.usage);
        if (event.completedAt === undefined || event.summary) return;
        if (event.error === undefined) this.deps.dispatch(event.sessionID, { type: "answered" });
        return this.answered(event.sessionID, event.parentID);
      case "tool":
        return this.tool(event);
      case "step-ended":
        // Its message is complete but for the host's own books: what it has read is answered.
        this.answered(event.sessionID, event.readID);
        return this.turnEnded(event.sessionID);
      case "turn-held":
      case "turn-goes-on":
        return this.deps.signs.mark(event.sessionID, this.deps.now());
      case "ask-closed":
        if (event.rejected) this.deps.dispatch(event.sessionID, { type: "rejected", kind: event.kind });
        return;
      case "user-message":
      case "session-compacted":
      case "message-removed":
      case "ask-opened":
        return;
    }
  }

  /** From now on every child of this root is a task, also one that already works. */
  watch(rootID: string): void {
    if (this.watched.has(rootID)) return;
    this.watched.add(rootID);
    // A session from before this process, or one that was forgotten while nobody watched it.
    if (this.deps.tree.get(rootID) === undefined)
      this.deps.tree.see({ id: rootID, title: "", createdAt: 0, archived: false, metadata: {} });
    this.noticeWorking(rootID);
  }

  unwatch(rootID: string): void {
    if (this.watched.delete(rootID)) this.heard(rootID);
  }

  /**
   * A record is gone. Its session stays known while it works, or has children, who find their root through it. A root
   * is left for later: a turn of it may be about to begin.
   */
  forgetEnded(sessionID: string): void {
    const { tree } = this.deps;
    let seen = tree.get(sessionID);
    while (seen?.parentID !== undefined && this.useOf(seen.id) === "none") {
      this.forget(seen.id);
      seen = tree.get(seen.parentID);
    }
    if (seen !== undefined) this.heard(seen.id);
  }

  /** The earliest moment at which {@link tick} has something to do. */
  deadline(): number {
    return this.unneeded.deadline();
  }

  tick(): void {
    this.unneeded.tick();
  }

  /** Sessions that are no tasks and have come to rest unheard. `working`: what the host shows as working. */
  resting(working: { has(sessionID: string): boolean }): readonly string[] {
    return this.unneeded.resting(working);
  }

  private seen({ session, created }: Extract<HostEvent, { type: "session-seen" }>): void {
    const { tree } = this.deps;
    const isNews = !created && tree.get(session.id) === undefined;
    tree.see(session);
    this.heard(session.id);
    this.askAbove(session.id);
    const rootID = tree.rootOf(session.id);
    // What works below it may have waited for this link.
    if (isNews && rootID !== undefined && this.isWatched(rootID)) this.noticeWorking(rootID);
  }

  /**
   * The host shows a session with the id of its parent and of no one above. Whoever is between it and its root may be
   * from before this process, or forgotten.
   */
  private askAbove(sessionID: string): void {
    const missing = this.deps.adopts ? this.deps.tree.missingAbove(sessionID) : undefined;
    if (missing !== undefined) this.deps.askSession(missing);
  }

  /** Children of a watched root that began before it was known whose they are. */
  private noticeWorking(rootID: string): void {
    for (const child of this.deps.tree.workingBelow(rootID)) {
      if (this.deps.records.has(child.id)) continue;
      this.notice(child.id);
      if (child.busy) this.deps.dispatch(child.id, { type: "busy" });
    }
  }

  /** Opens the record of a child. `wanted`: also when nothing watches its root yet. */
  private notice(sessionID: string, wanted = false): void {
    const seen = this.deps.tree.get(sessionID);
    const rootID = this.deps.tree.rootOf(sessionID);
    if (seen?.parentID === undefined || rootID === undefined || this.deps.records.has(sessionID)) return;
    // What works below a task belongs to it, whoever made it: the task is not over before.
    if (!this.deps.adopts && !this.deps.records.has(seen.parentID)) return;
    if (!wanted && !this.isWatched(rootID)) return;
    const { native, parentID, createdAt } = seen;
    const title = native === undefined || native.title === "" ? seen.title : native.title;
    const callID = native?.callID;
    this.deps.open({ id: sessionID, parentID, rootID, origin: originOf(native), title, createdAt, callID });
  }

  private idle(sessionID: string): void {
    this.deps.tree.setBusy(sessionID, false);
    this.deps.signs.rest(sessionID);
    this.deps.dispatch(sessionID, { type: "idle" });
    this.turnEnded(sessionID);
    const rootID = this.deps.tree.rootOf(sessionID);
    if (rootID === undefined || !this.isWatched(rootID)) this.forget(sessionID);
    else this.heard(sessionID);
  }

  /** The turn that held the result of a foreground task is over: its reader has it. */
  private turnEnded(sessionID: string): void {
    for (const task of this.deps.records.deliveredTo(sessionID)) {
      if (task.delivery.byTurn) this.deps.dispatch(task.id, { type: "reconciled", run: task.run.number });
    }
  }

  private deleted(sessionID: string): void {
    this.deps.dispatch(sessionID, { type: "deleted", text: this.deps.signs.text(sessionID) });
    // With a session its children go, also those that were no task themselves.
    const isRoot = this.deps.records.hasRoot(sessionID);
    for (const task of isRoot ? this.deps.records.of(sessionID) : this.deps.records.childrenOf(sessionID)) {
      this.deps.dispatch(task.id, { type: "deleted", text: this.deps.signs.text(task.id) });
      // With the root the last reader is gone.
      const reason = "its parent session was deleted";
      if (isRoot) this.deps.dispatch(task.id, { type: "undelivered", run: task.run.number, reason });
    }
    this.watched.delete(sessionID);
    for (const seen of this.deps.tree.below(sessionID)) this.forget(seen.id);
    this.forget(sessionID);
  }

  private tool(event: Extract<HostEvent, { type: "tool" }>): void {
    const { child } = event;
    // Its child may be at work again by now.
    if (event.fromBefore) return;
    this.deps.signs.tool(event.sessionID, event.callID, event.state === "running");
    if (child === undefined) return;
    if (event.state === "running" && this.deps.tree.get(child.sessionID) === undefined) {
      // A child from before this process, resumed by its parent.
      const { sessionID: id, title } = child;
      this.deps.tree.see({
        id,
        parentID: event.sessionID,
        title,
        createdAt: this.deps.now(),
        archived: false,
        metadata: {},
      });
    }
    this.deps.tree.setNative(child.sessionID, {
      callID: event.callID,
      background: child.background,
      isRunning: event.state === "running",
      title: child.title,
    });
    this.heard(child.sessionID);
    const known = this.deps.records.get(child.sessionID);
    if (known === undefined) {
      // Only a call that still works makes a task: the host repeats the parts of old calls when it compacts.
      const works = event.state === "running" || (event.state === "completed" && child.background);
      if (!works || !this.deps.tree.get(child.sessionID)) return;
      this.notice(child.sessionID, child.background);
    }
    this.deps.dispatch(child.sessionID, {
      type: "tool",
      state: event.state,
      callID: event.callID,
      background: child.background,
      output: event.output,
      messageID: event.messageID,
    });
  }

  /** OpenCode wakes the parent of an ended background task with a synthetic `<task id="…" state="…">` text. */
  private hostTold(event: Extract<HostEvent, { type: "user-text" }>): void {
    this.makerTold(event);
    for (const { taskID, run } of event.lost ?? [])
      this.deps.dispatch(taskID, { type: "told-lost", run, sessionID: event.sessionID, messageID: event.messageID });
    const told = event.told;
    const task = told === undefined ? undefined : this.deps.records.get(told.taskID);
    if (told === undefined || task === undefined || task.parentID !== event.sessionID) return;
    this.deps.dispatch(task.id, { type: "told", ended: told.ended, text: told.text, messageID: event.messageID });
  }

  /** Whoever made a task that we did not make tells its end with a message of his own, and need not name it. */
  private makerTold({
    sessionID,
    messageID,
    text,
    synthetic,
    ignored,
  }: Extract<HostEvent, { type: "user-text" }>): void {
    if (ignored || !this.deps.records.hasRoot(this.deps.tree.rootOf(sessionID) ?? sessionID)) return;
    for (const task of this.deps.records.childrenOf(sessionID)) {
      const isReport = text.includes(task.id) || (synthetic && task.status !== "lost");
      if (isReport) this.deps.dispatch(task.id, { type: "maker-told", messageID });
    }
  }

  /** The host publishes old messages again: of an ended task that is no other run. */
  private isOld({ sessionID, messageID }: Extract<HostEvent, { type: "user-text" }>): boolean {
    const task = this.deps.records.get(sessionID);
    if (task === undefined || !isEnded(task) || task.run.promptID === undefined) return false;
    return !this.deps.order.isBefore(sessionID, task.run.promptID, messageID);
  }

  /** An answer to a later message has read the earlier one too. */
  private answered(sessionID: string, userMessageID: string): void {
    for (const task of this.deps.records.deliveredTo(sessionID)) {
      if (task.delivery.byTurn || this.deps.order.isBefore(sessionID, userMessageID, task.delivery.messageID)) continue;
      this.deps.dispatch(task.id, { type: "reconciled", run: task.run.number });
    }
  }

  private heard(sessionID: string): void {
    if (this.deps.tree.get(sessionID) !== undefined) this.unneeded.heard(sessionID);
  }

  private forget(sessionID: string): void {
    this.deps.tree.forget(sessionID);
    this.unneeded.forgotten(sessionID);
  }

  private useOf(sessionID: string): Use {
    const { tree, records } = this.deps;
    if (this.watched.has(sessionID) || records.has(sessionID)) return "held";
    if (records.hasRoot(sessionID) || tree.hasChildren(sessionID)) return "needed";
    const seen = tree.get(sessionID);
    if (seen?.busy !== true) return "none";
    // Whoever keeps the books of a root asks for it when it is silent.
    return seen.parentID === undefined ? "needed" : "doubtful";
  }

  /** A root counts while a goal watches it, or while it has records. */
  private isWatched(rootID: string): boolean {
    return this.watched.has(rootID) || this.deps.records.hasRoot(rootID);
  }
}

/** A task keeps what is told of an error, not all that the provider has said. */
function bare({ name, message, statusCode }: TurnError): TurnError {
  return { name, message, ...(statusCode === undefined ? {} : { statusCode }) };
}

/** What works when its call has returned is nobody's result: its user has written to it, or another plugin's tool did not wait. */
function originOf(native: NativeCall | undefined): Origin {
  if (native?.background === true) return "background";
  return native?.isRunning === true ? "foreground" : "adopted";
}

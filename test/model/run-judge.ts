import { readFrame } from "../../src/delivery/frame.ts";
import type { HostEvent, Prompt, Stored } from "../../src/host/port.ts";
import { isLive } from "../../src/tasks/task.ts";
import { RunHost } from "./run-host.ts";
import type { World } from "./world.ts";

/** What is known to have ended is told this soon. */
const TOLD_WITHIN_MS = 12_000;
/** An end that was not heard is found out by then. */
const FOUND_WITHIN_MS = 140_000;
/** Beyond its ceiling a hold lasts as long as it takes to tell the agent so. */
const LETS_GO_WITHIN_MS = 30_000;
const KNOWN_AFTER_MS = 100;

/** What must hold in `opencode run`, where the end of a turn is the end of the process. */
export class RunJudge {
  /** First of the holds of this process. */
  private heldAt: number | undefined;
  private nothingSince: number | undefined;
  /** Something was lost or refused in this process that the end of the turn may depend on. */
  private isTroubled = false;
  private isUnheard = false;
  /** The hold that has breached something: once is enough. */
  private reported: number | undefined;
  private readonly towards = new Map<string, string>();

  constructor(private readonly world: World) {}

  private get now(): number {
    return this.world.clock.now();
  }

  private breach(invariant: string, text: string): void {
    this.world.book.breaches.push(`${invariant} at ${this.now}: ${text}`);
  }

  /** A process begins. */
  begins(): void {
    this.heldAt = undefined;
    this.nothingSince = undefined;
    const { faults, fates, chatMessageMs } = this.world.host;
    this.isTroubled = chatMessageMs > 0 || fates.length > 0 || Object.values(faults).some((fault) => fault !== "right");
    this.isUnheard = false;
  }

  /** An event may be lost, or a hook or a call fail. */
  troubled(): void {
    this.isTroubled = true;
  }

  unheard(): void {
    this.isUnheard = true;
  }

  heard(event: HostEvent): void {
    if (event.type === "turn-held") this.heldAt ??= this.now;
  }

  prompted(answer: Stored): void {
    if (answer.kind !== "known") this.isTroubled = true;
  }

  prompting({ sessionID: rootID, messageID, text }: Prompt): void {
    const { host } = this.world;
    const kind = readFrame(text)?.kind;
    if (!(host instanceof RunHost) || kind === undefined || !host.exists(rootID)) return;
    if (kind === "task-outcome") return;
    if (host.hasWorked(rootID)) this.breach("R8", `a ${kind} is sent in the middle of tool calls`);
    const mayBeLate =
      this.isTroubled || this.isUnheard || host.endedSilently || this.looksUnread(rootID) || this.carries(rootID);
    if (!mayBeLate && !host.isEnding(rootID)) this.breach("R4", `a ${kind} is sent, and the turn does not end`);
    const answer = host.messages(rootID).findLast(({ role }) => role === "assistant")?.id ?? "";
    const before = this.towards.get(answer);
    if (before !== undefined && before !== messageID)
      this.breach("R4", `${messageID} is sent, and ${before} before it in the same step`);
    this.towards.set(answer, messageID);
  }

  /** After every action, and again and again at the end. */
  judge(): void {
    const { host, config } = this.world;
    if (!(host instanceof RunHost) || config.run === undefined || this.world.process !== "runs") return;
    const { heldSince } = host;
    this.nothingSince = heldSince === undefined || this.isOwed() ? undefined : (this.nothingSince ?? this.now);
    if (heldSince === undefined) return;
    if (this.reported === heldSince) return;
    const breaches = this.world.book.breaches.length;
    // A host that answers nothing is asked again and again first.
    const ceiling = config.run.ceilingMs + (this.isTroubled ? FOUND_WITHIN_MS : LETS_GO_WITHIN_MS);
    if (this.now > heldSince + ceiling) this.breach("R5", `the turn is held since ${heldSince}`);
    const slack = this.isUnheard || this.isTroubled ? FOUND_WITHIN_MS : TOLD_WITHIN_MS;
    if (this.nothingSince !== undefined && this.now > this.nothingSince + slack)
      this.breach("R5", `the turn is held since ${heldSince}, and nothing is owed since ${this.nothingSince}`);
    if (this.world.book.breaches.length > breaches) this.reported = heldSince;
  }

  private isOwed(): boolean {
    const { host, ledger, keeper } = this.world;
    const works = (id: string) => host.isActive(id) || ledger.isQueued(id) || ledger.isStarting(id);
    return host
      .rootIDs()
      .some((id) => keeper.isSending(id) || host.below(id).some((child) => works(child) && !this.asks(child)));
  }

  private asks(sessionID: string): boolean {
    return this.world.host.openAsks(sessionID).length > 0;
  }

  /** What is told of tasks has to be stored first, and without `wait_in_run` nothing waits for that. */
  private carries(rootID: string): boolean {
    return this.world.config.run?.waits === false && this.world.keeper.tasks(rootID).length > 0;
  }

  /** What the host has stored beside a message of ours stands behind it, and looks unread: see found.test.ts. */
  private looksUnread(rootID: string): boolean {
    const messages = this.world.host.messages(rootID);
    const asked = messages.findLast(({ role, summary }) => role === "assistant" && !summary)?.parentID ?? "";
    return messages.some(
      ({ id, role }) => role === "user" && id !== asked && this.world.host.isFrom(rootID, id, asked),
    );
  }

  /** Soon after `since`. */
  private endedSilently(since: number): boolean {
    const { host } = this.world;
    return host instanceof RunHost && host.endedSilently && this.now < since + KNOWN_AFTER_MS;
  }

  /** The root is idle. */
  exits(): void {
    const { host, keeper, book, config } = this.world;
    const { run } = config;
    if (run === undefined || this.isTroubled || !book.judgesOwed) return;
    for (const rootID of host.rootIDs()) {
      const last = host.messages(rootID).findLast(({ role, summary }) => role === "assistant" && !summary);
      const { quiet, goalAsleep } = book.root(rootID);
      // An error, an abort or a rejection ends the turn whatever we do.
      if (last?.finish !== "stop" || last.error !== undefined || quiet) continue;
      // A silent step is not held, and this one has left no time to write down the id of the message that keeps it open.
      if (this.endedSilently(last.createdAt)) continue;
      const isOver = this.heldAt !== undefined && this.now >= this.heldAt + run.ceilingMs;
      const working = book.running(rootID, this.now - KNOWN_AFTER_MS).filter((id) => !this.asks(id));
      if (run.waits && !isOver && working.length > 0)
        this.breach("R1", `the process ends, and ${working.join(", ")} work on`);
      const goal = keeper.goal(rootID);
      if (this.carries(rootID)) continue;
      const isHeldBack = [rootID, ...host.below(rootID)].some((id) => this.asks(id)) || this.isUnheard;
      const decision = keeper.decision(rootID);
      const isWaiting = decision.kind !== "continue" || keeper.tasks(rootID).some(isLive);
      if (this.endedSilently(goal?.allowedAt ?? 0)) continue;
      if (goal?.status !== "active" || goalAsleep || isHeldBack || isWaiting) continue;
      this.breach("R4", "the process ends, and the goal could have gone on");
    }
  }
}

import { readFrame } from "../delivery/frame.ts";
import { goalSleeps } from "../goals/root.ts";
import type { Keeper } from "../keeper/keeper.ts";
import type { NewbornChildren } from "./newborn-children.ts";
import type { TurnEvent } from "./port.ts";
import { type Raw, record, text } from "./raw.ts";

export interface RunHoldDependencies {
  readonly keeper: Pick<Keeper, "dispatch" | "goal" | "root" | "lastOf">;
  /** Set where tasks are waited for. */
  readonly newborns?: NewbornChildren | undefined;
  /** The claim of another living process that has taken a root over; undefined while it is ours. */
  readonly taken: (rootID: string) => Promise<number | undefined>;
  /** Tells others who may have something to say in a turn that is held. */
  readonly announce: (event: TurnEvent) => void;
}

/** OpenCode goes on by itself after the first two; after the others its turn ends with an error, whatever is stored. */
const NOT_LAST: ReadonlySet<string> = new Set(["tool-calls", "unknown", "content-filter", "error"]);

interface Step {
  readonly messageID: string;
  readonly parentID: string;
  readonly summary: boolean;
}

/**
 * `opencode run` ends with its turn. What a turn passes through just before its end is turned into events here, and
 * where OpenCode waits for us, it is let go on when the books say so.
 *
 * OpenCode waits in two places. One is the hook after a text: the last one of most turns, but with providers that send
 * text before tool calls not known to be the last; there OpenCode goes on reading the answer and runs the tool while we
 * hold, and the hold ends with that. The other is the hook before a model request: a turn that has ended without a text
 * is given a message that keeps it going, and is held there.
 */
export class RunHold {
  private readonly waiting = new Map<string, () => void>();
  private readonly steps = new Map<string, Step>();
  /** The last one of the user messages that the present step of a session has read. */
  private readonly read = new Map<string, string>();
  /** Sessions whose present step has called a tool. */
  private readonly working = new Set<string>();

  constructor(private readonly deps: RunHoldDependencies) {}

  /** Any event of OpenCode, after it has gone into the books. */
  receive(event: { readonly type: string; readonly properties?: unknown }): void {
    this.deps.newborns?.receive(event);
    if (event.type === "message.updated") this.message(record(record(event.properties).info));
    else if (event.type === "message.part.updated") this.part(record(record(event.properties).part));
  }

  /** OpenCode waits for the answer before it goes on with the step. */
  async textCompleted(sessionID: string, messageID: string): Promise<void> {
    const { keeper, taken, newborns } = this.deps;
    const step = this.steps.get(sessionID);
    const isSummary = step?.messageID === messageID && step.summary;
    if (isSummary || this.working.has(sessionID) || keeper.root(sessionID) === undefined) return;
    // A message that keeps the turn going leaves no time for this question.
    const claim = keeper.goal(sessionID)?.status === "active" ? await taken(sessionID) : undefined;
    if (claim !== undefined) keeper.dispatch({ type: "moved", rootID: sessionID, claim });
    await newborns?.begun(sessionID);
    if (!this.working.has(sessionID)) await this.hold(sessionID, messageID, this.readBy(sessionID, messageID));
  }

  /** A tool begins to work, be it while the text before it is held. */
  toolBegins(sessionID: string): void {
    this.working.add(sessionID);
    if (this.waiting.has(sessionID))
      this.deps.keeper.dispatch({ type: "host", event: { type: "turn-goes-on", sessionID } });
  }

  /** OpenCode waits for the answer before it makes the next model request. */
  async requestBegins(messages: { readonly info: unknown; readonly parts: readonly unknown[] }[]): Promise<void> {
    const last = messages.at(-1);
    const info = record(last?.info);
    const [sessionID, messageID] = [text(info.sessionID), text(info.id)];
    if (sessionID === undefined || messageID === undefined) return;
    this.working.delete(sessionID);
    const readID = this.deps.keeper.lastOf(sessionID, userMessages(messages));
    this.read.set(sessionID, readID);
    const root = this.deps.keeper.root(sessionID);
    if (root === undefined) return;
    if (goalSleeps(root.presence)) leaveOutUnanswered(messages);
    if (info.role !== "user") return;
    const keepsOpen = last?.parts.some((part) => readFrame(text(record(part).text) ?? "")?.kind === "waiting");
    if (keepsOpen === true) await this.hold(sessionID, messageID, readID);
  }

  /** Lets OpenCode go on. */
  release(sessionID: string): void {
    const letGo = this.waiting.get(sessionID);
    if (letGo === undefined) return;
    this.waiting.delete(sessionID);
    // First of all: whoever hears of it may fail.
    letGo();
    this.deps.announce({ type: "turn-goes-on", sessionID });
  }

  dispose(): void {
    for (const sessionID of [...this.waiting.keys()]) this.release(sessionID);
  }

  private async hold(sessionID: string, messageID: string, readID: string): Promise<void> {
    const { keeper, announce } = this.deps;
    this.release(sessionID);
    const released = new Promise<void>((resolve) => this.waiting.set(sessionID, resolve));
    keeper.dispatch({ type: "host", event: { type: "turn-held", sessionID, messageID, readID } });
    if (keeper.root(sessionID)?.activity.kind === "held") announce({ type: "turn-held", sessionID, messageID, readID });
    else this.release(sessionID);
    await released;
  }

  private message(info: Raw): void {
    const [sessionID, messageID, parentID] = [text(info.sessionID), text(info.id), text(info.parentID)];
    if (info.role !== "assistant" || sessionID === undefined || messageID === undefined || parentID === undefined)
      return;
    this.steps.set(sessionID, { messageID, parentID, summary: info.summary === true });
  }

  private part(part: Raw): void {
    const sessionID = text(part.sessionID);
    if (part.type !== "step-finish" || sessionID === undefined) return;
    const step = this.steps.get(sessionID);
    if (step === undefined || step.messageID !== part.messageID || step.summary) return;
    // OpenCode goes on by itself after these, and after a step in which a tool has worked.
    const goesOn = NOT_LAST.has(text(part.reason) ?? "") || this.working.has(sessionID);
    if (goesOn || this.deps.keeper.root(sessionID) === undefined) return;
    const { messageID } = step;
    const readID = this.readBy(sessionID, messageID);
    this.deps.keeper.dispatch({ type: "host", event: { type: "step-ended", sessionID, messageID, readID } });
  }

  /** What a step answers need not be the last one: of what was stored last it may have read that before. */
  private readBy(sessionID: string, messageID: string): string {
    const step = this.steps.get(sessionID);
    const answered = step?.messageID === messageID ? step.parentID : messageID;
    return this.deps.keeper.lastOf(sessionID, [answered, this.read.get(sessionID) ?? ""]);
  }
}

/**
 * An earlier process may have sent a continuation that OpenCode has stored behind the end of its turn. Nobody has answered
 * it, and the prompt of a person who does not mean the goal must not take it along. What carries more is left: each
 * thing that a message of ours carries is a paragraph.
 */
function leaveOutUnanswered(messages: { readonly info: unknown; readonly parts: readonly unknown[] }[]): void {
  const answered = new Set(messages.map(({ info }) => record(info).parentID));
  const kept = messages.filter((message, at) => {
    const said = text(record(message.parts[0]).text) ?? "";
    const isSpent = readFrame(said)?.kind === "continuation" && !said.includes("\n\n");
    return !isSpent || answered.has(record(message.info).id) || at === messages.length - 1;
  });
  // In place: OpenCode keeps the array that it handed out.
  messages.splice(0, messages.length, ...kept);
}

function userMessages(messages: readonly { readonly info: unknown }[]): readonly string[] {
  return messages.flatMap(({ info }) => {
    const { role, id } = record(info);
    return role === "user" && typeof id === "string" ? [id] : [];
  });
}

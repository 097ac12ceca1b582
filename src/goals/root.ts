import { readFrame } from "../delivery/frame.ts";
import type { HostEvent, ProviderError, Voice } from "../host/port.ts";
import type { IsBefore } from "../tasks/message-order.ts";
import { ABORT_ERROR, OUR_ABORT_ERROR } from "../tasks/outcome.ts";
import { SILENCE_MS } from "../tasks/task.ts";
import type { AgentLimits } from "./agent-limits.ts";
import { type Ask, closeUndo, undoneIn } from "./asks.ts";

type AssistantMessage = Extract<HostEvent, { type: "assistant-message" }>;

/** What the host shows of a root session. */
export type Activity =
  | { readonly kind: "idle"; readonly since: number }
  /** The host is asked at `askAt` when nothing was heard until then: a busy that never ends must not hold a goal. */
  | { readonly kind: "busy"; readonly askAt: number }
  | { readonly kind: "retrying"; readonly until: number; readonly message: string }
  /** A turn has failed: OpenCode publishes its idle twice, and a prompt between the two can be lost. */
  | { readonly kind: "settling"; readonly until: number }
  /** Of `opencode run`: the host waits for us before it goes on with the turn, which may be at its end. */
  | { readonly kind: "held"; readonly since: number; readonly readID: string }
  /** Of `opencode run`: the last step is complete. A message that is stored at once keeps the turn going. */
  | { readonly kind: "ending"; readonly since: number; readonly askAt: number };

/** What `opencode run` waits for: all holds of one wait share one ceiling. */
export interface RunWait {
  readonly until: number;
  /** The agent was told which tasks still work at the ceiling. */
  readonly overdueTold: boolean;
}

/** Whether anything of ours may prompt a root. */
export type Presence =
  | { readonly kind: "awake" }
  /** Aborted a moment ago: quitting and reloading look the same until `until`. */
  | { readonly kind: "quieting"; readonly until: number }
  /** The same while nothing works, soon after these books were opened: it may be of a turn that a reload has ended. */
  | { readonly kind: "doubting"; readonly until: number }
  /** The user has aborted: only the user's next message or `/goal resume` ends it. */
  | { readonly kind: "quiet"; readonly since: number }
  /** After a restart or reload: as quiet, but the goal is not paused. */
  | { readonly kind: "asleep"; readonly since: number }
  /** Of `opencode run`: the user has written, and only `/goal resume` wakes the goal. */
  | { readonly kind: "goal-asleep"; readonly since: number };

/** `goal`: the user's message that sets a goal. `report`: a message of ours, or of the host, about ended tasks. */
export type TurnBy = "continuation" | "wrapup" | "user" | "goal" | "report";

/** The turn that runs, or the one that has just ended. */
export interface Turn {
  /** Who started it. A user's message in between makes it the user's. */
  readonly by: TurnBy;
  /** The message that has begun it: a call in an answer before that is of an earlier turn. "" where that is not known. */
  readonly messageID: string;
  /** A tool call other than the goal tools has succeeded. */
  readonly progressed: boolean;
  readonly error: ProviderError | undefined;
}

/** Since a restart nobody has said that the goal is to go on. */
export function goalSleeps(
  presence: Presence,
): presence is Extract<Presence, { readonly kind: "asleep" | "goal-asleep" }> {
  return presence.kind === "asleep" || presence.kind === "goal-asleep";
}

export interface Unanswered {
  /** The message itself; before it was heard, the one before it: an answer to that does not answer the next. */
  readonly messageID: string;
  readonly isHeard: boolean;
  readonly at: number;
}

/** A root session as the gate sees it. The goal is kept beside it. */
export interface Root {
  readonly id: string;
  /** When these books were opened: what was before is not known. Epoch ms. */
  readonly openedAt: number;
  readonly activity: Activity;
  readonly presence: Presence;
  readonly voice: Voice | undefined;
  /** Of the agent that was looked at last; undefined while nothing is known of it. */
  readonly agentLimits: AgentLimits | undefined;
  readonly asks: readonly Ask[];
  /** The user's last message, while no answer to it has begun. */
  readonly unanswered: Unanswered | undefined;
  readonly turn: Turn | undefined;
  /** The newest user-role message; "" for none. */
  readonly lastMessageID: string;
  /** The user's last message. OpenCode publishes messages again, long after they were written. */
  readonly lastSpokenID: string;
  /** The host's last message about an ended task; "" if there was none. */
  readonly toldID: string;
  /** Of `opencode run`, while something is waited for. */
  readonly wait: RunWait | undefined;
}

/** How long after an abort a `dispose` may still show that it was a quit or a reload. */
export const QUIETING_MS = 250;
/**
 * OpenCode may publish the abort of a turn that a reload has ended to the instance after it, behind whatever has loaded
 * that one: up to 700 ms later on a quiet machine.
 */
export const LATE_ABORT_WITHIN_MS = 3_000;
/** The second idle of a failed turn has come by then: up to 270 ms were seen. */
export const SETTLING_MS = 500;
/** The only ceiling on not talking over the user. */
export const USER_MESSAGE_HOLDS_MS = 30_000;

export const GOAL_TOOLS: ReadonlySet<string> = new Set(["get_goal", "create_goal", "update_goal"]);

export function newRoot(id: string, now: number): Root {
  return {
    id,
    openedAt: now,
    activity: { kind: "idle", since: now },
    presence: { kind: "awake" },
    voice: undefined,
    agentLimits: undefined,
    asks: [],
    unanswered: undefined,
    turn: undefined,
    lastMessageID: "",
    lastSpokenID: "",
    toldID: "",
    wait: undefined,
  };
}

/** What a host event in the root's own session means for it. Pure but for `isBefore`: the order of the session's messages. */
export function receiveInRoot(root: Root, event: HostEvent, now: number, isBefore: IsBefore): Root {
  switch (event.type) {
    case "session-busy":
      // OpenCode says it again and again: it does not end a hold of ours.
      return root.activity.kind === "held" ? root : busy(root, now);
    case "session-retrying":
      return {
        ...root,
        activity: { kind: "retrying", until: Math.max(event.until, now + 1_000), message: event.message },
      };
    case "session-idle":
      return idle(root, now);
    case "session-error":
      return event.error.name === ABORT_ERROR
        ? quieting(root, now)
        : { ...root, turn: { ...(root.turn ?? NO_TURN), error: event.error } };
    case "user-message": {
      if (isBefore(event.messageID, root.lastMessageID)) return root;
      return { ...root, voice: event.voice ?? root.voice, lastMessageID: event.messageID };
    }
    case "user-text": {
      if (event.told !== undefined) return { ...root, toldID: event.messageID };
      const isUsers = !event.synthetic && !event.ignored && !isPrompt(event.text);
      if (!isUsers || !isBefore(root.lastSpokenID, event.messageID)) return root;
      return userSpoke(root, event.messageID, readFrame(event.text)?.kind === "goal" ? "goal" : "user", now);
    }
    case "assistant-message":
      return answer(root, event, now, isBefore);
    case "tool": {
      // A command that the user runs himself is no turn, and the call of an earlier turn may be published again. One of
      // this turn may return behind a message that was stored while it worked.
      if (root.turn === undefined || isBefore(event.messageID, root.turn.messageID)) return root;
      if (event.state !== "completed" || GOAL_TOOLS.has(event.tool)) return root;
      return { ...root, turn: { ...root.turn, progressed: true } };
    }
    case "turn-held":
      return { ...root, activity: { kind: "held", since: now, readID: event.readID } };
    case "turn-goes-on":
      return release(root, now);
    case "step-ended":
      // A message that has come since keeps the turn going. An error before a step that is complete was overcome.
      return isBefore(event.readID, root.lastMessageID)
        ? root
        : { ...root, turn: overcome(root.turn), activity: { kind: "ending", since: now, askAt: now + SILENCE_MS } };
    case "message-removed":
      return undoneIn(root).includes(root.id) ? undoIsFinal(root, now) : root;
    case "session-seen":
    case "session-deleted":
    case "session-compacted":
    case "assistant-text":
    case "ask-opened":
    case "ask-closed":
      return root;
  }
}

/** Whoever writes comes first, as if his message were there already. */
function undoIsFinal(root: Root, now: number): Root {
  return expectMessage(closeUndo(root, root.id), now);
}

/** A message of the user's is on its way, and nothing may overtake it. */
export function expectMessage(root: Root, now: number): Root {
  const { unanswered, lastMessageID: messageID } = root;
  const isHeard = unanswered?.isHeard === true && unanswered.messageID === messageID;
  return isHeard ? root : { ...root, unanswered: { messageID, isHeard: false, at: now } };
}

function overcome(turn: Turn | undefined): Turn | undefined {
  return turn?.error === undefined ? turn : { ...turn, error: undefined };
}

/** The host may go on with the turn. */
export function release(root: Root, now: number): Root {
  return root.activity.kind === "held" ? busy(root, now) : root;
}

/** The turn of a message has started in the root: until it ends, what happens counts for it. */
export function startTurn(root: Root, by: TurnBy, messageID: string): Root {
  // What is told in a turn that is held is read in it: that is the same turn.
  if (by === "report" && root.turn !== undefined && root.turn.error === undefined) return root;
  return { ...root, turn: { by, messageID, progressed: false, error: undefined } };
}

/** Whether a turn is at work that no message of the user's has begun, but the one that set the goal. */
export function worksByItself({ activity, turn }: Root): boolean {
  const works = activity.kind === "busy" || activity.kind === "retrying" || activity.kind === "held";
  return works && turn !== undefined && turn.by !== "user";
}

/** What its agent may not do, as far as that is known. */
export function limitsOf({ voice, agentLimits }: Root): AgentLimits | undefined {
  return voice === undefined || voice.agent === agentLimits?.agent ? agentLimits : undefined;
}

/** Nothing works, and nothing keeps us from going on. */
export function rests({ activity, presence }: Root): boolean {
  return activity.kind === "idle" && presence.kind === "awake";
}

/** Our own abort of the turn is on its way, which OpenCode shows in several ways, or in none but its idle. */
export function cutOff(root: Root, now: number): Root {
  const error = { name: OUR_ABORT_ERROR, message: "goalkeeper has ended this turn" };
  return { ...release(root, now), turn: { ...(root.turn ?? NO_TURN), error } };
}

export function rootDeadline(root: Root): number {
  return Math.min(
    activityDeadline(root.activity),
    isUndecided(root.presence) ? root.presence.until : Number.POSITIVE_INFINITY,
  );
}

function activityDeadline(activity: Activity): number {
  switch (activity.kind) {
    case "idle":
      return Number.POSITIVE_INFINITY;
    case "held":
      return Number.POSITIVE_INFINITY;
    case "busy":
    case "ending":
      return activity.askAt;
    case "retrying":
    case "settling":
      return activity.until;
  }
}

/** A prompt of ours; a compaction may replay it as if a user had written it. */
function isPrompt(text: string): boolean {
  const kind = readFrame(text)?.kind;
  return kind === "continuation" || kind === "wrapup" || kind === "task-outcome" || kind === "waiting";
}

function busy(root: Root, now: number): Root {
  return { ...root, activity: { kind: "busy", askAt: now + SILENCE_MS } };
}

function idle(root: Root, now: number): Root {
  if (root.activity.kind === "idle" || root.activity.kind === "settling") return root;
  // An abort while the provider is retried publishes no error: only this idle, with nothing finished and nothing failed.
  const abortedRetry = root.activity.kind === "retrying" && root.turn?.error === undefined;
  const failed = root.turn?.error !== undefined;
  const activity: Activity = failed ? { kind: "settling", until: now + SETTLING_MS } : { kind: "idle", since: now };
  return { ...(abortedRetry ? quieting(root, now) : root), activity };
}

/** An abort before the provider has begun to answer shows only in the assistant message, just before the idle. */
function answer(root: Root, event: AssistantMessage, now: number, isBefore: IsBefore): Root {
  if (endedByReload(event)) return wasAborted(event) && root.presence.kind === "doubting" ? notInterrupted(root) : root;
  const isNewest = !isBefore(event.parentID, root.lastMessageID);
  const heard = isNewest && wasAborted(event) ? quieting(root, now) : root;
  const { error } = event;
  // It says more than the session's own: that the turn has ended with it.
  const ended: Root =
    isNewest && error !== undefined && error.name !== ABORT_ERROR && !event.summary && heard.turn !== undefined
      ? { ...heard, turn: { ...heard.turn, error } }
      : heard;
  const answered = isAnswered(heard, event, isBefore) ? { ...ended, unanswered: undefined } : ended;
  // The host has woken the session itself: nobody has begun that turn.
  const isWoken = answered.turn === undefined && event.parentID === root.toldID && event.completedAt === undefined;
  return isWoken && error === undefined ? startTurn(answered, "report", event.parentID) : answered;
}

function isAnswered({ unanswered }: Root, { parentID, summary }: AssistantMessage, isBefore: IsBefore): boolean {
  if (unanswered === undefined || summary) return false;
  return unanswered.isHeard ? !isBefore(parentID, unanswered.messageID) : isBefore(unanswered.messageID, parentID);
}

function quieting(root: Root, now: number): Root {
  // Whatever sleeps: a turn that is aborted is not held.
  if (root.presence.kind !== "awake") return { ...release(root, now), turn: undefined };
  return { ...quieten(root, now), turn: undefined };
}

/** An abort was heard: whether it was the user's shows later. A turn at work is one of this instance. */
export function quieten(root: Root, now: number): Root {
  const [until, lateUntil] = [now + QUIETING_MS, root.openedAt + LATE_ABORT_WITHIN_MS];
  const mayBeLate = root.activity.kind === "idle" && now < lateUntil;
  const presence: Presence = mayBeLate
    ? { kind: "doubting", until: Math.max(until, lateUntil) }
    : { kind: "quieting", until };
  return { ...root, presence };
}

/** Until its moment has come, nobody knows whose abort it was. */
export function isUndecided(presence: Presence): presence is Extract<Presence, { readonly until: number }> {
  return presence.kind === "quieting" || presence.kind === "doubting";
}

/** The end of a turn from before a reload. Its idle comes right behind it; that it was aborted is nobody's interrupt. */
export function endedByReload(event: HostEvent): boolean {
  return event.type === "assistant-message" && event.fromBefore === true && event.completedAt !== undefined;
}

/** The next turn may be at work by then. */
function notInterrupted(root: Root): Root {
  const rests = root.activity.kind === "idle" && root.unanswered === undefined;
  return { ...root, presence: { kind: "awake" }, turn: rests ? undefined : NO_TURN };
}

function wasAborted({ error }: AssistantMessage): boolean {
  return error?.name === ABORT_ERROR;
}

const NO_TURN: Turn = { by: "user", messageID: "", progressed: false, error: undefined };

function userSpoke(root: Root, messageID: string, by: "user" | "goal", now: number): Root {
  // What the user has begun stays the user's, whatever is said in it.
  const isUsers = by === "user" || (root.activity.kind !== "idle" && root.turn?.by === "user");
  return {
    ...root,
    presence: { kind: "awake" },
    unanswered: { messageID, isHeard: true, at: now },
    lastSpokenID: messageID,
    turn: { ...NO_TURN, by: isUsers ? "user" : by, messageID },
    wait: undefined,
  };
}

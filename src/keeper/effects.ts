import type { Answer, HostPort, Stored, TranscriptMessage } from "../host/port.ts";
import type { Look } from "../tasks/grace-period-pruner.ts";
import { type Reading, readRun } from "../tasks/outcome.ts";
import { isEnded, type Task } from "../tasks/task.ts";
import type { Effect, Input, Saved, ToldBack } from "./messages.ts";
import { find, lostMessage, toldAs, wasRead } from "./read-back.ts";
import { isSameProcess, type Owner, type StoredRoot } from "./stored-root.ts";

export interface EffectDependencies {
  readonly host: HostPort;
  /** Lets the host go on with a turn of this root that was held: in `opencode run`. */
  readonly release?: (rootID: string) => void;
  /** The abort of a session is about to go out: what OpenCode says of it is about ours. */
  readonly aborting: (sessionID: string, messageID: string) => void;
  readonly store: {
    save(stored: StoredRoot): Promise<Saved>;
    /** The claim of another living process that has taken a root over; undefined while it is ours. */
    taken(rootID: string): Promise<number | undefined>;
  };
  /** Reads a root again of which another process runs tasks. */
  readonly reread: (rootID: string) => Promise<void>;
  readonly task: (taskID: string) => Task | undefined;
  /** The prompt that a child was made or resumed with, from its own session. */
  readonly storedPrompt: (taskID: string, promptID: string) => Promise<Answer<string>>;
  readonly dispatch: (input: Input) => void;
  /** Whether a message that is about to go out is still wanted: much may happen while the host is asked about it. */
  readonly maySend: (rootID: string, messageID: string) => boolean;
  /** The next instance may have found the message unsent: sent now it would start a turn in a sleeping session. */
  readonly isDisposed: () => boolean;
  /** This instance. */
  readonly owner: Owner;
  /** When this instance was loaded; epoch ms. What was stored since may still get its parts. */
  readonly loadedAt: number;
}

/** Carries out what the keeper decided, and answers with inputs. Never throws and never rejects. */
export function performer(deps: EffectDependencies): (effect: Effect) => void {
  const { host, store, dispatch } = deps;
  const run = (what: string, work: Promise<void>) => {
    work.catch((error: unknown) => host.log("error", `goalkeeper: ${what} failed`, { error: String(error) }));
  };
  return (effect) => {
    switch (effect.type) {
      case "look":
        return run("looking at a task", look(effect, deps));
      case "start":
        return run("starting a task", start(effect, deps));
      case "abort":
        return run("aborting a task", abort(effect, deps));
      case "ask-statuses":
        return run(
          "asking for statuses",
          settled(host.statuses()).then((answer) => dispatch({ type: "statuses", answer })),
        );
      case "ask-session":
        return run("asking for a session", askSession(effect.sessionID, deps));
      case "reread":
        return run("reading stored state again", deps.reread(effect.rootID));
      case "save": {
        const { rootID, revision, stored } = effect;
        const saved = store.save(stored).catch((error: unknown): Saved => ({ kind: "failed", reason: String(error) }));
        return run(
          "saving",
          saved.then((result) => dispatch({ type: "saved", rootID, revision, result })),
        );
      }
      case "send":
        return run("sending", send(effect, deps));
      case "abort-turn":
        return run("ending a turn", abortTurn(effect, deps));
      case "release":
        return deps.release?.(effect.rootID);
      case "verify":
        return run("reading the transcript", verify(effect, deps));
      case "read-back":
        return run("reading what was told", readBack(effect, deps));
      case "toast": {
        const { message, variant } = effect;
        return run("showing a toast", host.toast({ title: "goalkeeper", message, variant }));
      }
    }
  };
}

/** A message whose reservation was stored long ago may go out without a write, which would have shown a new owner. */
async function send(
  { rootID, prompt, deposit }: Extract<Effect, { type: "send" }>,
  { host, store, task, dispatch, isDisposed, maySend }: EffectDependencies,
): Promise<void> {
  // Tasks that run here stay ours, whoever keeps the books of their root; and so is a turn that runs here: it ends in a
  // few milliseconds, and who has taken the root over was asked while it was held.
  const isAsked = prompt.sessionID === rootID && !deposit;
  const claim = isAsked ? await store.taken(rootID) : undefined;
  if (isDisposed()) return;
  // A report to a task that has ended meanwhile would wake it; somebody above is told.
  const reader = task(prompt.sessionID);
  if (reader !== undefined && isEnded(reader)) return;
  if (claim !== undefined) return dispatch({ type: "moved", rootID, claim });
  const { sessionID, messageID } = prompt;
  if (isAsked && !maySend(rootID, messageID)) {
    const answer = { kind: "unknown", reason: "it is not wanted any more" } as const;
    return dispatch({ type: "sent", rootID, sessionID, messageID, answer });
  }
  const stored = await settled<Stored>(deposit ? host.deposit(prompt) : host.prompt(prompt));
  const answer = await answerOf(sessionID, stored, { host, dispatch });
  dispatch({ type: "sent", rootID, sessionID, messageID, answer });
}

/** An undo that the port has met is news, which comes first: the message then waits for its end. */
async function answerOf(
  sessionID: string,
  stored: Stored,
  deps: Pick<EffectDependencies, "host" | "dispatch">,
): Promise<Answer<void>> {
  if (stored.kind !== "undone") return stored;
  await askSession(sessionID, deps);
  return { kind: "unknown", reason: "messages are undone in its session" };
}

/** Only a right answer says anything: it is asked again when something below it is shown the next time. */
async function askSession(
  sessionID: string,
  { host, dispatch }: Pick<EffectDependencies, "host" | "dispatch">,
): Promise<void> {
  const answer = await settled(host.session(sessionID));
  if (answer.kind !== "known") return;
  dispatch({ type: "host", event: { type: "session-seen", session: answer.value, created: false } });
}

type StartEffect = Extract<Effect, { type: "start" }>;

async function start(effect: StartEffect, deps: EffectDependencies): Promise<void> {
  const answer = await startTurn(effect, deps);
  if (deps.isDisposed()) return;
  deps.dispatch({ type: "started", taskID: effect.taskID, run: effect.run, answer });
}

async function startTurn(effect: StartEffect, deps: EffectDependencies): Promise<Answer<"sent" | "answered">> {
  const { taskID: sessionID, promptID: messageID, voice, mayBeThere } = effect;
  if (mayBeThere) {
    const transcript = await settled(deps.host.transcript(sessionID));
    if (transcript.kind !== "known") return transcript;
    if (wasRead(transcript.value, messageID)) return { kind: "known", value: "answered" };
  }
  const text = effect.prompt ?? (await deps.storedPrompt(sessionID, messageID));
  if (typeof text !== "string" && text.kind !== "known") return text;
  if (deps.isDisposed()) return { kind: "unknown", reason: "the plugin was disposed" };
  const record = deps.task(sessionID);
  if (record !== undefined && isEnded(record)) return { kind: "unknown", reason: "it has ended meanwhile" };
  // The same part with the same message: sent again, it changes nothing.
  const partID = messageID.replace(/^msg/, "prt");
  const prompt = { messageID, partID, voice, synthetic: false, text: typeof text === "string" ? text : text.value };
  const stored = await settled<Stored>(deps.host.prompt({ sessionID, ...prompt }));
  return map(await answerOf(sessionID, stored, deps), () => "sent");
}

/** A turn that is not ended goes on for ever. */
const ABORT_TRIES = 3;

async function abortTurn(
  { rootID, messageID }: Extract<Effect, { type: "abort-turn" }>,
  { host, aborting, isDisposed }: EffectDependencies,
): Promise<void> {
  for (let tries = 1; tries <= ABORT_TRIES && !isDisposed(); tries++) {
    aborting(rootID, messageID);
    const answer = await settled(host.abort(rootID));
    if (answer.kind !== "unknown") return;
    host.log("warn", `goalkeeper: a turn that has used too much could not be ended: ${answer.reason}`, { rootID });
  }
}

/** However the abort goes, the record has ended; what the child has left behind is read. */
async function abort({ taskID, run }: Extract<Effect, { type: "abort" }>, deps: EffectDependencies): Promise<void> {
  const { host } = deps;
  const answer = await settled(host.abort(taskID));
  if (answer.kind === "unknown")
    host.log("warn", `goalkeeper: the session of a task could not be aborted: ${answer.reason}`, { taskID });
  if (!deps.isDisposed()) await look({ type: "look", taskID, run, scope: "transcript" }, deps);
}

async function look(effect: Extract<Effect, { type: "look" }>, deps: EffectDependencies): Promise<void> {
  const { host, task, dispatch } = deps;
  const { taskID, run } = effect;
  const record = task(taskID);
  if (record === undefined) return;
  const everything = effect.scope === "everything";
  const wasRestarted = isEnded(record) || (record.status === "missing" && record.doubt === "restart");
  if (wasRestarted && record.origin === "background") await findTold(record, deps);
  const [transcript, statuses, children] = await Promise.all([
    settled(host.transcript(taskID)),
    everything ? settled(host.statuses()) : NOT_ASKED,
    everything ? settled(host.children(record.parentID)) : NOT_ASKED,
  ]);
  const found: Look = {
    reading: map(transcript, (messages): Reading => readRun(messages, record.run)),
    shown: map(statuses, (shown) => shown.has(taskID)),
    listed: map(children, (listed) => listed.some((child) => child.id === taskID)),
  };
  dispatch({ type: "looked", taskID, run, look: found });
}

/** The host may have told an outcome just before it was killed: then its message stands in the parent's transcript. */
async function findTold({ id, parentID, run }: Task, { host, dispatch }: EffectDependencies): Promise<void> {
  const transcript = await settled(host.transcript(parentID));
  if (transcript.kind !== "known") return;
  const messages = transcript.value;
  const at = messages.findLastIndex(({ told, createdAt }) => told?.taskID === id && createdAt >= run.startedAt);
  const message = messages[at];
  if (message?.told === undefined) return;
  const answered = messages
    .slice(at)
    .some((later) => later.role === "assistant" && !later.summary && later.completedAt !== undefined);
  dispatch({ type: "told-before", told: message.told, messageID: message.id, run: run.number, answered });
}

/** What became of a message that was reserved before a restart, or sent without a turn that followed. */
async function verify(
  effect: Extract<Effect, { type: "verify" }>,
  { host, task, dispatch }: EffectDependencies,
): Promise<void> {
  const { rootID, sessionID, message } = effect;
  const transcript = await host.transcript(sessionID);
  if (transcript.kind === "unknown") return;
  const messages = transcript.kind === "known" ? transcript.value : [];
  dispatch({ type: "verified", rootID, sessionID, found: find(messages, message.id) });
  // What it carries has a state of its own, and may be answered already.
  const told = message.outcomes.flatMap(({ taskID }) => toldBack(messages, task(taskID)));
  const answered = told.filter(({ as, messageID }) => as === "answered" && messageID === message.id);
  if (answered.length > 0) dispatch({ type: "read-back", rootID, told: answered, lostID: undefined });
}

/** What the books call told stands in the transcript, or it was not told. */
async function readBack(
  { rootID, taskIDs, known, before }: Extract<Effect, { type: "read-back" }>,
  { host, task, dispatch, owner, loadedAt }: EffectDependencies,
): Promise<void> {
  const isReload = isSameProcess(before, owner);
  if (isReload && taskIDs.length === 0) return;
  const transcript = await settled(host.transcript(rootID));
  if (transcript.kind !== "known") return;
  const told = taskIDs.flatMap((taskID) => toldBack(transcript.value, task(taskID)));
  dispatch({
    type: "read-back",
    rootID,
    // The host goes on through a reload, and may be storing it just now.
    told: told.filter(({ as }) => as === "answered" || (as === "not-told" && !isReload)),
    lostID: isReload ? undefined : lostMessage(transcript.value, known, loadedAt),
  });
}

function toldBack(transcript: readonly TranscriptMessage[], task: Task | undefined): readonly ToldBack[] {
  if (task === undefined || !isEnded(task) || task.delivery.state !== "delivered") return [];
  const { id: taskID, run, delivery } = task;
  return [{ taskID, run: run.number, messageID: delivery.messageID, as: toldAs(transcript, task) }];
}

/** The port does not allow a call to reject: one that does has not answered. */
function settled<T extends Answer<unknown> | Stored>(
  call: Promise<T>,
): Promise<T | Extract<Answer<never>, { kind: "unknown" }>> {
  return call.catch((error: unknown) => ({ kind: "unknown" as const, reason: String(error) }));
}

const NOT_ASKED = { kind: "unknown", reason: "not asked" } as const;

function map<T, U>(answer: Answer<T>, change: (value: T) => U): Answer<U> {
  return answer.kind === "known" ? { kind: "known", value: change(answer.value) } : answer;
}

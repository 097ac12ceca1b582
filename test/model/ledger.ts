import { readFrame } from "../../src/delivery/frame.ts";
import type { Message } from "../../src/delivery/outbox.ts";
import type { HostEvent, Prompt, Voice } from "../../src/host/port.ts";
import type { Input, Observation } from "../../src/keeper/messages.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { readStoredLaunch } from "../../src/tasks/stored-launch.ts";
import { type EndedTask, isEnded, isLive, type Task, type TerminalStatus } from "../../src/tasks/task.ts";
import type { SimulatedMessage } from "../../src/testing/simulated-sessions.ts";
import type { World } from "./world.ts";

/** Where a child's own session keeps the prompt that it was made with. */
export const TASK_KEY = "goalkeeper_task";

/** One run of a launched task, from its launch or resume to its end; its prompt's id tells it from every other. */
interface Run {
  readonly taskID: string;
  readonly rootID: string;
  readonly promptID: string;
  readonly prompt: string;
  readonly model: Voice["model"] | undefined;
  /** It stands in the root's metadata. */
  stored: boolean;
  /** When its prompt was sent first in this life. */
  sentAt: number | undefined;
  ended: { readonly status: TerminalStatus; readonly at: number; readonly life: string } | undefined;
  /** Ended by us before its turn had ended, and nothing may be left of that turn some time later. */
  endedByUs: boolean;
  undelivered: boolean;
}

/** One limit in words of its own. */
interface Bound {
  readonly name: string;
  readonly most: number;
  readonly holdsFor: (model: Voice["model"] | undefined) => boolean;
}

const ENDS_WITHIN_MS = 30_000;
const USUAL_LIMIT = 5;

/**
 * The model's own bookkeeping about launched tasks, by what goes in and out at the edges: prompts, aborts, writes,
 * events, and the changes that are announced. It shares no code with launcher, desk and slots.
 */
export class Ledger {
  /** By the id of the prompt. */
  private readonly runs = new Map<string, Run>();
  private readonly asked = new Map<string, Pick<Run, "taskID" | "rootID" | "promptID" | "prompt" | "model">>();
  private readonly live = new Map<string, boolean>();
  private readonly heardAt = new Map<string, number>();
  /** Tasks that somebody wanted cancelled. */
  private readonly wanted = new Set<string>();
  /** When that was, also of those that were resumed since. */
  private readonly wantedAt = new Map<string, number>();
  private readonly stopped = new Set<string>();
  private readonly stoppedAt = new Map<string, number>();
  /** Prompts of runs that came too late to live. */
  private readonly tooLate = new Set<string>();
  private readonly firstSends = new Set<string>();
  /** Mentions in sessions that were deleted since. */
  private readonly gone: Mention[] = [];
  /** Outcomes in outputs that no transcript holds, by task. */
  private readonly unstored = new Map<string, number>();
  /** May be told twice in one session: it was not written down that they had been told, or a message was on its way. */
  private readonly unwritten = new Set<string>();
  /** Messages of ours that are looked for in a transcript, by its session. */
  private readonly lookedFor = new Map<string, Message>();
  private readonly lookedForInVain: Message[] = [];
  /** Messages of ours of which nobody knows whether the host has them, by their root. */
  private readonly inDoubt = new Map<string, Message>();
  private abortTrustedSince = 0;

  constructor(private readonly world: World) {}

  private get now(): number {
    return this.world.clock.now();
  }

  private breach(invariant: string, text: string): void {
    this.world.book.breaches.push(`${invariant} at ${this.now}: ${text}`);
  }

  // What people and models do

  /** These tasks may be cancelled from now on. */
  intends(taskIDs: readonly string[]): void {
    for (const id of taskIDs) {
      this.wanted.add(id);
      this.wantedAt.set(id, this.now);
    }
  }

  /** What is being launched for this session may be cancelled as soon as it is there. */
  stops(sessionID: string): void {
    this.stopped.add(sessionID);
  }

  /** And has to be. */
  stopsNow(sessionID: string): void {
    this.stops(sessionID);
    this.stoppedAt.set(sessionID, this.now);
  }

  neverStored(taskIDs: readonly string[]): void {
    for (const id of taskIDs) this.unstored.set(id, (this.unstored.get(id) ?? 0) + 1);
  }

  mayBeToldTwice(taskID: string): void {
    this.unwritten.add(taskID);
  }

  deleting(sessionID: string): void {
    this.gone.push(...this.mentionsIn([sessionID, ...this.world.host.below(sessionID)]));
  }

  /** The user makes an undo final. What was told in it may be told again. */
  undoing(sessionID: string, undoneFrom: string): void {
    const messages = this.world.host.messages(sessionID);
    const undone = messages.slice(messages.findIndex(({ id }) => id === undoneFrom));
    const mentions = mentionsOf(sessionID, undone);
    this.gone.push(...mentions);
    for (const { taskID } of mentions) this.mayBeToldTwice(taskID);
  }

  faulted(): void {
    this.abortTrustedSince = Number.POSITIVE_INFINITY;
  }

  trusted(): void {
    if (this.abortTrustedSince > this.now) this.abortTrustedSince = this.now;
  }

  // What happens to the process

  dying(): void {
    const { host } = this.world;
    const mentioned = this.mentionsIn(host.rootIDs().flatMap((id) => [id, ...host.below(id)]));
    for (const { taskID } of mentioned) {
      const rootID = this.rootOf(taskID);
      const root = host.exists(rootID) ? this.world.stored(rootID) : undefined;
      const stub = root?.tasks.find(({ id }) => id === taskID);
      const isReserved = root?.reserved?.outcomes.some((outcome) => outcome.taskID === taskID) === true;
      const isWritten = stub !== undefined && isEnded(stub) && stub.delivery.state !== "pending";
      if (!isReserved && !isWritten) this.unwritten.add(taskID);
    }
    for (const stored of this.world.storedRoots()) this.overtakenBefore(stored);
    for (const [promptID, run] of this.runs) if (!run.stored) this.runs.delete(promptID);
    const stubs = host.rootIDs().flatMap((rootID) => this.world.stored(rootID)?.tasks ?? []);
    for (const run of this.runs.values()) {
      run.sentAt = undefined;
      // Its end was not written down, so it will be found once more.
      const stub = stubs.find((task) => task.run.promptID === run.promptID);
      if (stub !== undefined && isLive(stub)) run.ended = undefined;
    }
    this.live.clear();
  }

  /** A hook held our message back, and a later one was answered before the process died: ours is nowhere. */
  private overtakenBefore({ tasks, reserved }: StoredRoot): void {
    for (const { id, delivery } of tasks.filter(isEnded)) {
      if (delivery.state !== "delivered" || delivery.byTurn || !this.world.host.exists(delivery.sessionID)) continue;
      if (reserved?.id === delivery.messageID) continue;
      const messages = this.world.host.messages(delivery.sessionID);
      if (!messages.some((message) => message.id === delivery.messageID)) this.neverStored([id]);
    }
  }

  saved(stored: StoredRoot): void {
    for (const { run } of stored.tasks) {
      const known = this.runs.get(run.promptID ?? "");
      if (known !== undefined) known.stored = true;
    }
  }

  heard(event: HostEvent): void {
    const sessionID = event.type === "session-seen" ? undefined : event.sessionID;
    if (sessionID !== undefined) this.heardAt.set(sessionID, this.now);
    if (event.type === "session-retrying") this.heardAt.set(event.sessionID, event.until);
  }

  // What the keeper does

  /** A prompt is on its way to the host: of a task, or a report. */
  prompting(prompt: Prompt): void {
    const isFirst = !this.firstSends.has(prompt.messageID);
    this.firstSends.add(prompt.messageID);
    if (prompt.synthetic) {
      if (isFirst) this.reporting(prompt);
    } else this.starting(prompt);
  }

  private starting({ sessionID, messageID, text }: Prompt): void {
    const { host } = this.world;
    const run = this.runs.get(messageID);
    if (run === undefined) return this.breach("L3", `${sessionID} is sent ${messageID}, which nobody has launched`);
    const own = host.exists(sessionID) ? readStoredLaunch(host.metadata(sessionID)[TASK_KEY]) : undefined;
    if (host.exists(sessionID) && (own?.promptID !== messageID || own.prompt !== text))
      this.breach("L3", `${sessionID} is sent "${text}" as ${messageID}, and its session holds ${JSON.stringify(own)}`);
    if (text !== run.prompt) this.breach("L3", `${sessionID} is sent "${text}" instead of "${run.prompt}"`);
    if (!run.stored) this.breach("L3", `${sessionID} is sent its prompt before the run stands in the store`);
  }

  /** It was given a slot, and its prompt follows. */
  private admitted(promptID: string): void {
    const run = this.runs.get(promptID);
    if (run === undefined || run.sentAt !== undefined) return;
    const { taskID: sessionID } = run;
    if (this.world.book.root(run.rootID).asleep) this.breach("L1", `${sessionID} starts in a sleeping root`);
    for (const bound of this.bounds(run.model)) {
      const holders = this.holders(bound).filter(({ taskID }) => taskID !== sessionID);
      if (holders.length >= bound.most) {
        const ids = holders.map(({ taskID }) => taskID).join(", ");
        this.breach("L1", `${sessionID} starts although ${ids} have all ${bound.most} slots of ${bound.name}`);
      }
    }
    run.sentAt = this.now;
    this.world.book.started(sessionID);
  }

  /** Outcomes go to the nearest live session above the task, and into no turn that works. */
  private reporting({ sessionID, text }: Prompt): void {
    const { host } = this.world;
    for (const taskID of mentionedIn(text)) {
      if (!host.exists(taskID)) continue;
      const above = host.ancestors(taskID).filter((id) => host.exists(id) && !host.isRoot(id));
      // What a restart has not brought back is not known to be in between.
      const isKnown = above.every((id) => this.live.has(id)) || this.world.lives.length === 1;
      if (!isKnown) continue;
      const reader = above.find((id) => this.live.get(id) === true) ?? this.rootOf(taskID);
      if (reader !== sessionID) this.breach("L2", `${taskID} is told to ${sessionID} and not to ${reader}`);
    }
    if (host.isRoot(sessionID) || !host.exists(sessionID)) return;
    if (readFrame(text)?.kind !== "task-outcome") this.breach("L2", `${sessionID} is told "${text}"`);
    if (this.live.get(sessionID) !== true) this.breach("L2", `${sessionID} has ended and is told "${text}"`);
    if (this.world.book.judgesOwed && host.hasTurn(sessionID))
      this.breach("L2", `${sessionID} is told of its tasks while its turn works`);
  }

  aborting(sessionID: string): void {
    if (this.live.get(sessionID) === true) this.breach("L4", `${sessionID} is aborted and has not ended`);
  }

  observed(observation: Observation): void {
    if (observation.type === "input") return this.told(observation.input);
    if (observation.type === "effect" && observation.effect.type === "start")
      return this.admitted(observation.effect.promptID);
    if (observation.type === "effect" && observation.effect.type === "verify")
      this.lookedFor.set(observation.effect.sessionID, observation.effect.message);
    if (observation.type === "outbox") this.doubted(observation);
    if (observation.type !== "task") return;
    const { before, after, event } = observation.change;
    if (after === undefined) {
      if (before !== undefined) this.live.delete(before.id);
      return;
    }
    this.live.set(after.id, isLive(after));
    // Its reader has ended without an answer, and may be resumed: then it is the reader again.
    if (event === "reader-ended") this.mayBeToldTwice(after.id);
    if (event === "not-stored" && before !== undefined) this.reminderLost(before);
    if (event === "launched" || event === "resume") this.began(after.run.promptID ?? "");
    // Also one that the host's own tool has made.
    if (event === "cancel" && isEnded(after)) this.world.book.endedByUs(after.id);
    // Given up after it was stored, it rides along once more; also in a run that the host's own tool has made.
    if (isEnded(after) && after.delivery.state === "undelivered") this.mayBeToldTwice(after.id);
    const run = this.runs.get(after.run.promptID ?? "");
    // A run that its user has begun while the one before was still to be told.
    if (run === undefined && after.origin === "launched" && after.status === "cancelled")
      this.world.book.endedByUs(after.id);
    if (run === undefined || after.origin !== "launched" || !isEnded(after)) return;
    if (after.delivery.state === "undelivered") run.undelivered = true;
    if (before === undefined || !isLive(before)) return;
    const { instance: life } = this.world.life;
    if (run.ended?.life === life)
      this.breach("L2", `${after.id} has ended twice: ${run.ended.status}, ${after.status}`);
    run.ended = { status: after.status, at: this.now, life };
    run.endedByUs = after.status === "cancelled" || after.outcome.error?.name === "StartError";
    // Nobody could say for so long whether it works: it is told, and nothing waits for it.
    if (after.status === "lost" && this.now >= (run.sentAt ?? 0) + this.world.config.timing.ceilingMs)
      this.world.book.endedByUs(after.id);
    if (event === "cancel") this.cancelled(after);
    if (event === "clock" && after.status === "cancelled") this.stale(after);
    if (run.endedByUs || run.sentAt === undefined) this.world.book.endedByUs(after.id);
  }

  /** What was told and not answered rides in a later message: when that is lost, it is told from the beginning. */
  private reminderLost(task: Task): void {
    if (!isEnded(task) || task.delivery.state !== "delivered") return;
    const { sessionID, messageID } = task.delivery;
    const { host } = this.world;
    const isThere = host.exists(sessionID) && host.messages(sessionID).some(({ id }) => id === messageID);
    if (!isThere) this.mayBeToldTwice(task.id);
  }

  private doubted({ rootID, state, message }: Extract<Observation, { type: "outbox" }>): void {
    if (message !== undefined && (state === "backing-off" || state === "unverified")) this.inDoubt.set(rootID, message);
    else this.inDoubt.delete(rootID);
  }

  /** A tool result does not wait until it is known whether a message has told it, too. */
  private handedOver(rootID: string, taskID: string): void {
    const isInDoubt = this.inDoubt.get(rootID)?.outcomes.some((outcome) => outcome.taskID === taskID);
    if (isInDoubt === true) this.mayBeToldTwice(taskID);
  }

  private told(input: Input): void {
    if (input.type === "read" || input.type === "resume") this.handedOver(input.rootID, input.taskID);
    const sought = input.type === "verified" ? this.lookedFor.get(input.sessionID) : undefined;
    if (sought !== undefined && input.type === "verified" && input.found.kind === "absent")
      this.lookedForInVain.push(sought);
    if (input.type === "launched") {
      const { id: taskID, promptID, prompt, launch, parentID } = input.task;
      this.asked.set(promptID, { taskID, rootID: input.rootID, promptID, prompt, model: launch.voice.model });
      if ((this.stoppedAt.get(parentID) ?? 0) > input.requestedAt) this.tooLate.add(promptID);
      const isLate = (this.wantedAt.get(parentID) ?? -1) >= input.requestedAt;
      const isStopped = isLate || this.wanted.has(parentID) || this.stopped.has(parentID);
      const isUnwanted = isStopped || this.stopped.has(input.rootID) || input.stopped !== undefined;
      if (isUnwanted) this.wanted.add(taskID);
    }
    if (input.type === "resume") {
      const { taskID, rootID, promptID, prompt, launch } = input;
      // The user's interrupt is known a moment later, and means this one, too.
      if (!this.stopped.has(rootID)) this.wanted.delete(taskID);
      this.asked.set(promptID, { taskID, rootID, promptID, prompt, model: launch.voice.model });
    }
  }

  /** What was asked for may be refused; what has a record has begun. */
  private began(promptID: string): void {
    const run = this.asked.get(promptID);
    if (run === undefined) return this.breach("L3", `${promptID} was asked for by nobody`);
    const begun = { stored: false, sentAt: undefined, ended: undefined, endedByUs: false };
    this.runs.set(run.promptID, { ...run, ...begun, undelivered: false });
    this.world.book.queued(run.taskID);
  }

  private cancelled({ id, rootID, outcome }: EndedTask): void {
    // What works for a goal far beyond its budget ends, whether anybody says so or not.
    if (this.world.pursuit.isFarBeyond(rootID)) return;
    // A turn whose beginning or error was not heard looks like one that the user has interrupted.
    const mayLookSo = !this.world.book.judgesOwed && this.world.config.cancelOnInterrupt;
    if (mayLookSo && outcome.reason === "the user interrupted") return;
    // One that is gone without a word goes with whatever comes next.
    if (!this.wanted.has(id) && this.world.host.exists(id))
      this.breach("L4", `${id} is cancelled (${outcome.reason}), and nobody wanted that`);
  }

  private stale({ id, run, outcome }: EndedTask): void {
    const silentMs = this.now - Math.max(this.heardAt.get(id) ?? 0, run.startedAt);
    if (silentMs < this.world.config.timing.staleMs)
      this.breach("L5", `${id} is given up (${outcome.reason}) after ${silentMs} ms`);
    if (this.world.book.judgesOwed && this.world.host.hasTurn(id) && this.hasToolRunning(id))
      this.breach("L5", `${id} is given up (${outcome.reason}) while a tool of it runs`);
  }

  // Judgements

  /** Whether it was launched, and waits for its prompt to be sent. */
  isQueued(taskID: string): boolean {
    return [...this.runs.values()].some(
      (run) => run.taskID === taskID && run.sentAt === undefined && run.ended === undefined,
    );
  }

  /** Its prompt was sent, and no turn has answered it yet. */
  isStarting(taskID: string): boolean {
    const run = [...this.runs.values()].findLast((other) => other.taskID === taskID);
    return run?.sentAt !== undefined && !this.hasBegun(run);
  }

  isLive(taskID: string): boolean {
    return this.live.get(taskID) === true;
  }

  /** Whether the turn of this session answers the prompt of a run that we have ended. */
  isWindingDown(sessionID: string): boolean {
    const run = this.runs.get(this.newestPrompt(sessionID) ?? "");
    return run?.endedByUs === true;
  }

  /** After every action: nothing is left of what was ended some time ago. */
  judgeEnds(): void {
    for (const run of this.runs.values()) {
      const { ended, taskID, promptID } = run;
      if (ended === undefined && this.tooLate.delete(promptID))
        this.breach("L4", `${taskID} was launched before everything was cancelled, and lives`);
      if (ended === undefined || !run.endedByUs || this.now < ended.at + ENDS_WITHIN_MS) continue;
      if (this.abortTrustedSince >= ended.at || !this.world.host.hasTurn(taskID)) continue;
      // Resumed while another plugin's hook held its prompt back: then its turn is the first of the next run.
      if ([...this.runs.values()].findLast((other) => other.taskID === taskID) !== run) continue;
      // A host that lies, and says that a turn never began, has it given up.
      if (ended.status === "failed" && !this.world.book.judgesOwed) continue;
      const answer = this.world.host.messages(taskID).findLast(({ role }) => role === "assistant");
      if (answer?.parentID === promptID)
        this.breach("L4", `${taskID} was ended (${ended.status}) at ${ended.at} and still works`);
    }
  }

  /** With a truthful host and time enough: nothing of an awake root still works, and nobody waits. */
  judgeAllEnded(): void {
    for (const task of this.world.host.rootIDs().flatMap((rootID) => this.world.keeper.tasks(rootID))) {
      if (task.origin !== "launched" || !isLive(task)) continue;
      if (this.world.keeper.root(task.rootID)?.presence.kind === "asleep") continue;
      this.breach("L5", `${task.id} still lives: ${JSON.stringify(task)}`);
    }
  }

  /**
   * Looked for in vain, and there after all: the host lied, or its answer had got lost while a hook held the message
   * back. What it tells was told again.
   */
  excuseUnseen(): void {
    const { host, book } = this.world;
    const sessions = host.rootIDs().flatMap((id) => [id, ...host.below(id)]);
    const stored = new Set(sessions.flatMap((id) => host.messages(id).map((message) => message.id)));
    for (const { outcomes } of this.lookedForInVain.filter(({ id }) => stored.has(id))) {
      for (const { taskID } of outcomes) {
        this.mayBeToldTwice(taskID);
        book.excused.add(taskID);
      }
    }
  }

  /** When everything has ended: every run was told, and in one session not twice. */
  judgeTold(): void {
    const { host, book } = this.world;
    const all = [...this.gone, ...this.mentionsIn(host.rootIDs().flatMap((id) => [id, ...host.below(id)]))];
    for (const taskID of new Set([...this.runs.values()].map((run) => run.taskID))) {
      const runs = [...this.runs.values()].filter((run) => run.taskID === taskID);
      const ended = runs.filter((run) => run.ended !== undefined);
      const owed = ended.filter((run) => !run.undelivered && host.exists(run.rootID));
      const told = all.filter((mention) => mention.taskID === taskID);
      const unstored = this.unstored.get(taskID) ?? 0;
      if (told.length + unstored < owed.length)
        this.breach("L2", `${taskID} ended ${owed.length} times and was told ${told.length} times`);
      // A run that its user has begun owes nothing, and may be told all the same.
      const most = Math.max(ended.length, book.endsOf(taskID));
      for (const sessionID of new Set(told.map((mention) => mention.sessionID))) {
        const here = told.filter((mention) => mention.sessionID === sessionID).length;
        if (here <= most || this.unwritten.has(taskID) || runs.some((run) => run.undelivered)) continue;
        this.breach("L2", `${taskID} ended ${most} times and was told ${here} times in ${sessionID}`);
      }
    }
    for (const run of this.runs.values()) if (host.exists(run.taskID)) this.judgePrompt(run);
    const left = book.attachmentsLeft();
    if (left !== 0) this.breach("I5", `${left} still hold a record`);
  }

  private judgePrompt({ taskID, promptID, prompt, ended }: Run): void {
    const stored = this.world.host
      .messages(taskID)
      .filter(({ role, parts }) => role === "user" && [...parts.values()].some(({ text }) => text === prompt));
    const [message] = stored;
    const answer = this.world.host.messages(taskID).some(({ parentID }) => parentID === promptID);
    if (stored.length > 1 || (message !== undefined && (message.id !== promptID || message.parts.size !== 1)))
      this.breach("L3", `the prompt ${promptID} stands ${stored.length} times in ${taskID}`);
    if ((ended?.status === "completed" || answer) && message === undefined)
      this.breach("L3", `${taskID} has ended (${ended?.status}) without its prompt ${promptID}`);
  }

  /** Runs that have a slot for certain: sent, and not ended; they do not wait for tasks of their own. */
  private holders({ holdsFor }: Bound): readonly Run[] {
    const { host, tools } = this.world;
    return [...this.runs.values()].filter((run) => {
      if (run.sentAt === undefined || run.ended !== undefined || !holdsFor(run.model)) return false;
      if (tools.waits(run.taskID)) return false;
      const hasBegun = host.exists(run.taskID) && (this.hasBegun(run) || this.isOvertaken(run));
      return host.hasTurn(run.taskID) || !hasBegun;
    });
  }

  /** Also where the session between them was deleted. */
  private rootOf(taskID: string): string {
    return [...this.runs.values()].find((run) => run.taskID === taskID)?.rootID ?? this.world.host.rootOf(taskID);
  }

  private hasBegun({ taskID, promptID }: Run): boolean {
    return this.world.host.messages(taskID).some(({ parentID }) => parentID === promptID);
  }

  /** Its user has typed behind the prompt, and whoever answered that has read both. */
  private isOvertaken({ taskID, promptID }: Run): boolean {
    const messages = this.world.host.messages(taskID);
    const at = messages.findIndex(({ id }) => id === promptID);
    return at >= 0 && messages.slice(at).some(({ role }) => role === "assistant");
  }

  private bounds(model: Voice["model"] | undefined): readonly Bound[] {
    const { concurrency } = this.world.config;
    const name = model === undefined ? undefined : `${model.providerID}/${model.modelID}`;
    const isSameModel: Bound["holdsFor"] = (other) =>
      name === (other === undefined ? undefined : `${other.providerID}/${other.modelID}`);
    if (typeof concurrency === "number") return [{ name: String(name), most: concurrency, holdsFor: isSameModel }];
    const ofModel = name === undefined ? undefined : concurrency[name];
    const ofProvider = model === undefined ? undefined : concurrency[model.providerID];
    if (ofModel === undefined && ofProvider === undefined)
      return [{ name: String(name), most: USUAL_LIMIT, holdsFor: isSameModel }];
    return [
      ...(ofModel === undefined ? [] : [{ name: String(name), most: ofModel, holdsFor: isSameModel }]),
      ...(ofProvider === undefined
        ? []
        : [
            {
              name: String(model?.providerID),
              most: ofProvider,
              holdsFor: (other: Voice["model"] | undefined) => other?.providerID === model?.providerID,
            },
          ]),
    ];
  }

  private hasToolRunning(sessionID: string): boolean {
    const answer = this.world.host.messages(sessionID).findLast(({ role }) => role === "assistant");
    return [...(answer?.calls.values() ?? [])].some(({ state }) => state === "running");
  }

  private newestPrompt(sessionID: string): string | undefined {
    if (!this.world.host.exists(sessionID)) return undefined;
    return this.world.host.messages(sessionID).findLast(({ role }) => role === "user")?.id;
  }

  private mentionsIn(sessionIDs: readonly string[]): readonly Mention[] {
    return sessionIDs.flatMap((sessionID) => mentionsOf(sessionID, this.world.host.messages(sessionID)));
  }
}

function mentionsOf(sessionID: string, messages: readonly SimulatedMessage[]): readonly Mention[] {
  return messages
    .flatMap(({ parts, calls }) => [
      ...[...parts.values()].map(({ text }) => text),
      ...[...calls.values()].map(({ output }) => output),
    ])
    .flatMap((text) => mentionedIn(text).map((taskID) => ({ taskID, sessionID })));
}

interface Mention {
  readonly taskID: string;
  readonly sessionID: string;
}

/** Tasks whose end is told in a text; a reminder of what was told before is none. */
function mentionedIn(text: string): readonly string[] {
  const lines = text.matchAll(
    /^- ".*" \((ses_\w+)\)(?: \(run \d+\))?: (?:completed(?!, reported)|failed:|cancelled(?!, reported)|LOST)/gm,
  );
  return [...lines].flatMap((match) => match[1] ?? []);
}

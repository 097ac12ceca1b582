import type { AgentInfo, Answer, HostPort, SessionInfo, Voice } from "../host/port.ts";
import type { NewTask } from "./background-task-manager.ts";
import { noSuchModel } from "./known-model.ts";
import { childRules, holds, maySend } from "./launch-rules.ts";
import { type LaunchWishes, launchVoice } from "./launch-voice.ts";
import { storedLaunch } from "./stored-launch.ts";
import { Tally } from "./tally.ts";
import { type EndedTask, isEnded, type Launch, type Task } from "./task.ts";
import { isUnstable } from "./unstable.ts";

/** A task to be launched. */
export interface LaunchRequest extends LaunchWishes {
  /** The session that it belongs to, and that is told how it ended. */
  readonly parentID: string;
  /** What it does, in a few words: the title of its session. At most 200 characters of it are kept. */
  readonly description: string;
  readonly prompt: string;
  /** Aborted before the child is there, the task ends before it has begun. */
  readonly signal?: AbortSignal | undefined;
}

/** An ended task to go on with another prompt, in the session that it has. */
export interface ResumeRequest extends LaunchWishes {
  readonly taskID: string;
  /** The session that wants it; it must be of the same tree. */
  readonly callerID: string;
  /** The assistant message whose tool call it is: an outcome that was not told yet counts as told by its result. */
  readonly messageID?: string | undefined;
  readonly prompt: string;
  /** Aborted before the next run is there, none begins: OpenCode drops the result that would tell of the run before. */
  readonly signal?: AbortSignal | undefined;
}

/** The next run of an ended task, ready to be queued. */
export interface Resumption {
  readonly taskID: string;
  readonly callerID: string;
  /** The message whose tool call resumes it: an outcome that was not told yet is handed over with its result. */
  readonly messageID: string | undefined;
  readonly requestedAt: number;
  readonly launch: Launch;
  readonly promptID: string;
  readonly prompt: string;
}

/** A task could not be launched or resumed. Nothing was started; an ended task is as it was. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}

export interface LauncherDependencies {
  readonly host: Pick<HostPort, "agents" | "createChild" | "models" | "session" | "writeMetadata">;
  readonly books: {
    get(taskID: string): Task | undefined;
    /** What is stored about a root is in the books from now on, and it is awake. */
    begin(rootID: string): Promise<void>;
    /** A session that was asked for: those below it find their root through it. */
    see(session: SessionInfo): void;
    /** Agent and model of a session, where the books know it. */
    voice(sessionID: string): Voice | undefined;
    launched(rootID: string, task: NewTask, requestedAt: number, stopped: string | undefined): void;
    /** Does nothing when the launches of the caller, or below the root, were stopped since `requestedAt`. */
    resume(task: Resumption): void;
  };
  readonly ids: { message(after: string): string };
  readonly now: () => number;
  /** The key of a child's metadata under which its prompt is kept. */
  readonly metadataKey: string;
  /** `max_task_depth` */
  readonly maxDepth: number;
  /** `unstable_models` */
  readonly unstableModels: readonly string[];
}

const LONGEST_TITLE = 200;
const CANCELLED_MEANWHILE = "It was cancelled while it was being resumed.";

/** Makes child sessions for tasks. What becomes of them then is the books' business. */
export class Launcher {
  private agents: readonly AgentInfo[] | undefined;
  private models: ReadonlySet<string> | undefined;
  /** Tasks that are being resumed: of two at the same moment the second would overwrite the prompt of the first. */
  private readonly resuming = new Set<string>();
  private readonly underWay = new Tally();

  constructor(private readonly deps: LauncherDependencies) {}

  /**
   * Makes the child session of a task. Its prompt waits for a slot; it is stored with the child, so that neither is
   * lost without the other.
   *
   * @throws LaunchError when it is refused, or OpenCode does not answer
   */
  launch(request: LaunchRequest): Promise<Task> {
    return this.underWay.during(request.parentID, () => this.firstRun(request));
  }

  /** Whether something is being launched or resumed for a session. */
  isLaunchingFor(sessionID: string): boolean {
    return this.underWay.has(sessionID);
  }

  private async firstRun(request: LaunchRequest): Promise<Task> {
    const { books, host, ids, metadataKey, maxDepth } = this.deps;
    const requestedAt = this.deps.now();
    const [lineage, agents, models] = await Promise.all([
      this.lineage(request.parentID),
      this.knownAgents(),
      this.knownModels(request),
    ]);
    const [parent] = lineage;
    const rootID = lineage.at(-1)?.id;
    if (parent === undefined || rootID === undefined) throw new LaunchError("Its session does not exist.");
    if (lineage.length > maxDepth) throw new LaunchError(tooDeep(maxDepth));
    const parentVoice = books.voice(parent.id) ?? parent.voice;
    const launcher = agents.find(({ name }) => name === parentVoice?.agent);
    mustExist(request.model, models);
    const launch = this.resolve(request, agents, parentVoice);
    const { voice } = launch;
    mustBeAllowed(launcher, voice.agent);
    await books.begin(rootID);
    if (isAborted(request)) throw new LaunchError("It was cancelled before its session was created.");
    const promptID = ids.message("");
    const { prompt } = request;
    const description = request.description.slice(0, LONGEST_TITLE);
    const child = expect(
      await host.createChild({
        parentID: parent.id,
        title: `${description} (@${voice.agent})`,
        voice,
        rules: childRules(parent.rules ?? [], launcher),
        metadata: { [metadataKey]: storedLaunch({ promptID, prompt }) },
      }),
    );
    const { id, createdAt } = child;
    const task = { id, parentID: parent.id, title: description, createdAt, launch, promptID, prompt };
    const stopped = isAborted(request) ? "it was cancelled while it was being created" : undefined;
    books.launched(rootID, task, requestedAt, stopped);
    return this.recorded(id);
  }

  /**
   * Starts the next run of an ended task, also of one whose record is gone, and of one that OpenCode's Task tool made.
   *
   * @returns the record, and the earlier one if its outcome had not been told yet: the caller hands it over
   * @throws LaunchError when it is refused or OpenCode does not answer; then the record is as it was
   */
  async resume(request: ResumeRequest): Promise<{ readonly task: Task; readonly earlier: EndedTask | undefined }> {
    const { taskID } = request;
    if (this.resuming.has(taskID)) throw new LaunchError(`The task ${taskID} is being resumed already.`);
    this.resuming.add(taskID);
    try {
      return await this.underWay.during(request.callerID, () => this.nextRun(request));
    } finally {
      this.resuming.delete(taskID);
    }
  }

  private async nextRun(
    request: ResumeRequest,
  ): Promise<{ readonly task: Task; readonly earlier: EndedTask | undefined }> {
    const { books, host, ids, metadataKey } = this.deps;
    const { taskID, prompt } = request;
    const requestedAt = this.deps.now();
    const [lineage, callers, agents, models] = await Promise.all([
      this.lineage(taskID),
      this.lineage(request.callerID),
      this.knownAgents(),
      this.knownModels(request),
    ]);
    const [session, parent] = lineage;
    const root = lineage.at(-1);
    if (session === undefined || root === undefined) throw new LaunchError(`There is no task ${taskID}.`);
    if (parent === undefined) throw new LaunchError(`${taskID} is a main session, not a task.`);
    if (callers.at(-1)?.id !== root.id) throw new LaunchError(`The task ${taskID} belongs to another session.`);
    if (callers.some(({ id }) => id === taskID))
      throw new LaunchError("A task cannot resume itself or a task above it.");
    // What is written there deletes them, and only the user may do that.
    if (session.undone) throw new LaunchError(undone(taskID));
    await books.begin(root.id);
    const before = books.get(taskID);
    if (before !== undefined && !isEnded(before)) throw new LaunchError(stillWorks(before));
    const reader = lineage.slice(1).find(({ id }) => id === root.id || this.isLive(id));
    if (reader?.id !== request.callerID)
      throw new LaunchError(`The task ${taskID} reports to ${reader?.id}, and only that session may resume it.`);
    mustExist(request.model, models);
    const launch = this.relaunch(request, before?.launch, agents, session.voice);
    const [caller] = callers;
    const callerVoice = books.voice(request.callerID) ?? caller?.voice;
    const launcher = agents.find(({ name }) => name === callerVoice?.agent);
    mustBeAllowed(launcher, launch.voice.agent);
    const { rules: own = [] } = session;
    const missing = childRules(caller?.rules ?? [], launcher).filter((rule) => !holds(own, rule));
    // Its rules were made for whoever launched it. What is added to them stays: an agent that may do less takes another.
    if (missing.some(({ permission }) => permission !== "question"))
      throw new LaunchError(`This task may do what the agent "${callerVoice?.agent}" may not. Launch another one.`);
    const promptID = ids.message(before?.run.promptID ?? "");
    // Read once more: all of it is replaced, and others may have written into it since.
    const { metadata: newest } = expect(await host.session(taskID));
    const metadata = { ...newest, [metadataKey]: storedLaunch({ promptID, prompt }) };
    expect(await host.writeMetadata(taskID, metadata, missing));
    const current = books.get(taskID);
    // While that was written somebody else may have resumed it, or its query window has ended.
    if (current !== undefined && !isEnded(current)) throw new LaunchError(stillWorks(current));
    if (isAborted(request)) throw new LaunchError(CANCELLED_MEANWHILE);
    const isTold = current?.delivery.state !== "pending" && current?.delivery.state !== "undelivered";
    const earlier = isTold ? undefined : current;
    if (current === undefined) {
      const { title, createdAt } = session;
      const task = { id: taskID, parentID: parent.id, title, createdAt, launch, promptID, prompt };
      books.launched(root.id, task, this.deps.now(), undefined);
    } else {
      const { callerID, messageID } = request;
      books.resume({ taskID, callerID, messageID, requestedAt, launch, promptID, prompt });
      if (!this.isLive(taskID)) throw new LaunchError(CANCELLED_MEANWHILE);
    }
    return { task: this.recorded(taskID), earlier };
  }

  private isLive(taskID: string): boolean {
    const task = this.deps.books.get(taskID);
    return task !== undefined && !isEnded(task);
  }

  private resolve(wishes: LaunchWishes, agents: readonly AgentInfo[], parent: Voice | undefined): Launch {
    const launch = launchVoice(wishes, agents, parent, this.deps.unstableModels);
    if ("problem" in launch) throw new LaunchError(launch.problem);
    return launch;
  }

  /** A task keeps its agent and model, unless somebody wishes otherwise. */
  private relaunch(
    request: ResumeRequest,
    before: Launch | undefined,
    agents: readonly AgentInfo[],
    voice: Voice | undefined,
  ): Launch {
    const { agent = before?.voice.agent ?? voice?.agent, model, unstable } = request;
    if (request.agent !== undefined || model !== undefined)
      return this.resolve({ agent, model, unstable }, agents, voice);
    const kept = before?.voice ?? voice;
    if (kept === undefined) return this.resolve({ unstable }, agents, undefined);
    const isMarked = before?.unstable ?? isUnstable(kept.model, this.deps.unstableModels);
    return { voice: kept, unstable: unstable ?? isMarked };
  }

  /** From the session itself up to its root. */
  private async lineage(sessionID: string): Promise<readonly SessionInfo[]> {
    const lineage: SessionInfo[] = [];
    for (let next: string | undefined = sessionID; next !== undefined; next = lineage.at(-1)?.parentID) {
      if (lineage.some(({ id }) => id === next)) throw new LaunchError("Its chain of parent sessions has no end.");
      const session: Answer<SessionInfo> = await this.deps.host.session(next);
      if (session.kind === "gone") throw new LaunchError(`There is no session ${next}.`);
      lineage.push(expect(session));
    }
    for (const session of lineage) this.deps.books.see(session);
    return lineage;
  }

  /** A configuration that changes makes another instance of the plugin, so they are asked for once. */
  private async knownAgents(): Promise<readonly AgentInfo[]> {
    this.agents ??= expect(await this.deps.host.agents());
    return this.agents;
  }

  /** Asked only when somebody wishes for a model: those of agents and of OpenCode are its own business. */
  private async knownModels({ model }: LaunchWishes): Promise<ReadonlySet<string> | undefined> {
    if (model === undefined || this.models !== undefined) return this.models;
    const answer = await this.deps.host.models();
    if (answer.kind === "known") this.models = answer.value;
    return this.models;
  }

  private recorded(taskID: string): Task {
    const task = this.deps.books.get(taskID);
    if (task === undefined) throw new LaunchError("The plugin was stopped meanwhile.");
    return task;
  }
}

/** OpenCode's own Task tool asks the same. */
function mustBeAllowed(launcher: AgentInfo | undefined, agent: string): void {
  if (!maySend(launcher, agent))
    throw new LaunchError(`The agent "${launcher?.name}" may not send the agent "${agent}".`);
}

function mustExist(model: LaunchWishes["model"], known: ReadonlySet<string> | undefined): void {
  const problem = model === undefined ? undefined : noSuchModel(model, known);
  if (problem !== undefined) throw new LaunchError(problem);
}

/** Asked anew each time: it changes while OpenCode is asked. */
function isAborted({ signal }: Pick<LaunchRequest, "signal">): boolean {
  return signal?.aborted === true;
}

function expect<T>(answer: Answer<T>): T {
  switch (answer.kind) {
    case "known":
      return answer.value;
    case "gone":
      throw new LaunchError("Its session does not exist any more.");
    case "unknown":
      throw new LaunchError(`OpenCode did not answer: ${answer.reason}.`);
  }
}

function tooDeep(maxDepth: number): string {
  return (
    `Tasks may be nested ${maxDepth} deep ("max_task_depth"), and this one would be deeper. ` +
    "Do the work in this session, or leave it to the one above."
  );
}

function undone(taskID: string): string {
  return (
    `The user has undone messages of the task ${taskID}: another prompt would delete them for good, so it was not resumed. ` +
    "Launch another task, or ask the user, who takes the undo back there with /redo."
  );
}

function stillWorks(task: Task): string {
  return `The task ${task.id} is ${task.status} and cannot be resumed before it has ended.`;
}

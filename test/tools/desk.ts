import { AgentJudge } from "../../src/host/agent-judge.ts";
import { HostIds } from "../../src/host/message-id.ts";
import type { HostEvent } from "../../src/host/port.ts";
import { performer } from "../../src/keeper/effects.ts";
import { Keeper } from "../../src/keeper/keeper.ts";
import { TaskManager } from "../../src/library/task-manager.ts";
import { DEFAULT_OPTIONS, keeperConfig, type Options } from "../../src/options.ts";
import { Launcher } from "../../src/tasks/launcher.ts";
import { readStoredLaunch } from "../../src/tasks/stored-launch.ts";
import { type EndedTask, isEnded, type Task } from "../../src/tasks/task.ts";
import { SimulatedClock } from "../../src/testing/simulated-clock.ts";
import { SimulatedHost } from "../../src/testing/simulated-host.ts";
import { backgroundCancel } from "../../src/tools/background-cancel.ts";
import { backgroundOutput } from "../../src/tools/background-output.ts";
import { backgroundTask } from "../../src/tools/background-task.ts";
import type { ToolDependencies } from "../../src/tools/context.ts";
import type { ToolCall } from "../../src/tools/define.ts";
import { AGENTS } from "../support/agents.ts";
import { T0 } from "../support/builders.ts";

const TASK_KEY = "goalkeeper_task";
/** Longer than OpenCode takes to begin a child's turn, or to answer all calls of a tool. */
const MEANWHILE_MS = 100;

export interface CallSettings {
  readonly sessionID?: string;
  readonly messageID?: string;
  readonly abort?: AbortSignal;
  /** How long the call may take. */
  readonly withinMs?: number;
}

/** The three tools over a real manager and a simulated host. The root is in the middle of a turn. */
export class Desk {
  readonly clock = new SimulatedClock(T0);
  readonly host: SimulatedHost;
  readonly keeper: Keeper;
  readonly tasks: TaskManager;
  readonly root: string;
  readonly ensured: string[] = [];
  private readonly tools;

  /** @param inRun in `opencode run` */
  static async open(options: Partial<Options> = {}, inRun = false): Promise<Desk> {
    const desk = new Desk({ ...DEFAULT_OPTIONS, ...options }, inRun);
    desk.host.userSays(desk.root, "hello");
    await desk.pass();
    return desk;
  }

  private constructor(options: Options, inRun: boolean) {
    const { clock } = this;
    const ids = new HostIds(clock);
    const host = new SimulatedHost({ clock, onEvent: (event) => this.heard(event) });
    host.knownAgents = AGENTS;
    const keeper: Keeper = new Keeper({
      clock,
      config: keeperConfig(options, inRun),
      owner: { host: "h", pid: 1, processStartedAt: 1, instance: "me" },
      runner: "me",
      ids,
      adopts: true,
      perform: (effect) => perform(effect),
      observe: (observation) => tasks.observed(observation),
    });
    const perform = performer({
      host,
      aborting: () => undefined,
      store: { save: async () => ({ kind: "ok" }), taken: async () => undefined },
      reread: async () => undefined,
      task: (taskID) => keeper.manager.get(taskID),
      storedPrompt: async (taskID) => {
        const prompt = readStoredLaunch(host.metadata(taskID)[TASK_KEY])?.prompt;
        return prompt === undefined ? { kind: "gone" } : { kind: "known", value: prompt };
      },
      dispatch: (input) => keeper.dispatch(input),
      maySend: (rootID, messageID) => keeper.maySend(rootID, messageID),
      owner: { host: "h", pid: 1, processStartedAt: 1, instance: "me" },
      loadedAt: 0,
      isDisposed: () => false,
    });
    const launcher = new Launcher({
      host,
      ids,
      now: () => clock.now(),
      metadataKey: TASK_KEY,
      maxDepth: options.max_task_depth,
      unstableModels: options.unstable_models,
      books: {
        get: (taskID) => keeper.manager.get(taskID),
        begin: async (rootID) => {
          if (keeper.root(rootID)?.presence.kind === "asleep") keeper.dispatch({ type: "wake", rootID });
        },
        see: (session) => keeper.dispatch({ type: "host", event: { type: "session-seen", session, created: false } }),
        voice: (sessionID) => keeper.root(sessionID)?.voice,
        launched: (rootID, task, requestedAt, stopped) =>
          keeper.dispatch({ type: "launched", rootID, task, requestedAt, stopped }),
        resume: (task) => keeper.dispatch({ type: "resume", rootID: keeper.rootOf(task.taskID), ...task }),
      },
    });
    const receive = () => undefined;
    const tasks: TaskManager = new TaskManager({ clock, keeper, launcher, host, receive, onDispose: () => undefined });
    const loader = { ensure: async (rootID: string) => void this.ensured.push(rootID) };
    const deps = { tasks, keeper, loader, host, now: () => clock.now() };
    this.tools = { task: backgroundTask(deps), output: backgroundOutput(deps), cancel: backgroundCancel(deps) };
    this.host = host;
    this.keeper = keeper;
    this.tasks = tasks;
    this.root = host.createRoot();
  }

  /** What the goal tools need, for the root's goal. */
  goalTools(): ToolDependencies {
    const { keeper, host, clock } = this;
    const loader = { ensure: async () => undefined };
    const ids = new HostIds(clock);
    const limits = { turns: 25, tokens: 0, ms: 0 };
    const hostProblem = async () => undefined;
    const agents = new AgentJudge({ host, keeper });
    return { keeper, host, loader, agents, ids, hostProblem, now: () => clock.now(), command: "goal", limits };
  }

  /** Calls a tool as the root, or as another session. */
  async call(tool: "task" | "output" | "cancel", args: unknown, settings: CallSettings = {}): Promise<string> {
    const { withinMs = MEANWHILE_MS, ...context } = settings;
    const call: ToolCall = { sessionID: this.root, messageID: "msg_call", agent: "build", ...context };
    const answer = this.tools[tool].execute(args, call);
    await this.pass(withinMs);
    return answer;
  }

  /** Launches a task and lets its turn begin. Returns its id. */
  async launch(title: string, args: Record<string, unknown> = {}, settings: CallSettings = {}): Promise<string> {
    const said = await this.call("task", { description: title, prompt: `do ${title}`, ...args }, settings);
    await this.pass();
    const id = /\((ses_[^)]+)\)/.exec(said)?.[1];
    if (id === undefined) throw new Error(`nothing was launched: ${said}`);
    return id;
  }

  /** Lets the turn of a child end. */
  async finish(taskID: string, text = "the result"): Promise<void> {
    this.host.finishTurn(taskID, text);
    await this.pass();
  }

  async pass(ms = MEANWHILE_MS): Promise<void> {
    await this.clock.advance(ms);
  }

  task(taskID: string): Task {
    const task = this.tasks.get(taskID);
    if (task === undefined) throw new Error(`no record of ${taskID}`);
    return task;
  }

  ended(taskID: string): EndedTask {
    const task = this.task(taskID);
    if (!isEnded(task)) throw new Error(`${taskID} is ${task.status}`);
    return task;
  }

  private heard(event: HostEvent): void {
    if (event.type !== "session-seen") this.keeper.manager.signs.mark(event.sessionID, this.clock.now());
    this.keeper.dispatch({ type: "host", event });
  }
}

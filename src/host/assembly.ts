import { performer } from "../keeper/effects.ts";
import { Keeper } from "../keeper/keeper.ts";
import type { Observation } from "../keeper/messages.ts";
import { TaskManager } from "../library/task-manager.ts";
import { keeperConfig, type Options } from "../options.ts";
import { Launcher } from "../tasks/launcher.ts";
import { readStoredLaunch } from "../tasks/stored-launch.ts";
import { systemClock } from "../time/clock.ts";
import { AgentJudge } from "./agent-judge.ts";
import { type EventSink, EventTranslator } from "./events.ts";
import { listGoals } from "./goal-list.ts";
import { Loader } from "./loader.ts";
import { HostIds } from "./message-id.ts";
import { NewbornChildren } from "./newborn-children.ts";
import type { OpencodeHost } from "./opencode.ts";
import { OwnAborts } from "./own-aborts.ts";
import type { Answer } from "./port.ts";
import { isAlive, newOwner, ownerKey, parseOwnerKey } from "./process-identity.ts";
import { announceTurn, enlist, holdings as holdingsOf, onTurn, registry } from "./registry.ts";
import { RunHold } from "./run-hold.ts";
import { Store } from "./store.ts";

export interface AssemblySettings {
  readonly host: OpencodeHost;
  /** The key in a session's metadata under which the books are kept. */
  readonly key: string;
  readonly options: Options;
  /** Why no goal can be pursued on this version of OpenCode. */
  readonly hostProblem: () => Promise<string | undefined>;
  /** Whether children that others made are tasks too. */
  readonly adopts: boolean;
  /** Whether this is `opencode run`, whose process ends with its turn, and turns are to be held here. */
  readonly inRun?: boolean;
  readonly observe: (observation: Observation) => void;
  /** Set where the model has tools of ours. */
  readonly isOthers?: EventSink["isOthers"];
  /** Set where somebody counts the host events that are dropped. */
  readonly dropped?: EventSink["dropped"] | undefined;
  readonly onDispose?: () => void;
}

export interface Assembly {
  readonly keeper: Keeper;
  readonly loader: Loader;
  readonly translator: EventTranslator;
  readonly ids: HostIds;
  readonly tasks: TaskManager;
  readonly agents: AgentJudge;
  /** Set in `opencode run`. */
  readonly runHold: RunHold | undefined;
  /** Whether it is this instance that works on a root. */
  readonly isUsedHere: (rootID: string) => boolean;
  /** The goals of all sessions of the directory, in words. */
  readonly goals: (sessionID: string) => Promise<string>;
}

/** Builds the parts that keep the books of one directory and connects them. It asks the host nothing. */
export function assemble({ host, key, options, adopts, inRun, observe, ...settings }: AssemblySettings): Assembly {
  const clock = systemClock;
  const owner = newOwner();
  const runner = ownerKey(owner);
  const delist = enlist(owner.instance);
  const ids = new HostIds(clock);
  const metadataKey = `${key}_task`;
  const runsElsewhere = (other: string) => {
    const parsed = parseOwnerKey(other);
    return other !== runner && parsed !== undefined && isAlive(parsed, registry().instances);
  };

  const keeper: Keeper = new Keeper({
    clock,
    config: keeperConfig(options, inRun),
    owner,
    runner,
    ids,
    adopts,
    onForgotten: (rootID) => store.release(rootID),
    storage: {
      get deadline() {
        return store.deadline;
      },
      clock: () => store.clock(),
    },
    observe: (observation) => {
      observe(observation);
      tasks.observed(observation);
    },
    perform: (effect) => perform(effect),
  });
  const holdings = holdingsOf(key, (rootID) =>
    keeper.dispatch({ type: "moved", rootID, claim: Math.max(1, keeper.claim(rootID)) }),
  );
  const isOtherHost = (other: string) => parseOwnerKey(other)?.host !== owner.host;
  const loader = new Loader({
    key,
    host,
    keeper,
    runner,
    runsElsewhere,
    holdings,
    hostProblem: settings.hostProblem,
    isOtherHost,
    resumeOnStart: options.resume_on_start,
    onlyUsed: inRun === true && !options.resume_on_start,
  });
  const store = new Store({
    key,
    host,
    runsElsewhere,
    holdings,
    onDamage: (rootID) => keeper.dispatch({ type: "storage-repaired", rootID }),
    onMoved: (rootID, claim) => keeper.dispatch({ type: "moved", rootID, claim }),
    onForgotten: (rootID) => loader.forget(rootID),
    now: () => clock.now(),
  });
  const taken = (rootID: string) => store.taken(rootID);
  const newborns = options.wait_in_run
    ? new NewbornChildren({ now: () => clock.now(), isTask: (id) => keeper.manager.get(id) !== undefined })
    : undefined;
  const runHold = inRun ? new RunHold({ keeper, taken, newborns, announce: announceTurn }) : undefined;
  // Who holds a turn waits for our tasks, too, and exits when it has ended: they are told meanwhile.
  const deafen = inRun
    ? undefined
    : onTurn((event) => {
        if (keeper.root(event.sessionID) !== undefined) keeper.dispatch({ type: "host", event });
      });
  const ownAborts = new OwnAborts();
  const perform = performer({
    host,
    store,
    aborting: (sessionID, messageID) => ownAborts.begin(sessionID, messageID),
    release: (rootID) => runHold?.release(rootID),
    owner,
    loadedAt: clock.now(),
    task: (taskID) => keeper.manager.get(taskID),
    storedPrompt: (taskID, promptID) => storedPrompt(host, metadataKey, taskID, promptID),
    reread: (rootID) => loader.reread(rootID),
    dispatch: (answer) => keeper.dispatch(answer),
    maySend: (rootID, messageID) => keeper.maySend(rootID, messageID),
    isDisposed: () => keeper.isDisposed,
  });
  const translator = new EventTranslator({
    loadedAt: clock.now(),
    isOthers: settings.isOthers,
    dropped: settings.dropped,
    sign: (sessionID) => keeper.manager.signs.mark(sessionID, clock.now()),
    event: (heard) => {
      const event = ownAborts.named(heard);
      if (event.type === "session-seen") host.observe(event.session);
      if (event.type === "user-text" && !event.synthetic && !event.ignored) loader.heard(event.sessionID);
      keeper.dispatch({ type: "host", event });
      if (event.type === "session-deleted") {
        host.observe({ id: event.sessionID });
        store.forget(event.sessionID);
        loader.deleted(event.sessionID);
      }
      if (event.type !== "session-seen") return;
      loader.see(event.session);
      store.observe(event.session);
    },
  });
  const launcher = new Launcher({
    host,
    ids,
    now: () => clock.now(),
    metadataKey,
    maxDepth: options.max_task_depth,
    unstableModels: options.unstable_models,
    books: {
      get: (taskID) => keeper.manager.get(taskID),
      begin: async (rootID) => {
        if (keeper.claim(rootID) === 0) await loader.ensure(rootID);
        // Somebody has asked for it: that is no start by itself.
        if (keeper.root(rootID)?.presence.kind === "asleep") keeper.dispatch({ type: "wake", rootID });
      },
      see: (session) => {
        if (keeper.manager.tree.get(session.id) !== undefined) return;
        keeper.dispatch({ type: "host", event: { type: "session-seen", session, created: false } });
      },
      voice: (sessionID) => keeper.root(sessionID)?.voice,
      launched: (rootID, task, requestedAt, stopped) =>
        keeper.dispatch({ type: "launched", rootID, task, requestedAt, stopped }),
      resume: (task) => keeper.dispatch({ type: "resume", rootID: keeper.rootOf(task.taskID), ...task }),
    },
  });
  const tasks: TaskManager = new TaskManager({
    clock,
    keeper,
    launcher,
    host,
    receive: (event) => translator.receive(event),
    onDispose: () => {
      runHold?.dispose();
      deafen?.();
      host.dispose();
      keeper.dispose();
      holdings.end();
      delist();
      settings.onDispose?.();
    },
  });
  const goals = (sessionID: string) => listGoals(sessionID, { key, host, keeper, runsElsewhere });
  const agents = new AgentJudge({ host, keeper });
  return { keeper, loader, translator, ids, tasks, agents, runHold, isUsedHere: holdings.isOurs, goals };
}

async function storedPrompt(
  host: Pick<OpencodeHost, "session">,
  metadataKey: string,
  taskID: string,
  promptID: string,
): Promise<Answer<string>> {
  const session = await host.session(taskID);
  if (session.kind !== "known") return session;
  const stored = readStoredLaunch(session.value.metadata[metadataKey]);
  return stored?.promptID === promptID
    ? { kind: "known", value: stored.prompt }
    : { kind: "unknown", reason: "its prompt is not stored in its session any more" };
}

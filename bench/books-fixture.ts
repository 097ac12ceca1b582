import { HostIds } from "../src/host/message-id.ts";
import type { HostEvent } from "../src/host/port.ts";
import { Keeper } from "../src/keeper/keeper.ts";
import type { Effect } from "../src/keeper/messages.ts";
import { TaskManager } from "../src/library/task-manager.ts";
import { DEFAULT_OPTIONS, keeperConfig } from "../src/options.ts";
import type { Look } from "../src/tasks/grace-period-pruner.ts";
import { systemClock } from "../src/time/clock.ts";

const ROOT = "ses_benchroot";
const LAUNCH = { voice: { agent: "general", model: { providerID: "bench", modelID: "model" } }, unstable: false };
const PROMPT = "Look at this file, and say what is wrong with it. ".repeat(10);
const RESULT = "This is wrong with it. ".repeat(30);
const NOT_ASKED = { kind: "unknown", reason: "not asked" } as const;
const LOOK: Look = {
  shown: NOT_ASKED,
  listed: NOT_ASKED,
  reading: { kind: "known", value: { kind: "finished", text: RESULT, usage: { tokens: 100, cost: 0.001 } } },
};

export type BenchBooks = ReturnType<typeof createBenchBooks>;

/**
 * A keeper with an active goal and `count` launched tasks in one root, all of them at work. Its effects are collected,
 * and carried out by nobody.
 */
export function createBenchBooks(count: number) {
  const effects: Effect[] = [];
  const ids = new HostIds(systemClock);
  const keeper = new Keeper({
    clock: systemClock,
    config: keeperConfig({ ...DEFAULT_OPTIONS, max_concurrent_tasks: 0 }),
    owner: { host: "bench", pid: 1, processStartedAt: 1, instance: "bench" },
    runner: "bench",
    ids,
    adopts: true,
    perform: (effect) => effects.push(effect),
    observe: () => undefined,
  });
  const unused = () => undefined;
  const tasks = new TaskManager({
    clock: systemClock,
    keeper,
    launcher: undefined as never,
    host: undefined as never,
    receive: unused,
    onDispose: unused,
  });
  const host = (event: HostEvent) => keeper.dispatch({ type: "host", event });
  const see = (id: string, parent: { readonly parentID?: string }) => {
    const createdAt = systemClock.now();
    host({
      type: "session-seen",
      created: true,
      session: { id, ...parent, title: id, createdAt, archived: false, metadata: {} },
    });
  };
  /** Its run. */
  const runOf = (taskID: string) => {
    const run = keeper.manager.get(taskID)?.run;
    if (run === undefined) throw new Error(`${taskID} has no record`);
    return run;
  };
  const books = {
    /** How long each launch took, in nanoseconds. */
    launches: [] as number[],
    /** Whatever was to be stored is stored. */
    answerHost(): void {
      for (let effect = effects.shift(); effect !== undefined; effect = effects.shift()) {
        if (effect.type !== "save") continue;
        keeper.dispatch({ type: "saved", rootID: ROOT, revision: effect.revision, result: { kind: "ok" } });
      }
    },
    begin(taskID: string): void {
      const { number: run, promptID = "" } = runOf(taskID);
      keeper.dispatch({ type: "started", taskID, run, answer: { kind: "known", value: "sent" } });
      host({ type: "session-busy", sessionID: taskID });
      host({
        type: "user-text",
        sessionID: taskID,
        messageID: promptID,
        text: PROMPT,
        synthetic: false,
        ignored: false,
      });
      books.answerHost();
    },
    resume(taskID: string): void {
      const promptID = ids.message("");
      keeper.dispatch({
        type: "resume",
        callerID: ROOT,
        messageID: undefined,
        requestedAt: Number.MAX_SAFE_INTEGER,
        rootID: ROOT,
        taskID,
        launch: LAUNCH,
        promptID,
        prompt: PROMPT,
      });
      // It is written before it is started.
      books.answerHost();
      books.begin(taskID);
    },
    /** One of those that work. */
    working(at: number): string {
      const taskID = childID(at % count);
      if (keeper.manager.get(taskID)?.status !== "running") throw new Error(`${taskID} does not work`);
      return taskID;
    },
    answerBegins(sessionID: string): void {
      const { promptID: parentID = "" } = runOf(sessionID);
      const message = { messageID: `${parentID}a`, parentID, summary: false, completedAt: undefined };
      host({ type: "assistant-message", sessionID, ...message, error: undefined, usage: undefined });
    },
    rests: (sessionID: string): void => host({ type: "session-idle", sessionID }),
    clock: (): void => keeper.dispatch({ type: "clock" }),
    looked(taskID: string): void {
      keeper.dispatch({ type: "looked", taskID, run: runOf(taskID).number, look: LOOK });
      if (keeper.manager.get(taskID)?.status !== "completed") throw new Error(`${taskID} has not ended`);
    },
    list: () => tasks.list(ROOT),
    sign: (): void => keeper.manager.signs.mark(childID(count - 1), systemClock.now()),
    dispose: (): void => keeper.dispose(),
  };

  see(ROOT, {});
  host({ type: "session-busy", sessionID: ROOT });
  host({ type: "session-idle", sessionID: ROOT });
  keeper.dispatch({ type: "goal", rootID: ROOT, event: { type: "set", id: "goal_bench", objective: "mend it all" } });
  books.answerHost();
  for (let at = 0; at < count; at++) {
    const id = childID(at);
    see(id, { parentID: ROOT });
    const now = systemClock.now();
    const task = {
      id,
      parentID: ROOT,
      title: id,
      createdAt: now,
      launch: LAUNCH,
      promptID: ids.message(""),
      prompt: PROMPT,
    };
    const before = Bun.nanoseconds();
    keeper.dispatch({ type: "launched", rootID: ROOT, task, requestedAt: now });
    books.launches.push(Bun.nanoseconds() - before);
    books.answerHost();
    books.begin(id);
  }
  return books;
}

function childID(at: number): string {
  return `ses_benchchild${String(at).padStart(6, "0")}`;
}

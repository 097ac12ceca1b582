import { heapStats } from "bun:jsc";
import { assemble } from "../src/host/assembly.ts";
import { OpencodeHost } from "../src/host/opencode.ts";
import type { TaskManager } from "../src/library/task-manager.ts";
import { DEFAULT_OPTIONS } from "../src/options.ts";
import { type Ending, InstantHost } from "./instant-host.ts";
import { type Extent, type Row, times } from "./table.ts";

const TASKS = 100_000;
const EARLY = 10_000;
const ROOTS_AT_ONCE = 20;
const TASKS_PER_ROOT = 50;
/** The query window, made short: what is measured is that it ends. */
const WINDOW_SECONDS = 0.02;

/** Everything of ours but the process: what the library wires, on a host that answers at once. */
export async function benchMemory(extent: Extent): Promise<readonly Row[]> {
  const world = createWorld();
  const tasks = extent === "full" ? TASKS : 1;
  let early: Heap | undefined;
  let launched = 0;
  while (launched < tasks) {
    launched += await world.batch();
    // Rest takes a minute, and comes when there is something to compare.
    if (launched !== EARLY && launched !== TASKS) continue;
    await world.rest();
    early ??= heapInUse();
  }
  const late = heapInUse();
  const before = early ?? late;
  const left = world.leftOver();
  world.dispose();
  return [
    {
      what: `heap after ${launched.toLocaleString("en")} tasks have come and gone`,
      ours: mb(late.bytes),
      against: `${mb(before.bytes)} (after ${EARLY.toLocaleString("en")})`,
      ratio: times(late.bytes, before.bytes),
      aim: "≤ 1.05×",
    },
    {
      what: "… objects on it",
      ours: late.objects.toLocaleString("en"),
      against: `${before.objects.toLocaleString("en")} (after ${EARLY.toLocaleString("en")})`,
      ratio: times(late.objects, before.objects),
      aim: "≤ 1.05×",
    },
    {
      what: "records, signs, sessions, roots, timers left",
      ours: String(Object.values(left).reduce((sum, count) => sum + count, 0)),
      against: "–",
      ratio: "–",
      aim: "0",
    },
  ];
}

function createWorld() {
  const host = new InstantHost((event) => tasks.event(event), endingOf);
  const { keeper, tasks } = assemble({
    host: new OpencodeHost(host.client, "/bench"),
    key: "bench",
    options: {
      ...DEFAULT_OPTIONS,
      auto_continue: false,
      max_concurrent_tasks: 0,
      task_cleanup_delay_seconds: WINDOW_SECONDS,
    },
    adopts: false,
    hostProblem: async () => undefined,
    observe: () => undefined,
  });
  const leftOver = () => {
    const { armed, ...sizes } = keeper.sizes;
    return { ...sizes, tree: keeper.manager.tree.size, armed: armed ? 1 : 0 };
  };
  return {
    leftOver,
    dispose: () => tasks.dispose(),
    /** Launches tasks in some new roots, ends them in every way there is, and waits until nothing is left of them. */
    async batch(): Promise<number> {
      const roots = Array.from({ length: ROOTS_AT_ONCE }, () => host.createRoot());
      const plan = roots.flatMap((rootID) => Array.from({ length: TASKS_PER_ROOT }, (_, at) => ({ rootID, at })));
      const ways = await Promise.all(plan.map(({ rootID, at }) => goThrough(tasks, host, rootID, wayOf(at))));
      await until(() => keeper.sizes.tasks === 0 && keeper.sizes.roots === 0);
      host.forgetAll();
      return ways.length;
    },
    /**
     * Until no deadline is left. A session of which nothing more is heard, and a cancelled task whose launches may still be
     * on their way, are kept for a minute: at this pace that is most of what there is.
     */
    rest: () => until(() => !keeper.sizes.armed),
  };
}

/** The text of its prompt tells the host how the turns of a task end. */
const WAYS = ["finish", "finish", "finish", "finish", "finish", "fail", "resume", "cancel", "nest", "delete"] as const;
type Way = (typeof WAYS)[number];

function wayOf(at: number): Way {
  return WAYS[at % WAYS.length] ?? "finish";
}

function endingOf(prompt: string): Ending {
  if (prompt === "fail") return "failed";
  return prompt === "cancel" || prompt === "delete" || prompt === "nest" ? "never" : "finished";
}

async function goThrough(tasks: TaskManager, host: InstantHost, rootID: string, way: Way): Promise<void> {
  const { id } = await tasks.launch({ parentID: rootID, description: `to ${way}`, prompt: way });
  switch (way) {
    case "finish":
    case "fail":
      return;
    case "resume":
      await tasks.wait(id, { timeoutMs: 60_000 });
      await tasks.resume({ taskID: id, callerID: rootID, prompt: "finish" });
      return;
    case "cancel": {
      const ended = tasks.wait(id, { timeoutMs: 60_000, callerID: rootID });
      await tasks.cancel(id);
      await ended;
      return;
    }
    case "nest":
      await tasks.launch({ parentID: id, description: "below", prompt: "nest" });
      await tasks.cancel(id);
      return;
    case "delete":
      return host.delete(id);
  }
}

async function until(isSo: () => boolean): Promise<void> {
  const givenUpAt = Date.now() + 180_000;
  while (!isSo()) {
    if (Date.now() > givenUpAt) throw new Error("something is kept for ever");
    await Bun.sleep(5);
  }
}

interface Heap {
  readonly bytes: number;
  readonly objects: number;
}

function heapInUse(): Heap {
  // Once more for what the first one has only unlinked.
  for (let round = 0; round < 3; round++) Bun.gc(true);
  const { heapSize, objectCount } = heapStats();
  return { bytes: heapSize, objects: objectCount };
}

function mb(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

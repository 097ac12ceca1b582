import fc from "fast-check";
import type { HostEvent } from "../../src/host/port.ts";
import { isLive } from "../../src/tasks/task.ts";
import type { Fault, HostCall, PromptFate } from "../../src/testing/simulated-host.ts";
import type { ForeignCall } from "../../src/testing/simulated-task-tool.ts";
import { actOnGoal, elsewhere, failing, type GoalAction, modelled, said } from "./goal-actions.ts";
import { actInRun, type RunAction, runActions } from "./run-actions.ts";
import { actOnTasks, type TaskAction } from "./task-actions.ts";
import type { Disturbance, LateNews, World } from "./world.ts";

type RootAction =
  | "root-finish"
  | "root-fail"
  | "root-retry"
  | "root-tool"
  | "root-abort"
  | "root-ask"
  | "undo"
  | "redo"
  | "say"
  | "compact"
  | "fork"
  | "delete-root";

/** One thing that happens. `pick` chooses among what there is then; what is not possible then does nothing. */
export type Action =
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "task"; readonly background: boolean; readonly pick: number }
  | { readonly do: "adopt"; readonly pick: number }
  /** Another plugin's tool named `task` is called, and returns while its child works, or before it does. */
  | { readonly do: "foreign"; readonly pick: number; readonly how: ForeignCall }
  | {
      readonly do: ChildAction;
      readonly pick: number;
    }
  | { readonly do: RootAction }
  | TaskAction
  | GoalAction
  | RunAction
  /** How long some other plugin's hook holds back each prompt. */
  | { readonly do: "hook"; readonly ms: number }
  | { readonly do: "set" | "pause" | "go-on" | "clear" | "complete" }
  | { readonly do: "kill"; readonly awake: boolean; readonly tears?: boolean }
  | { readonly do: "reload"; readonly awake: boolean }
  | { readonly do: "disturb"; readonly type: HostEvent["type"]; readonly how: Disturbance }
  | { readonly do: "fault"; readonly call: HostCall; readonly fault: Fault }
  | { readonly do: "fate"; readonly fate: PromptFate }
  | { readonly do: "tells"; readonly after: number | "never" }
  /** How long it takes to store that a child's turn has failed. */
  | { readonly do: "stores"; readonly afterMs: number };

const pick = fc.nat(7);
const plain = <T extends Action["do"]>(...names: T[]) =>
  fc.constantFrom(...names).map((name) => ({ do: name }) as Action);
type ChildAction = "finish" | "fail" | "abort" | "delete" | "type" | "resume" | "promote" | "ask" | "answer" | "reject";
const picking = (...names: ChildAction[]) => fc.record({ do: fc.constantFrom(...names), pick }) as fc.Arbitrary<Action>;

const EVENTS = [
  "session-seen",
  "session-deleted",
  "session-busy",
  "session-idle",
  "session-error",
  "user-message",
  "user-text",
  "assistant-text",
  "assistant-message",
  "tool",
  "ask-opened",
  "ask-closed",
] as const;
const CALLS = [
  "statuses",
  "children",
  "transcript",
  "prompt",
  "writeMetadata",
  "createChild",
  "abort",
  "agents",
  "session",
] as const;

const advance = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(1, 3, 5, 10, 20, 50, 100) },
  { weight: 5, arbitrary: fc.constantFrom(250, 1_000, 2_000, 3_000, 5_000, 6_000) },
  { weight: 2, arbitrary: fc.constantFrom(11_000, 31_000, 61_000, 70_000) },
  { weight: 1, arbitrary: fc.constantFrom(125_000, 301_000) },
);

const foreign: fc.Arbitrary<Action> = fc.record({
  do: fc.constant("foreign" as const),
  pick,
  how: fc.record({
    returnsAfterMs: fc.constantFrom(5, 60, 60, 400),
    promptsAfterMs: fc.constantFrom(2, 2, 2, 1_200),
    namesEarly: fc.boolean(),
  }),
});

const life: fc.WeightedArbitrary<Action>[] = [
  { weight: 14, arbitrary: advance.map((ms) => ({ do: "advance", ms }) as Action) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("task" as const), background: fc.boolean(), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("adopt" as const), pick }) },
  { weight: 2, arbitrary: foreign },
  { weight: 8, arbitrary: picking("finish", "finish", "finish", "fail", "abort", "delete") },
  { weight: 3, arbitrary: picking("type", "resume", "promote", "ask", "answer", "reject") },
  {
    weight: 6,
    arbitrary: plain(
      "root-finish",
      "root-finish",
      "root-finish",
      "root-fail",
      "root-retry",
      "root-tool",
      "root-abort",
      "root-ask",
    ),
  },
  { weight: 3, arbitrary: plain("say", "say", "say", "compact") },
  { weight: 1, arbitrary: plain("undo", "undo", "redo") },
  { weight: 4, arbitrary: plain("set", "set", "pause", "go-on", "go-on", "clear", "complete") },
];

const launching: fc.WeightedArbitrary<Action>[] = [
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("launch" as const), pick, model: fc.constantFrom(0, 0, 0, 1, 2) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("again" as const), pick, model: fc.constantFrom(0, 0, 1) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("cancel" as const, "cancel-all" as const, "read" as const), pick }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("tool" as const), pick }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("wait" as const), pick, ms: fc.constantFrom(50, 3_000, 100_000) }),
  },
];

const trouble: fc.WeightedArbitrary<Action>[] = [
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill" as const), awake: fc.boolean(), tears: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reload" as const), awake: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom<PromptFate>("refused", "answer-lost", "no-turn", "dying-turn")
      .map((fate) => ({ do: "fate", fate }) as Action),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      call: fc.constantFrom(...CALLS),
      fault: fc.constantFrom<Fault>("right", "right", "unknown", "answer-lost", { lateMs: 3_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom(0, 0, 500, 3_000).map((ms) => ({ do: "hook", ms }) as Action) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<number | "never">(3, 3, 1_000, "never")
      .map((after) => ({ do: "tells", after }) as Action),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(20, 4_000, 9_000).map((afterMs) => ({ do: "stores", afterMs }) as Action),
  },
];

/** What a truthful host can do to us: nothing is said that is not so, but much is said twice, late or not at all. */
const misheard: fc.WeightedArbitrary<Action>[] = [
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("disturb" as const),
      type: fc.constantFrom(...EVENTS),
      how: fc.constant<Disturbance>("duplicate"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("disturb" as const),
      type: fc.constantFrom(
        "session-idle" as const,
        "session-error" as const,
        "assistant-text" as const,
        "session-deleted" as const,
      ),
      how: fc.constant<Disturbance>("drop"),
    }),
  },
];

export const honest: fc.Arbitrary<Action> = fc.oneof(...life, ...launching, ...trouble, ...misheard);

/** The same, mostly about tasks that we launch. */
export const launches: fc.Arbitrary<Action> = fc.oneof(
  { weight: 14, arbitrary: advance.map((ms) => ({ do: "advance", ms }) as Action) },
  ...launching.map(({ weight, arbitrary }) => ({ weight: 2 * weight, arbitrary })),
  { weight: 8, arbitrary: picking("finish", "finish", "finish", "fail", "abort", "delete") },
  { weight: 1, arbitrary: picking("type", "ask", "answer", "reject") },
  { weight: 4, arbitrary: plain("root-finish", "root-finish", "root-fail", "root-abort", "say", "say", "go-on") },
  ...trouble,
  ...misheard,
);

/** The same, mostly about the goal: what people and models say about it, and how its turns fail. */
export const pursuits: fc.Arbitrary<Action> = fc.oneof(
  { weight: 16, arbitrary: advance.map((ms) => ({ do: "advance", ms }) as Action) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("task" as const), background: fc.boolean(), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("launch" as const), pick, model: fc.constant(0) }) },
  { weight: 4, arbitrary: picking("finish", "finish", "fail", "abort", "ask", "answer", "answer", "reject") },
  {
    weight: 12,
    arbitrary: plain("root-finish", "root-finish", "root-finish", "root-finish", "root-tool", "root-abort", "root-ask"),
  },
  { weight: 3, arbitrary: plain("say", "say", "compact", "root-retry") },
  { weight: 2, arbitrary: plain("undo", "undo", "redo") },
  { weight: 8, arbitrary: said },
  { weight: 8, arbitrary: modelled },
  { weight: 6, arbitrary: failing },
  { weight: 1, arbitrary: elsewhere },
  ...trouble,
  ...misheard,
);

/** What happens in `opencode run`: nobody writes, and nobody interrupts but with Ctrl-C. */
export const runs: fc.Arbitrary<Action> = fc.oneof(
  { weight: 16, arbitrary: advance.map((ms) => ({ do: "advance", ms }) as Action) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("task" as const), background: fc.boolean(), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("adopt" as const), pick }) },
  { weight: 1, arbitrary: foreign },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("launch" as const), pick, model: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("again" as const), pick, model: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("cancel" as const, "read" as const), pick }) },
  { weight: 8, arbitrary: picking("finish", "finish", "finish", "fail", "abort", "delete") },
  { weight: 2, arbitrary: picking("ask", "answer", "reject", "promote") },
  { weight: 12, arbitrary: plain("root-finish", "root-finish", "root-finish", "root-finish", "root-tool") },
  { weight: 1, arbitrary: plain("root-abort", "root-ask", "root-retry") },
  { weight: 3, arbitrary: modelled },
  { weight: 1, arbitrary: failing },
  { weight: 6, arbitrary: runActions },
  ...trouble,
  ...misheard,
);

/** Everything at once: empty answers, events that are dropped or overtaken, forks, deleted roots. */
export const chaos: fc.Arbitrary<Action> = fc.oneof(
  ...life,
  ...launching,
  ...trouble,
  { weight: 2, arbitrary: said },
  { weight: 2, arbitrary: modelled },
  { weight: 2, arbitrary: failing },
  { weight: 1, arbitrary: elsewhere },
  { weight: 1, arbitrary: plain("fork", "delete-root") },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      call: fc.constantFrom(...CALLS),
      fault: fc.constantFrom<Fault>("right", "empty", "unknown", "gone"),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("disturb" as const),
      type: fc.constantFrom(...EVENTS),
      how: fc.constantFrom<Disturbance>("drop", "duplicate", "delay"),
    }),
  },
);

export const firstRoot = "ses_000001";

/** A goal is set and the agent works: almost every interesting story begins like this. */
export async function begin(world: World, hasGoal = true): Promise<void> {
  const root = world.host.createRoot();
  world.host.userSays(root, "hello");
  await world.clock.advance(20);
  if (hasGoal) world.setGoal(root);
}

export async function act(world: World, action: Action): Promise<void> {
  const { host } = world;
  const root = host.exists(firstRoot) ? firstRoot : undefined;
  const below = root === undefined ? [] : host.below(root);
  const choose = (candidates: readonly string[], at: number) => candidates[at % Math.max(1, candidates.length)];
  // Between two processes nothing happens.
  if (world.process !== "runs" && action.do !== "advance" && action.do !== "run-again") return;
  switch (action.do) {
    case "advance":
      return world.clock.advance(action.ms);
    case "task": {
      const parent = choose(
        [...(root === undefined ? [] : [root, root, root]), ...below].filter((id) => host.hasTurn(id)),
        action.pick,
      );
      // A background task of a child wakes the child again within the moment in which its own result goes up: see
      // the stories of chaos, where nobody judges what is owed.
      const background = action.background && (parent === root || !world.book.judgesOwed);
      if (parent !== undefined) host.startTask(parent, { background });
      break;
    }
    case "adopt": {
      const parent = choose([...(root === undefined ? [] : [root, root, root]), ...below], action.pick);
      if (parent !== undefined) host.userSays(host.addChild(parent), "do this");
      break;
    }
    case "foreign": {
      const parent = choose(
        [...(root === undefined ? [] : [root, root, root]), ...below].filter((id) => host.hasTurn(id)),
        action.pick,
      );
      if (parent !== undefined) host.callForeignTask(parent, action.how);
      break;
    }
    case "finish":
    case "fail": {
      const id = choose(
        below.filter((child) => host.hasTurn(child) && !host.isHeldByTask(child) && !world.tools.holds(child)),
        action.pick,
      );
      if (id === undefined) break;
      if (action.do === "finish") host.finishTurn(id, "result");
      else host.failTurn(id);
      // Until its result is up, 7 ms later, nobody types into it: see chaos for those who do.
      if (world.book.judgesOwed) await world.clock.advance(10);
      break;
    }
    case "abort": {
      const id = choose(
        below.filter((child) => host.hasTurn(child)),
        action.pick,
      );
      if (id !== undefined) {
        world.ledger.intends(host.below(id));
        host.userAborts(id);
      }
      if (world.book.judgesOwed) await world.clock.advance(10);
      break;
    }
    case "delete": {
      const id = choose(below, action.pick);
      if (id !== undefined) world.deleteSession(id);
      break;
    }
    case "type": {
      const isBetween = (child: string) =>
        world.book.hasJustEnded(child) || (host.isActive(child) && !host.hasTurn(child));
      const id = choose(
        below.filter((child) => !world.book.judgesOwed || !(isBetween(child) || world.ledger.isStarting(child))),
        action.pick,
      );
      if (id !== undefined) host.userSays(id, "typed by hand");
      break;
    }
    case "resume": {
      const id = choose(
        // Not one whose prompt is still on its way: nobody does that.
        below.filter((child) => host.parentHasTurn(child) && !isTaken(world, child)),
        action.pick,
      );
      if (id !== undefined) host.resumeTask(id, { background: action.pick % 2 === 0 });
      break;
    }
    case "promote": {
      const id = choose(below, action.pick);
      if (id !== undefined) host.promoteTask(id);
      break;
    }
    case "ask": {
      const id = choose(
        below.filter((child) => host.hasTurn(child)),
        action.pick,
      );
      if (id !== undefined) host.openAsk(id);
      break;
    }
    case "answer":
    case "reject": {
      const id = choose(
        [...(root === undefined ? [] : [root]), ...below].filter(
          // A turn that a rejection ends goes on until its other calls have returned.
          (session) => host.openAsks(session).length > 0 && !(action.do === "reject" && world.tools.holds(session)),
        ),
        action.pick,
      );
      const askID = id === undefined ? undefined : host.openAsks(id)[0];
      // Rejected while the provider is asked again, it looks like an abort.
      if (id !== undefined && action.do === "reject") {
        world.ledger.intends(host.below(id));
        if (id === root) interrupts(world, root);
      }
      if (id !== undefined && askID !== undefined) host.closeAsk(id, askID, action.do === "reject");
      break;
    }
    case "set":
      if (root !== undefined) world.setGoal(root);
      break;
    case "pause":
      if (root !== undefined) world.goal(root, { type: "pause", by: "user", reason: "said so" });
      break;
    case "go-on":
      if (root !== undefined) world.resume(root);
      break;
    case "clear":
      if (root !== undefined) world.goal(root, { type: "clear" });
      break;
    case "complete":
      if (root !== undefined && !world.keeper.tasks(root).some(isLive))
        world.goal(root, { type: "complete", evidence: [{ claim: "it works" }] });
      break;
    case "run-again":
    case "run-speaks":
    case "run-silent":
    case "run-compacts":
      return actInRun(world, root, action);
    case "kill":
      if (world.config.run !== undefined) return world.interruptRun(action.tears);
      return world.killAndRestart(action.awake, action.tears);
    case "reload":
      if (world.config.run !== undefined) break;
      return world.reload(action.awake, lateNews(world));
    case "disturb":
      // The host cannot be asked which asks are open (its list keeps aborted ones): their events have to be believed.
      world.runJudge.unheard();
      world.disturb(action.type, action.type.startsWith("ask-") ? "duplicate" : action.how);
      break;
    case "fault":
      if (action.call === "abort" && action.fault !== "right") world.ledger.faulted();
      else if (action.call === "abort") world.ledger.trusted();
      host.faults[action.call] = action.fault;
      if (action.fault !== "right") world.runJudge.troubled();
      break;
    case "fate":
      host.fates.push(action.fate);
      world.runJudge.troubled();
      break;
    case "hook":
      host.chatMessageMs = action.ms;
      if (action.ms > 0) world.runJudge.troubled();
      break;
    case "launch":
    case "again":
    case "cancel":
    case "cancel-all":
    case "read":
    case "wait":
    case "tool":
      actOnTasks(world, action, root);
      break;
    case "goal":
    case "model":
    case "check":
    case "mishap":
    case "steps":
    case "agent":
    case "other-answers":
    case "archive":
      actOnGoal(world, root, action);
      break;
    case "tells":
      host.hostTellsAfterMs = action.after;
      break;
    case "stores":
      host.storesFailureAfterMs = action.afterMs;
      break;
    default:
      if (root !== undefined) actOnRoot(world, root, action.do);
  }
  // The second pair of idles of a failed or aborted turn comes 20 ms later; nobody begins another turn before.
  const comesInPairs = action.do === "root-fail" || action.do === "root-abort" || action.do === "mishap";
  return comesInPairs ? world.clock.advance(50) : world.clock.settle();
}

/** It works, or is about to; while it is being made nobody has its id. */
function isTaken({ host, ledger, tools }: World, child: string): boolean {
  const isNew = host.messages(child).length === 0;
  return isNew || host.isActive(child) || ledger.isLive(child) || tools.isResuming(child);
}

function actOnRoot(world: World, root: string, what: RootAction): void {
  const { host } = world;
  switch (what) {
    case "root-finish":
      if (!host.isHeldByTask(root) && !world.tools.holds(root)) host.finishTurn(root);
      return;
    case "root-fail":
      if (!host.isHeldByTask(root) && !world.tools.holds(root)) host.failTurn(root);
      return;
    case "root-retry":
      return host.retryTurn(root, 3_000);
    case "root-tool":
      return host.toolCall(root);
    case "root-abort":
      world.book.aborted(root);
      if (world.config.cancelOnInterrupt) interrupts(world, root);
      return host.userAborts(root);
    case "root-ask":
      if (host.hasTurn(root)) host.openAsk(root);
      return;
    case "undo":
      host.userUndoes(root);
      return;
    case "redo":
      return host.userRedoes(root);
    case "say":
      host.userSays(root, "a word");
      return;
    case "compact":
      // Nothing compacts a root that the user has left alone since an abort or a restart.
      if (!host.isWorking(root) && !world.book.root(root).quiet && !world.book.root(root).asleep) host.compact(root);
      return;
    case "fork":
      host.fork(root);
      return;
    case "delete-root":
      return world.deleteSession(root);
  }
}

/** Also tasks that were being made when the session between them and the root was deleted. */
function interrupts({ host, keeper, ledger }: World, root: string): void {
  ledger.intends([...host.below(root), ...keeper.tasks(root).map(({ id }) => id)]);
  ledger.stops(root);
}

/** By the moment, which is as good as chance. */
function lateNews({ clock }: World): LateNews {
  return (["nothing", "the end", "everything"] as const)[clock.now() % 3] ?? "nothing";
}

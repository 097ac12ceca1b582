import fc from "fast-check";
import { CommandAnswered } from "../../src/host/command.ts";
import { executeGoalCommand } from "../../src/host/goal-command.ts";
import type { HostPort } from "../../src/host/port.ts";
import { SIMULATED_VOICE } from "../../src/testing/simulated-sessions.ts";
import { HostSilentError, type ToolDependencies } from "../../src/tools/context.ts";
import { createGoal } from "../../src/tools/create-goal.ts";
import { getGoal } from "../../src/tools/get-goal.ts";
import { updateGoal } from "../../src/tools/update-goal.ts";
import { MISHAPS, type MishapName, mishap } from "./provider-errors.ts";
import type { World } from "./world.ts";

/** What a model says with the goal tools. `unproven`: without evidence; `bogus`: with calls that do not count. */
const CALLS = ["get", "create", "complete", "proven", "unproven", "bogus", "blocked", "unblocked"] as const;
type GoalCall = (typeof CALLS)[number];

/** What people say with `/goal`, what models do with the goal tools, and what goes wrong in the turns between. */
export type GoalAction =
  | { readonly do: "goal"; readonly say: string }
  | { readonly do: "model"; readonly call: GoalCall; readonly pick: number }
  /** From now on the user's own check accepts, or not; undefined: there is none. */
  | { readonly do: "check"; readonly passes: boolean | undefined }
  | { readonly do: "mishap"; readonly what: MishapName; readonly pick: number | undefined }
  /** Steps of the same turn, of a model that comes to no end. `pick` as above. */
  | { readonly do: "steps"; readonly count: number; readonly pick: number | undefined }
  | { readonly do: "agent"; readonly name: "plan" | "build" | "helpless" }
  /** Another plugin answers a call of one of our tools. */
  | { readonly do: "other-answers"; readonly tool: string }
  | { readonly do: "archive" };

const CHECK_MS = 700;
const STEP_MS = 40;

export const said: fc.Arbitrary<GoalAction> = fc
  .constantFrom(
    "make it work",
    "make it work --turns 1",
    "something else --turns 2",
    "make it cheap --tokens 300",
    "make it fast --minutes 0.5",
    "edit make it work better",
    "pause",
    "resume",
    "resume",
    "resume",
    "clear",
    "status",
    "why",
    "stop",
  )
  .map((say) => ({ do: "goal", say }));

export const modelled: fc.Arbitrary<GoalAction> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("model" as const), call: fc.constantFrom(...CALLS), pick: fc.nat(7) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("check" as const), passes: fc.constantFrom(true, false, undefined) }),
  },
);

const names = Object.keys(MISHAPS) as MishapName[];
/** `pick`: of a child; undefined, as mostly: of the root. */
const whose = fc.constantFrom(undefined, undefined, undefined, 0, 1);
export const failing: fc.Arbitrary<GoalAction> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("mishap" as const), what: fc.constantFrom(...names), pick: whose }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("steps" as const), count: fc.integer({ min: 1, max: 8 }), pick: whose }),
  },
);

export const elsewhere: fc.Arbitrary<GoalAction> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("agent" as const),
      name: fc.constantFrom("plan" as const, "build" as const, "helpless" as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant<GoalAction>({ do: "archive" }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("other-answers" as const),
      tool: fc.constantFrom("update_goal", "background_output"),
    }),
  },
);

export function actOnGoal(world: World, root: string | undefined, action: GoalAction): void {
  const { host } = world;
  if (root === undefined) return;
  switch (action.do) {
    case "goal":
      return say(world, root, action.say);
    case "model":
      return call(world, root, action.call, action.pick);
    case "check":
      world.checkPasses = action.passes;
      return;
    case "mishap":
      return fail(world, root, action.what, action.pick);
    case "steps":
      return steps(world, root, action.count, action.pick);
    case "agent":
      return host.saysAs(root, "as another", { ...SIMULATED_VOICE, agent: action.name });
    case "other-answers":
      return otherAnswers(world, root, action.tool);
    case "archive":
      return host.archive(root);
  }
}

/** Each a moment after the other, unless something ends the turn. */
function steps({ host, clock, tools }: World, root: string, count: number, pick: number | undefined): void {
  const below = host.below(root).filter((id) => host.hasTurn(id));
  const id = pick === undefined ? root : below[pick % Math.max(1, below.length)];
  if (id === undefined || count === 0 || !host.exists(id) || !host.hasTurn(id)) return;
  if (host.isHeldByTask(id) || tools.holds(id) || host.openAsks(id).length > 0) return;
  host.stepTurn(id);
  clock.after(STEP_MS, () => steps({ host, clock, tools } as World, root, count - 1, pick));
}

function fail({ host, tools }: World, root: string, what: MishapName, pick: number | undefined): void {
  const { error, costs } = mishap(what);
  const below = host.below(root).filter((id) => host.hasTurn(id));
  const id = pick === undefined ? root : below[pick % Math.max(1, below.length)];
  if (id === undefined || !host.hasTurn(id) || host.isHeldByTask(id) || tools.holds(id)) return;
  if (costs === "nothing") host.overflow(id, error);
  else host.failTurn(id, error);
}

/** U14: a goal whose agent is answered by another plugin does not go on by itself. */
function otherAnswers({ host, keeper, book }: World, root: string, tool: string): void {
  const isHeard = host.hasTurn(root);
  if (isHeard) host.callOfOther(root, tool);
  if (isHeard && keeper.goal(root)?.status === "active")
    book.breaches.push(`U14: another plugin has answered ${tool} in ${root}, and the goal goes on`);
}

function dependencies(world: World): ToolDependencies {
  const { host, keeper, clock, config, agents } = world;
  const loader = { ensure: async () => undefined };
  const limits = config.limits.budget;
  return {
    host,
    keeper,
    loader,
    agents,
    limits,
    hostProblem: async () => undefined,
    ids: { message: () => host.messageID() },
    now: () => clock.now(),
    command: "goal",
  };
}

/** The user says it in the TUI: a new objective becomes his message, everything else is answered without a turn. */
function say(world: World, root: string, args: string): void {
  const { host, config, life } = world;
  const deps = dependencies(world);
  const loader = { ...deps.loader, foreignRoot: async () => undefined };
  const hasCeiling = config.gate.maxTaskBlockMs > 0;
  // It prints, and ends the process.
  const runAnswer = config.run === undefined ? undefined : { give: async () => world.exits() };
  void executeGoalCommand(root, args, {
    ...deps,
    host: host as HostPort,
    loader,
    runAnswer,
    hasCeiling,
    hasTools: true,
    goals: async () => "",
  }).then(
    (text) => {
      if (life === world.life && host.exists(root)) host.userSays(root, text);
    },
    (error: unknown) => {
      // A command that fails is an `opencode run` that fails.
      if (config.run !== undefined) world.exits();
      if (!(error instanceof CommandAnswered || error instanceof HostSilentError))
        world.book.breaches.push(`Z1: /goal ${args} threw ${String(error)}`);
    },
  );
}

const OBJECTIVE = "make it work";
const ARGUMENTS: Readonly<Record<GoalCall, (callID: string) => unknown>> = {
  get: () => ({}),
  create: () => ({ objective: OBJECTIVE }),
  complete: () => ({ status: "complete", evidence: [{ claim: "it works" }] }),
  proven: (callID) => ({ status: "complete", evidence: [{ claim: "it works", tool_call_ids: [callID] }] }),
  unproven: () => ({ status: "complete", evidence: [] }),
  bogus: () => ({ status: "complete", evidence: [{ claim: "it works", tool_call_ids: ["call_none"] }] }),
  blocked: () => ({ status: "blocked", blocker: "a password is missing" }),
  unblocked: () => ({ status: "blocked" }),
};

/** The model of the root, or of a task below it, calls a goal tool in its turn. */
function call(world: World, root: string, what: GoalCall, pick: number): void {
  const { host, tools } = world;
  const callers = [root, root, root, root, ...host.below(root)].filter((id) => host.hasTurn(id));
  const sessionID = callers[pick % Math.max(1, callers.length)];
  if (sessionID === undefined) return;
  const check = async () => {
    const passes = world.checkPasses !== false;
    await new Promise<void>((resolve) => world.clock.after(CHECK_MS, resolve));
    if (!passes) world.pursuit.refuses(root);
    return passes
      ? ({ kind: "passed" } as const)
      : ({ kind: "failed", how: "ended with exit code 1", output: "" } as const);
  };
  const deps = { ...dependencies(world), ...(world.checkPasses === undefined ? {} : { check }) };
  const last = host.messages(root).flatMap(({ calls }) => [...calls].filter(([, { tool }]) => tool === "bash"));
  const args = ARGUMENTS[what](last.at(-1)?.[0] ?? "call_none");
  const name = what === "get" ? "get_goal" : what === "create" ? "create_goal" : "update_goal";
  const make = { get_goal: getGoal, create_goal: createGoal, update_goal: updateGoal }[name];
  tools.use(sessionID, name, async ({ messageID, controller }) => {
    const context = { sessionID, messageID, agent: "build", abort: controller.signal };
    return make(deps).execute(args, context);
  });
}

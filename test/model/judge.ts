import { decide } from "../../src/goals/gate.ts";
import type { Goal } from "../../src/goals/goal.ts";
import { Keeper } from "../../src/keeper/keeper.ts";
import type { Observation } from "../../src/keeper/messages.ts";
import { isEnded, isLive } from "../../src/tasks/task.ts";
import { type MishapName, mishap } from "./provider-errors.ts";
import { idsOf, type Life, ownerOf, type World } from "./world.ts";

const STEP_MS = 10_000;
const MOST_RINGS = 3_000;

/** An hour: the provider may say nothing about when its limit ends. */
const LONGEST_QUOTA_WAIT_MS = 3_600_000;

/** Far beyond four ceilings, three failed prompts and the longest back-off, with the timing of story.ts. */
const LONG_MS = 900_000;

/** Tasks are nested no deeper than this in any story. */
const DEEPEST = 8;

/** I6: asked twice, and of a copy of the state, the gate gives the same answer. */
export function judgeDecision(world: World): void {
  for (const rootID of world.host.rootIDs()) {
    const root = world.keeper.root(rootID);
    if (root === undefined) continue;
    const goal = world.keeper.goal(rootID);
    const tasks = world.keeper.tasks(rootID);
    const now = world.clock.now();
    const first = decide(goal, root, tasks, now, world.config.gate);
    const copy = structuredClone({ goal, root, tasks });
    const second = decide(copy.goal, copy.root, copy.tasks, now, world.config.gate);
    if (!Bun.deepEquals(first, second, true))
      world.book.breaches.push(`I6: ${JSON.stringify(first)} and of a copy ${JSON.stringify(second)}`);
  }
}

/** L5: with a truthful host and time alone, everything that we launched comes to an end. */
export async function judgeLaunched(world: World): Promise<void> {
  const { host, clock, ledger } = world;
  world.calm();
  world.rootTurnMs = 50;
  endTools(world);
  // Slot by slot, and each of them silent to the last.
  const { staleMs } = world.config.timing;
  const most = host.rootIDs().flatMap((id) => world.keeper.tasks(id)).length;
  for (let wave = 0; wave <= most + 2 && isAnyLive(world); wave++) {
    await clock.advance(2 * staleMs);
    endTools(world);
    endForeignTurns(world);
    ledger.judgeEnds();
  }
  ledger.judgeAllEnded();
}

/** What others made below a task belongs to it, and works for as long as they like. */
function endForeignTurns({ host, keeper }: World): void {
  for (const sessionID of host.rootIDs().flatMap((id) => [...host.below(id)])) {
    const isOurs = keeper.manager.get(sessionID)?.origin === "launched";
    if (!isOurs && !host.isHeldByTask(sessionID)) host.finishTurn(sessionID);
  }
}

function isAnyLive({ host, keeper }: World): boolean {
  const isOurs = (rootID: string) => keeper.root(rootID)?.presence.kind !== "asleep";
  return host
    .rootIDs()
    .filter(isOurs)
    .some((rootID) => keeper.tasks(rootID).some((task) => task.origin === "launched" && isLive(task)));
}

/** A tool may work for ever, and its task with it. */
function endTools({ host }: World): void {
  for (const sessionID of host.rootIDs().flatMap((id) => [...host.below(id)])) {
    const answer = host.messages(sessionID).findLast(({ role }) => role === "assistant");
    for (const [callID, { tool, state }] of answer?.calls ?? [])
      if (tool === "bash" && state === "running") host.endTool(sessionID, callID);
  }
}

/** No turn ends before its tool calls have returned, and the longest of them waits for 100 seconds. */
async function callsReturn({ clock, tools }: World): Promise<void> {
  for (let second = 0; second < 105 && tools.size > 0; second++) await clock.advance(1_000);
}

/** I2: with a truthful host and time alone, every active goal goes on or waits for the user. */
export async function judgeWaits(world: World): Promise<void> {
  const { host, keeper } = world;
  world.calm();
  redo(world);
  world.rootTurnMs = 50;
  await callsReturn(world);
  // A foreground child that works for hours holds its root by right: only background ones may go on.
  for (let round = 0; round < DEEPEST; round++) {
    await world.clock.advance(100);
    for (const id of host.rootIDs().flatMap((root) => [...host.below(root)])) {
      // The turn of one that waits for a child of its own cannot end.
      const mayEnd = host.isForeground(id) && !host.isHeldByTask(id) && host.openAsks(id).length === 0;
      if (mayEnd) host.finishTurn(id);
    }
  }
  await world.clock.advance(100);
  for (const id of host.rootIDs()) {
    if (!host.isHeldByTask(id) && host.openAsks(id).length === 0) host.finishTurn(id);
  }
  await world.clock.advance(5_000);
  redo(world);
  const { autoContinue } = world.config.gate;
  const isAsked = (rootID: string) => [rootID, ...host.below(rootID)].some((id) => host.openAsks(id).length > 0);
  const eligible = host
    .rootIDs()
    .filter(() => autoContinue)
    .filter((id) => keeper.goal(id)?.status === "active" && keeper.root(id)?.presence.kind === "awake" && !isAsked(id))
    .map((id) => ({ id, before: world.book.root(id).continuations }));
  const quotaUntil = Math.max(0, ...eligible.map(({ id }) => keeper.goal(id)?.quotaUntil ?? 0));
  await world.clock.advance(Math.min(Math.max(0, quotaUntil - world.clock.now()), LONGEST_QUOTA_WAIT_MS));
  await world.clock.advance(LONG_MS);
  world.pursuit.judgeTurns();
  for (const rootID of host.rootIDs()) {
    const decision = keeper.decision(rootID);
    if (keeper.root(rootID) === undefined || decision.kind !== "wait" || isAsked(rootID)) continue;
    const stuck = decision.reasons.filter((reason) => "until" in reason);
    // A goal that is held by the user alone may as well be held by something else for a while.
    if (stuck.length === decision.reasons.length)
      world.book.breaches.push(`I2: ${rootID} still waits: ${JSON.stringify(stuck)}`);
    for (const reason of decision.reasons) {
      if (reason.why !== "ask-open" && reason.why !== "undone") continue;
      world.book.breaches.push(`I2: ${rootID} waits for an ask that is not open: ${JSON.stringify(reason)}`);
    }
  }
  for (const { id, before } of eligible) {
    if (!host.exists(id)) continue;
    const goal = keeper.goal(id);
    if (goal?.status === "paused" && mayPause(world, goal)) continue;
    if (goal?.status === "active" || goal?.status === "paused") {
      world.book.breaches.push(`I2: ${id} is ${goal.status} at the end: ${JSON.stringify(keeper.decision(id))}`);
    }
    if (goal?.status === "limited" && goal.wrapUp === "owed") world.book.breaches.push(`I2: ${id} never wrapped up`);
    // With its time used up before, it is limited, and a limit that was reached in a user's turn is no less one.
    if (world.book.root(id).continuations === before) world.book.breaches.push(`I2: ${id} has sent nothing`);
  }
}

/**
 * The user takes back what he has undone: nothing else ends that wait. The host refuses it in a session that works, which
 * can have something undone all the same: the undo takes a while, and its mark comes when a turn has begun meanwhile.
 */
function redo({ host }: World): void {
  for (const rootID of host.rootIDs()) host.userRedoes(rootID);
}

/** Turns that do nothing make no progress, and an agent that pursues no goals is the user's to change. */
function mayPause({ config }: World, { by }: Goal & { readonly status: "paused" }): boolean {
  return (
    by === "restricted-agent" || by === "unable-agent" || (by === "no-progress" && config.limits.noProgressTurns > 0)
  );
}

/** Z1: nothing of ours has thrown. */
function judgeLog({ host, book }: World): void {
  for (const { message, extra } of host.logs.filter(({ level }) => level === "error"))
    book.breaches.push(`Z1: ${message} ${JSON.stringify(extra)}`);
}

/** I5: when everything has ended and the windows are over, nothing is left. */
export async function judgeEnd(world: World): Promise<void> {
  const { host, keeper, clock, book } = world;
  // All at once, parents and children: nothing that happens, and nobody could say what is owed.
  book.judgesOwed = false;
  await callsReturn(world);
  // Those that are told of tasks of their own begin a turn once more.
  world.childTurnMs = 50;
  for (let round = 0; round < 4; round++) {
    for (const id of host.rootIDs().flatMap((root) => [...host.below(root), root])) {
      for (const askID of host.openAsks(id)) host.closeAsk(id, askID);
      if (!host.isHeldByTask(id)) host.finishTurn(id);
    }
    await clock.advance(2_000);
    world.ledger.judgeEnds();
  }
  for (const rootID of host.rootIDs()) host.userSays(rootID, "the end");
  await clock.advance(100_000);
  for (const rootID of host.rootIDs()) {
    for (const task of keeper.tasks(rootID)) {
      const settled = isEnded(task) && task.delivery.state !== "pending";
      if (!settled) book.breaches.push(`I3: ${task.id} is ${JSON.stringify(task)} when everything has ended`);
    }
    world.goal(rootID, { type: "clear" });
  }
  world.ledger.excuseUnseen();
  book.judgeMentions();
  world.ledger.judgeTold();
  await clock.advance(300_000);
  judgeLog(world);
  const { sizes } = keeper;
  const { manager } = keeper;
  const all = { ...sizes, waiting: manager.waiting().length, seated: manager.seated().length, calls: world.tools.size };
  const left = Object.entries(all).filter(([, size]) => size !== 0 && size !== false);
  if (left.length > 0 || clock.pending() > 0) {
    book.breaches.push(`I5: left are ${JSON.stringify(all)} and ${clock.pending()} timers`);
  }
}

/** What a provider that fails for good may cost, by what can be done about it: a limit is tried again, ever more seldom. */
const MOST_REQUESTS = { retries: 3, limit: 12, user: 1, nothing: 0 } as const;
const OUTAGE_MS = 7_200_000;

/** G7: with a provider that fails every turn of the root, a goal comes to rest, or waits for the end of a limit. */
export async function judgeOutage(world: World, what: MishapName): Promise<void> {
  const { host, keeper, clock, book, tools } = world;
  const { error, costs } = mishap(what);
  world.calm();
  redo(world);
  await callsReturn(world);
  const begunAs = new Map(host.rootIDs().map((id) => [id, book.root(id).continuations]));
  const until = clock.now() + OUTAGE_MS;
  for (let rings = 0; clock.nextAt <= until && rings < MOST_RINGS; rings++) {
    await clock.advanceTo(clock.nextAt);
    for (const id of host.rootIDs().flatMap((root) => [...host.below(root)]))
      if (host.isForeground(id) && !host.isHeldByTask(id)) host.finishTurn(id);
    for (const id of host.rootIDs()) {
      const mayEnd = host.hasTurn(id) && !host.isHeldByTask(id) && !tools.holds(id) && host.openAsks(id).length === 0;
      if (mayEnd) host.failTurn(id, error);
    }
    redo(world);
  }
  world.rootTurnMs = 50;
  for (const id of host.rootIDs()) {
    const requests = book.root(id).continuations - (begunAs.get(id) ?? 0);
    if (requests > MOST_REQUESTS[costs]) book.breaches.push(`G7: an outage (${what}) has cost ${requests} requests`);
    const isAwake = keeper.root(id)?.presence.kind === "awake" && keeper.decision(id).kind === "continue";
    if (isAwake) book.breaches.push(`G7: in an outage (${what}) the goal is ${JSON.stringify(keeper.goal(id))}`);
  }
}

/** R1 R4 R5: with a truthful host and time alone the process ends, and leaves nothing behind. */
export async function judgeRun(world: World): Promise<void> {
  const { host, clock, book, config } = world;
  world.calm();
  world.rootTurnMs = 50;
  await callsReturn(world);
  const ceiling = config.run?.ceilingMs ?? 0;
  // Without a ceiling tasks may be waited for as long as they work.
  const endsMs = Number.isFinite(ceiling) ? 2 * ceiling + LONG_MS : LONG_MS;
  for (let waited = 0; world.process === "runs" && waited < endsMs; waited += STEP_MS) {
    for (const id of host.rootIDs().flatMap((root) => [...host.below(root)])) {
      const mayEnd = host.isForeground(id) || !Number.isFinite(ceiling);
      if (mayEnd && !host.isHeldByTask(id)) host.finishTurn(id);
      for (const askID of host.openAsks(id)) host.closeAsk(id, askID, true);
    }
    for (const id of host.rootIDs()) {
      for (const askID of host.openAsks(id)) host.closeAsk(id, askID, true);
      if (!host.isHeldByTask(id)) host.finishTurn(id);
    }
    await clock.advance(waited === 0 ? 1_000 : STEP_MS);
    world.runJudge.judge();
  }
  await clock.advance(5_000);
  if (world.process !== "over") book.breaches.push(`R5: the process is ${world.process} at the end`);
  judgeLog(world);
  await clock.advance(300_000);
  if (clock.pending() > 0) book.breaches.push(`I5: left are ${clock.pending()} timers`);
}

/** I6: the recorded inputs, at their times, make a fresh keeper do the same. */
export function judgeReplay(world: World): void {
  for (const life of world.lives) {
    const again = replay(world, life);
    const before = life.observations.map(comparable);
    const after = again.map(comparable);
    const at = before.findIndex((line, index) => line !== after[index]);
    if (at >= 0 || before.length !== after.length) {
      world.book.breaches.push(`I6: the replay of ${life.instance} differs at ${at}: ${before[at]} was ${after[at]}`);
      return;
    }
  }
}

function replay(world: World, life: Life): readonly Observation[] {
  const observations: Observation[] = [];
  let now = 0;
  const clock = { now: () => now, after: () => () => undefined };
  const keeper = new Keeper({
    clock,
    config: world.config,
    owner: ownerOf(life.instance),
    runner: life.instance,
    ids: idsOf(clock),
    adopts: true,
    perform: () => undefined,
    observe: (observation) => observations.push(observation),
  });
  for (const { at, input } of life.inputs) {
    now = at;
    if (input.type === "sign") keeper.manager.signs.mark(input.sessionID, at);
    else keeper.dispatch(input);
  }
  return observations;
}

function comparable(observation: Observation): string {
  return observation.type === "input" ? `input ${observation.input.type}` : JSON.stringify(observation);
}

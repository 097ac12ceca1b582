import type { Input, KeeperFacts } from "../keeper/messages.ts";
import { sessionOf } from "../keeper/routing.ts";
import type { NativeCall } from "../tasks/session-tree.ts";
import type { KnownSession, TracedConfig, TraceEntry } from "./schema.ts";
import type { Texts } from "./texts.ts";

/** What a keeper knows beside its inputs, as far as a replay of the trace of one root needs it. */

type Tree = KeeperFacts["manager"]["tree"];

/**
 * Sessions that the books know before an input through which it comes out whose they are, or before the first line of a
 * root: what showed them stands in no trace.
 *
 * @param isFirst the root has no trace yet
 */
export function knownBefore(
  input: Input,
  rootID: string | undefined,
  isFirst: boolean,
  { manager: { tree } }: KeeperFacts,
  text: Texts,
): readonly KnownSession[] {
  const ids = new Set([...subjects(input), ...(rootID === undefined ? [] : [rootID])]);
  const unplaced = [...ids].filter((id) => tree.rootOf(id) === undefined);
  const around = unplaced.flatMap((id) => [...above(id, tree), id, ...tree.below(id).map((seen) => seen.id)]);
  const first = isFirst && rootID !== undefined ? [rootID, ...tree.below(rootID).map((seen) => seen.id)] : [];
  return [...new Set([...around, ...first])].flatMap((id) => {
    const seen = tree.get(id);
    return seen === undefined ? [] : [knownSession(seen, text)];
  });
}

function knownSession(
  { id, parentID, title, createdAt, busy, native }: NonNullable<ReturnType<Tree["get"]>>,
  text: Texts,
): KnownSession {
  const shown = parentID === undefined ? text(title) : title;
  return { id, parentID, title: shown, createdAt, busy, native: native === undefined ? undefined : call(native) };
}

function call({ callID, background, isRunning, title }: NativeCall): NonNullable<KnownSession["native"]> {
  return { callID, background, isRunning, title };
}

/** Sessions about which an input may say whose they are. */
function subjects(input: Input): readonly string[] {
  if (input.type === "restored" || input.type === "reread") return input.stored.tasks.map(({ id }) => id);
  if (input.type === "launched") return [input.task.id];
  if (input.type !== "host") return [];
  const { event } = input;
  const child = event.type === "tool" ? event.child?.sessionID : undefined;
  return [sessionOf(event), ...(child === undefined ? [] : [child])];
}

function above(sessionID: string, tree: Tree): readonly string[] {
  const ids: string[] = [];
  for (let id = tree.get(sessionID)?.parentID; id !== undefined && !ids.includes(id); id = tree.get(id)?.parentID)
    ids.push(id);
  return ids;
}

/** When the sessions of a root were last heard of, as far as that is not known yet; it is known then. */
export function newSigns(
  rootID: string,
  known: Map<string, number>,
  { manager }: KeeperFacts,
): Record<string, number> | undefined {
  const news: Record<string, number> = {};
  for (const id of [rootID, ...manager.of(rootID).map((task) => task.id)]) {
    const at = manager.signs.lastAt(id);
    if (at === 0 || known.get(id) === at) continue;
    known.set(id, at);
    news[id] = at;
  }
  return Object.keys(news).length === 0 ? undefined : news;
}

/** Roots that have a task which waits for a slot. */
export function waitingRoots({ manager }: KeeperFacts): ReadonlySet<string> {
  return manager.isAnyWaiting ? new Set(manager.waiting().map(({ rootID }) => rootID)) : NONE;
}

const NONE: ReadonlySet<string> = new Set();

/** The models of the slots that tasks of other roots have. */
export function seatsBeside(rootID: string, { manager }: KeeperFacts): string[] {
  return manager
    .seated()
    .filter((task) => task.rootID !== rootID)
    .map(modelOfSeat);
}

/** "": the host decides. */
function modelOfSeat({ launch }: ReturnType<KeeperFacts["manager"]["seated"]>[number]): string {
  const model = launch?.voice.model;
  return model === undefined ? "" : `${model.providerID}/${model.modelID}`;
}

/** The first line of a file: which version it is, and the options; names of agents and models, and numbers. */
export function startEntry(at: number, version: number, facts: KeeperFacts | undefined): TraceEntry {
  if (facts === undefined) return { at, kind: "start", version };
  return { at, kind: "start", version, config: tracedConfig(facts), adopts: facts.adopts };
}

function tracedConfig({ config }: KeeperFacts): TracedConfig {
  const { timing, gate, limits, concurrency, cancelOnInterrupt, reportHoldMs, hasReadTool, run } = config;
  const { waits = false, ceilingMs = Number.POSITIVE_INFINITY } = run ?? {};
  return {
    timing: { ...timing },
    gate: { ...gate, restrictedAgents: [...gate.restrictedAgents] },
    limits: { ...limits, budget: { ...limits.budget } },
    concurrency: typeof concurrency === "number" ? concurrency : { ...concurrency },
    cancelOnInterrupt,
    reportHoldMs,
    hasReadTool,
    run: run === undefined ? undefined : { waits, ceilingMs: Number.isFinite(ceilingMs) ? ceilingMs : undefined },
  };
}

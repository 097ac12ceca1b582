import { HostIds } from "../host/message-id.ts";
import type { KeeperConfig } from "../keeper/config.ts";
import { Keeper } from "../keeper/keeper.ts";
import type { Input, Observation } from "../keeper/messages.ts";
import type { Clock } from "../time/clock.ts";
import { recordOf } from "./record.ts";
import { toModel } from "./replay-event.ts";
import type { Step } from "./replay-steps.ts";
import { ANY_TEXT } from "./same.ts";
import type { KnownSession, TracedConfig, TraceEntry } from "./schema.ts";
import { filler, HERE } from "./stored-record.ts";

/** A keeper of today's code that lives through what is recorded, and does nothing but say what it would do. */
export class Replayer {
  private readonly keeper: Keeper;
  private readonly ids: RecordedIds;
  private at = 0;
  private seats: readonly string[] = [];
  private came: TraceEntry[] = [];
  private rested: string[] = [];
  /** The number of a write here, by its number in the trace: there all roots of a process are counted together. */
  private readonly revisions = new Map<number, number>();
  private readonly saves: number[] = [];

  constructor(
    private readonly rootID: string,
    config: TracedConfig,
    adopts: boolean,
  ) {
    // It is woken by what is recorded, never by itself.
    const clock: Clock = { now: () => this.at, after: () => () => undefined };
    this.ids = new RecordedIds(clock);
    this.keeper = new Keeper({
      clock,
      config: toConfig(config),
      // Where it is stored is not told.
      owner: { host: "", pid: 0, processStartedAt: 0, instance: HERE },
      runner: HERE,
      ids: this.ids,
      adopts,
      seatsBeside: () =>
        this.seats.map((name, index) => ({ id: `${index} ${name}`, model: toModel(name || undefined) })),
      perform: () => undefined,
      observe: (observation) => this.observed(observation),
    });
  }

  /** Whether tasks of other roots have slots for which one of this root waits, or may have waited. */
  get isCrowded(): boolean {
    return this.seats.length > 0;
  }

  /** What it does at an input, as a trace would have it; a string says why it cannot go on. */
  play(step: Step): readonly object[] | string {
    const { manager } = this.keeper;
    this.at = step.at;
    this.came = [];
    this.rested = [];
    const isAnyWaiting = manager.waiting().some(({ rootID }) => rootID === this.rootID);
    this.seats = step.seats ?? (isAnyWaiting ? this.seats : []);
    this.ids.expect(step);
    for (const session of step.known) this.know(session);
    for (const [sessionID, at] of Object.entries(step.signs)) manager.signs.mark(sessionID, at);
    try {
      this.keeper.dispatch(this.inputOf(step));
      for (const sessionID of step.rested.filter((id) => !this.rested.includes(id)))
        this.keeper.dispatch({ type: "host", event: { type: "session-idle", sessionID } });
    } catch (error) {
      return `the code failed: ${error instanceof Error ? error.message : error}`;
    }
    for (const sessionID of step.forgotten) manager.tree.forget(sessionID);
    this.countWrites(step);
    return this.came;
  }

  private inputOf({ input }: Step): Input {
    // Any input lets tasks that wait have slots; this one does nothing else.
    if (input === undefined) return { type: "wake", rootID: "" };
    if (input.type === "restored" && input.stored.reserved !== undefined) this.ids.used(input.stored.reserved.id);
    if (input.type !== "saved") return input;
    return { ...input, revision: this.revisions.get(input.revision) ?? input.revision };
  }

  private know({ id, parentID, title, createdAt, busy, native }: KnownSession): void {
    const { tree } = this.keeper.manager;
    if (tree.get(id) !== undefined) return;
    const session = { id, title: filler(title), createdAt, archived: false, metadata: {} };
    tree.see(parentID === undefined ? session : { ...session, parentID });
    tree.setBusy(id, busy);
    if (native !== undefined) tree.setNative(id, native);
  }

  private observed(observation: Observation): void {
    if (observation.type === "concerns" && observation.rested !== undefined) this.rested.push(observation.rested);
    if (observation.type === "input" || observation.rootID !== this.rootID) return;
    const entry = recordOf(observation, this.at, () => ANY_TEXT);
    if (entry === undefined) return;
    this.came.push(entry);
    for (const id of drawnIn(entry)) this.ids.used(id);
    if (entry.kind === "effect" && entry.effect.type === "save") this.saves.push(entry.effect.revision);
  }

  /** The writes of an input are the same ones in the trace and here, in their order. */
  private countWrites({ outputs }: Step): void {
    const recorded = outputs.flatMap(({ ...record }) =>
      record.kind === "effect" && record.effect.type === "save" ? [record.effect.revision] : [],
    );
    const here = this.saves.splice(0);
    for (const [index, revision] of recorded.entries()) {
      const same = here[index];
      if (same !== undefined) this.revisions.set(revision, same);
    }
    for (const entry of this.came) {
      if (entry.kind !== "effect" || entry.effect.type !== "save") continue;
      entry.effect.revision = recorded[here.indexOf(entry.effect.revision)] ?? entry.effect.revision;
    }
  }
}

/** Ids as they are recorded: the next one that was new. One that is drawn and not used is in no trace, and any will do. */
class RecordedIds {
  private readonly others: HostIds;
  private readonly known = new Set<string>();
  private next: readonly string[] = [];

  constructor(clock: Clock) {
    this.others = new HostIds(clock, () => 0);
  }

  /** What is new in a step. */
  expect({ outputs }: Step): void {
    this.next = outputs.flatMap(drawnIn);
  }

  used(id: string): void {
    this.known.add(id);
  }

  message(after: string): string {
    return this.next.find((id) => !this.known.has(id)) ?? this.others.message(after);
  }

  part(): string {
    return this.others.part();
  }
}

/** Ids of messages that may be new. What is told to a task is seen only when it is sent. */
function drawnIn(entry: Step["outputs"][number] | TraceEntry): readonly string[] {
  if (entry.kind === "outbox") return entry.message === undefined ? [] : [entry.message.id];
  if (entry.kind !== "effect") return [];
  const { effect } = entry;
  if (effect.type === "send") return [effect.messageID];
  return effect.type === "save" && effect.reserved !== undefined ? [effect.reserved] : [];
}

function toConfig({ run, ...config }: TracedConfig): KeeperConfig {
  const { waits = false, ceilingMs = Number.POSITIVE_INFINITY } = run ?? {};
  // Only people type the name of the command.
  return { ...config, command: "goal", run: run === undefined ? undefined : { waits, ceilingMs } };
}

import type { Voice } from "../host/port.ts";

/**
 * `max_concurrent_tasks`: how many launched tasks may run at once, for every model by itself, or by "provider/model"
 * and by "provider" for its models together. 0: no limit.
 */
export type ConcurrencyLimit = number | Readonly<Record<string, number>>;

/** The limit of a model for which the option names neither the model nor its provider. */
export const DEFAULT_CONCURRENCY = 5;

/** A launched task that waits for a slot or has one. */
export interface Seat {
  readonly id: string;
  /** Undefined: the host decides. All of these count together, as if that were one model. */
  readonly model: Voice["model"] | undefined;
}

/** One limit that holds for a seat. */
interface Bound {
  readonly key: string;
  readonly most: number;
}

/**
 * Which of the waiting tasks may start now. Slots are derived from the records every time and never counted up and
 * down: whatever becomes of a task, nobody has to give its slot back.
 *
 * First come, first served for every limit by itself. A task that waits for its model alone lets others of its provider
 * pass: when a task of its model ends, a slot of that provider comes free with it.
 *
 * @param waiting in the order of their launch
 * @param running those that hold a slot; more than the limit (it may have been lowered) starts nothing and ends nothing
 * @returns ids of `waiting`, in order
 * @example admit([{ id: "ses_b", model }], [{ id: "ses_a", model }], 1) // []
 */
export function admit(waiting: readonly Seat[], running: readonly Seat[], limit: ConcurrencyLimit): readonly string[] {
  const taken = new Map<string, number>();
  const take = ({ key }: Bound) => taken.set(key, (taken.get(key) ?? 0) + 1);
  for (const seat of running) boundsOf(seat, limit).forEach(take);

  const admitted: string[] = [];
  for (const seat of waiting) {
    const bounds = boundsOf(seat, limit);
    if (bounds.some(({ key, most }) => (taken.get(key) ?? 0) >= most)) continue;
    bounds.forEach(take);
    admitted.push(seat.id);
  }
  return admitted;
}

/**
 * The places of those that wait, by id: 1, plus those ahead that wait for a slot of the same limit.
 *
 * @param waiting in the order of their launch
 */
export function queuePositions(waiting: readonly Seat[], limit: ConcurrencyLimit): ReadonlyMap<string, number> {
  const ahead = new Map<string, number>();
  const positions = new Map<string, number>();
  for (const seat of waiting) {
    // The widest limit: whoever shares that of the model shares that of the provider, too.
    const key = boundsOf(seat, limit).at(-1)?.key;
    const place = 1 + (key === undefined ? 0 : (ahead.get(key) ?? 0));
    positions.set(seat.id, place);
    if (key !== undefined) ahead.set(key, place);
  }
  return positions;
}

/** The limits that hold for a seat: none, that of its model, that of its provider, or both. */
function boundsOf({ model }: Seat, limit: ConcurrencyLimit): readonly Bound[] {
  const name = model === undefined ? "undecided" : `${model.providerID}/${model.modelID}`;
  const ofModel = `model ${name}`;
  if (typeof limit === "number") return bound(ofModel, limit);
  if (model === undefined) return bound(ofModel, DEFAULT_CONCURRENCY);
  const forModel = entry(limit, name);
  const forProvider = entry(limit, model.providerID);
  if (forModel === undefined && forProvider === undefined) return bound(ofModel, DEFAULT_CONCURRENCY);
  return [...bound(ofModel, forModel ?? 0), ...bound(`provider ${model.providerID}`, forProvider ?? 0)];
}

function bound(key: string, most: number): readonly Bound[] {
  return most === 0 ? [] : [{ key, most }];
}

/** People may call a provider "constructor". */
function entry(limit: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(limit, name) ? limit[name] : undefined;
}

/** Stands for a text of which nothing is compared. */
export const ANY_TEXT = "…";

/** One field in which two lines differ. */
export interface Field {
  /** E.g. `after.until`. */
  readonly path: string;
  readonly recorded: unknown;
  readonly replayed: unknown;
}

/** What a line says beside what came out: where and when it was written. */
const PLACE: ReadonlySet<string> = new Set(["at", "seq", "pid", "life", "root"]);
const NOTHING: ReadonlySet<string> = new Set();

/** Whether a recorded line says the same as one that came out of a replay; texts, and where it was written, aside. */
export function same(recorded: object | undefined, replayed: object | undefined): boolean {
  if (recorded === undefined || replayed === undefined) return recorded === replayed;
  return differing(recorded, replayed).next().done === true;
}

/** The fields in which the two differ, one after the other. */
export function* differing(recorded: object, replayed: object, above = "", but = PLACE): Generator<Field> {
  const keys = new Set([...Object.keys(recorded), ...Object.keys(replayed)]);
  for (const key of keys) {
    if (but.has(key)) continue;
    const [was, is]: [unknown, unknown] = [recorded[key as never], replayed[key as never]];
    const path = `${above}${key}`;
    if (isTree(was) && isTree(is) && Array.isArray(was) === Array.isArray(is))
      yield* differing(was, is, `${path}.`, NOTHING);
    else if (!isSameLeaf(was, is)) yield { path, recorded: was, replayed: is };
  }
}

function isTree(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isSameLeaf(recorded: unknown, replayed: unknown): boolean {
  if (replayed === ANY_TEXT) return typeof recorded === "number" || typeof recorded === "string";
  return Object.is(recorded, replayed);
}

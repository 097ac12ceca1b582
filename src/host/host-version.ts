import type { Answer } from "./port.ts";

/**
 * Up to 1.18.14 the run loop of OpenCode ends where the id of the last user message sorts before that of the last
 * answer. An id of ours is stored before it is sent, so the first continuation would be the last.
 */
const OLDEST = [1, 18, 15] as const;
/** OpenCode 2 has other hooks and events. */
const FIRST_OTHER_MAJOR = 2;

/** What is wrong with a version of OpenCode, in words; undefined if nothing is, or if it cannot be told. */
export function versionProblem(version: string): string | undefined {
  // A build of one's own calls itself "local" or "0.0.0-…".
  const numbers = /^(\d+)\.(\d+)\.(\d+)$/.exec(version)?.slice(1).map(Number);
  if (numbers === undefined || numbers.every((number) => number === 0)) return undefined;
  const [major = 0] = numbers;
  if (major >= FIRST_OTHER_MAJOR)
    return `this is OpenCode ${version}, and goalkeeper is made for OpenCode 1: goals are not pursued here`;
  const isOld = isBefore(numbers, OLDEST);
  return isOld
    ? `this is OpenCode ${version}, where goals stop after their first turn: update OpenCode to ${OLDEST.join(".")} or newer`
    : undefined;
}

function isBefore(version: readonly number[], other: readonly number[]): boolean {
  const at = other.findIndex((number, index) => version[index] !== number);
  return at >= 0 && (version[at] ?? 0) < (other[at] ?? 0);
}

/**
 * Whether goals can be pursued on this host. npm installs the plugin on hosts that `engines` allows only; loaded by its
 * path it may find itself on any. The host is asked when somebody wants to know, never while it starts.
 */
export class HostVersion {
  private answered: string | undefined;

  constructor(private readonly ask: () => Promise<Answer<string>>) {}

  /** As {@link versionProblem}. A host that does not say what it is may be any: it is asked again the next time. */
  readonly problem = async (): Promise<string | undefined> => {
    if (this.answered === undefined) {
      const answer = await this.ask();
      if (answer.kind === "known") this.answered = answer.value;
    }
    return this.answered === undefined ? undefined : versionProblem(this.answered);
  };
}

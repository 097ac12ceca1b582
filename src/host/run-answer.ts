import type { Clock } from "../time/clock.ts";
import { withTimeout } from "../time/timeout.ts";
import type { RunMode } from "./run-mode.ts";

export interface RunAnswerDependencies {
  readonly mode: RunMode;
  readonly clock: Clock;
  /** Resolves once nothing of a root is left to be written. */
  readonly stored: (rootID: string) => Promise<void>;
  /** Each resolves once the text is out of this process: an exit before that cuts what goes into a pipe. */
  readonly stdout: (text: string) => Promise<void>;
  readonly stderr: (text: string) => Promise<void>;
  /** Closes the books and ends the process. */
  readonly exit: (code: number) => void;
}

const STORED_WITHIN_MS = 5_000;

/** Writes a text, and resolves when it has left the process, or can no more: nobody may read there. */
export function written(stream: Pick<NodeJS.WritableStream, "write">, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, () => resolve());
  });
}

/**
 * Answers a command of `opencode run`: prints, and ends the process. What ends a command everywhere else without a model
 * request, a throw, is an error there, and OpenCode prints that instead of the answer.
 */
export class RunAnswer {
  constructor(private readonly deps: RunAnswerDependencies) {}

  async give(sessionID: string, rootID: string, said: string, isRefused = false): Promise<void> {
    const { mode, clock, stored, stdout, stderr, exit } = this.deps;
    const isStored = await withTimeout("OpenCode's database", stored(rootID), STORED_WITHIN_MS, clock).then(
      () => true,
      () => false,
    );
    const event = { type: "goalkeeper", timestamp: clock.now(), sessionID, event: "answer", message: said };
    await stdout(mode.format === "json" ? `${JSON.stringify(event)}\n` : `${said}\n`);
    if (!isStored)
      await stderr(`goalkeeper: this was not stored within ${STORED_WITHIN_MS / 1_000} s and may be lost\n`);
    exit(isStored && !isRefused ? 0 : 1);
  }
}

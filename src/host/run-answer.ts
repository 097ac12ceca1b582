import type { Clock } from "../time/clock.ts";
import { withTimeout } from "../time/timeout.ts";
import type { RunMode } from "./run-mode.ts";

export interface RunAnswerDependencies {
  readonly mode: RunMode;
  readonly clock: Clock;
  /** Resolves once nothing of a root is left to be written. */
  readonly stored: (rootID: string) => Promise<void>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Closes the books and ends the process. */
  readonly exit: (code: number) => void;
}

const STORED_WITHIN_MS = 5_000;

/**
 * Answers a command of `opencode run`: prints, and ends the process. What ends a command everywhere else without a model
 * request, a throw, is an error there, and OpenCode prints that instead of the answer.
 */
export class RunAnswer {
  constructor(private readonly deps: RunAnswerDependencies) {}

  async give(sessionID: string, rootID: string, said: string): Promise<void> {
    const { mode, clock, stored, stdout, stderr, exit } = this.deps;
    const isStored = await withTimeout("OpenCode's database", stored(rootID), STORED_WITHIN_MS, clock).then(
      () => true,
      () => false,
    );
    const event = { type: "goalkeeper", timestamp: clock.now(), sessionID, event: "answer", message: said };
    stdout(mode.format === "json" ? `${JSON.stringify(event)}\n` : `${said}\n`);
    if (!isStored) stderr(`goalkeeper: this was not stored within ${STORED_WITHIN_MS / 1_000} s and may be lost\n`);
    exit(isStored ? 0 : 1);
  }
}

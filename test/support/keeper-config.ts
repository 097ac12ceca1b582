import type { KeeperConfig } from "../../src/keeper/config.ts";
import { GATE, TIMING } from "./builders.ts";

/** What a keeper of a test is told unless it says otherwise. */
export const CONFIG: KeeperConfig = {
  timing: TIMING,
  gate: GATE,
  command: "goal",
  limits: { budget: { turns: 25, tokens: 0, ms: 0 }, maxPromptFailures: 3, noProgressTurns: 0 },
  concurrency: 5,
  cancelOnInterrupt: true,
  reportHoldMs: 900_000,
  hasReadTool: true,
};

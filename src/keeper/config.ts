import type { GateConfig } from "../goals/gate.ts";
import type { GoalLimits } from "../goals/goal.ts";
import type { ConcurrencyLimit } from "../tasks/slots.ts";
import type { TaskTiming } from "../tasks/task.ts";

/** `opencode run`. */
export interface RunConfig {
  /** Whether the end of a turn waits for tasks. */
  readonly waits: boolean;
  /** How long it waits at most; `Infinity`: until nothing is owed. */
  readonly ceilingMs: number;
}

/** The options, as milliseconds and by the part that uses them. */
export interface KeeperConfig {
  readonly timing: TaskTiming;
  readonly gate: GateConfig;
  readonly limits: GoalLimits;
  readonly concurrency: ConcurrencyLimit;
  /** Whether the user's abort of a root cancels what we launched below it. */
  readonly cancelOnInterrupt: boolean;
  /** How long the report of a success may wait for the tasks that were launched beside it. */
  readonly reportHoldMs: number;
  /** Whether the model has the tool that reads the whole of a result. */
  readonly hasReadTool: boolean;
  /** Set in `opencode run`, where the end of a turn is the end of the process. */
  readonly run?: RunConfig | undefined;
  /** Name of the command, as people have to type it. */
  readonly command: string;
}

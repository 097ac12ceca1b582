import type { GateConfig } from "../goals/gate.ts";
import type { GoalLimits } from "../goals/goal.ts";
import type { TaskTiming } from "../tasks/task.ts";

/** The options, as milliseconds and by the part that uses them. */
export interface KeeperConfig {
  readonly timing: TaskTiming;
  readonly gate: GateConfig;
  readonly limits: GoalLimits;
  /** Name of the command, as people have to type it. */
  readonly command: string;
}

/** The library. What the plugin itself is made of and other plugins may use. */

export type { Answer, HostEvent, HostPort, SessionInfo, TranscriptMessage, TurnError, Voice } from "./host/port.ts";
export { DEFAULT_OPTIONS, type Options, type ParsedOptions, parseOptions } from "./options.ts";
export { type LookUp, lookUpTask } from "./tasks/look-up.ts";
export { type Reading, readOutcome } from "./tasks/outcome.ts";
export {
  type Delivery,
  type EndedTask,
  isEnded,
  isLive,
  type LiveTask,
  type Origin,
  type Outcome,
  type Run,
  type Task,
  type TaskStatus,
} from "./tasks/task.ts";

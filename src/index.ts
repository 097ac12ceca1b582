/** The library. What the plugin itself is made of and other plugins may use. */

export type { PromptVoice, Told, TranscriptMessage, TranscriptPart, TurnError, Usage, Voice } from "./host/port.ts";
export { createTaskManager, SettingsError, type TaskManagerSettings, type TaskOptions } from "./library/create.ts";
export {
  type Owed,
  type TaskManager,
  TaskNotFoundError,
  type TaskOutput,
  type TaskView,
} from "./library/task-manager.ts";
export { DEFAULT_OPTIONS, type Options, type ParsedOptions, parseOptions } from "./options.ts";
export { SessionTreeArgumentError } from "./session-tree/errors.ts";
export type { SessionTreeOutcome } from "./session-tree/outcome.ts";
export type { SessionTreeOwed } from "./session-tree/owed.ts";
export type { SessionTreeSession, SessionTreeState } from "./session-tree/state.ts";
export type { SessionTreeTask } from "./session-tree/tasks.ts";
export { type WaitForSessionTreeOptions, waitForSessionTree } from "./session-tree/wait.ts";
export type { TaskChange } from "./tasks/background-task-manager.ts";
export { type LaunchWishes, parseModel } from "./tasks/launch-voice.ts";
export { LaunchError, type LaunchRequest, type ResumeRequest } from "./tasks/launcher.ts";
export {
  type Delivery,
  type EndedTask,
  isEnded,
  isLive,
  type Launch,
  type LiveTask,
  type Origin,
  type Outcome,
  type Run,
  type Task,
  type TaskStatus,
  type TerminalStatus,
} from "./tasks/task.ts";

/**
 * Tests a plugin against the real OpenCode without a paid model.
 *
 * @packageDocumentation
 */

// The real OpenCode, isolated.
export type { EventCollector, OpencodeEvent, OpencodeEventProperties } from "./event-collector.ts";
export {
  type EnvironmentOptions,
  type IsolatedEnvironment,
  PluginNotFoundError,
  type PluginSpec,
} from "./isolated-environment.ts";
// A model that answers from a script.
export type { ChatMessage, ModelRequest, ToolResult } from "./model-request.ts";
export { LogEndedError, type WaitOptions, WaitTimeoutError } from "./observable-log.ts";
export { OpencodeNotFoundError, resolveOpencodeBinary } from "./opencode-binary.ts";
export {
  createIsolatedOpencode,
  type IsolatedOpencode,
  type IsolatedOpencodeOptions,
  type RunOptions,
  type RunResult,
  RunTimeoutError,
} from "./opencode-process.ts";
export { type OpencodeServer, OpencodeStartError, type ServeOptions } from "./opencode-server.ts";
export type { CommandLine, OwnedProcess, ProcessExit } from "./owned-processes.ts";
export {
  createGate,
  type Gate,
  NoScriptForSessionError,
  type Reply,
  type ReplyFunction,
  type ReplySource,
  type ReplySpec,
  type Script,
  ScriptExhaustedError,
  type ScriptedError,
  type ScriptedToolCall,
  type ScriptedUsage,
  type SessionScript,
} from "./script.ts";
export { UnknownScriptKeyError } from "./script-keys.ts";
export {
  type ScriptedModel,
  type ScriptedModelInfo,
  type ScriptedModelOptions,
  type ScriptedProviderConfig,
  type ScriptFailure,
  startScriptedModel,
} from "./scripted-model.ts";
export {
  type IdleOptions,
  OpencodeRequestError,
  type PromptOptions,
  type PromptPart,
  type SessionHelpers,
  type StoredMessage,
} from "./session-helpers.ts";

// Without OpenCode: a simulated host and a clock that is advanced by hand.
export { SimulatedClock, TimerStormError } from "./simulated-clock.ts";
export { SimulatedHost } from "./simulated-host.ts";

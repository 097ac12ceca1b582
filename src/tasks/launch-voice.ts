import type { AgentInfo, PromptVoice, Voice } from "../host/port.ts";
import { isUnstable } from "./unstable.ts";

export type { AgentInfo } from "../host/port.ts";

/** What matters here of an agent of the host. */
export type Candidate = Pick<AgentInfo, "name" | "mode" | "hidden" | "model" | "variant">;

/** What the one who launches a task asks for. */
export interface LaunchWishes {
  readonly agent?: string | undefined;
  readonly model?: Voice["model"] | undefined;
  /** Overrules `unstable_models`, both ways. */
  readonly unstable?: boolean | undefined;
}

export interface LaunchVoice {
  /** Without a model the host decides. */
  readonly voice: PromptVoice;
  /** Decided on the model that the child really runs with. */
  readonly unstable: boolean;
}

/** Why nothing can be launched, in words for whoever asked for it. */
export interface LaunchProblem {
  readonly problem: string;
}

const USUAL_AGENT = "general";

/**
 * With which agent and model a launched task runs: as wished, else the agent "general" or else the parent's, and that
 * agent's own model or else the parent's. A variant belongs to its model and comes with it: a wished model has none.
 *
 * @param parent of the session that launches; undefined: not known
 * @param unstablePatterns `unstable_models`
 * @example
 * const launch = launchVoice({ agent: "explore" }, agents, parent, ["*gemini*"]);
 * if ("problem" in launch) return launch.problem;
 */
export function launchVoice(
  wishes: LaunchWishes,
  agents: readonly Candidate[],
  parent: Voice | undefined,
  unstablePatterns: readonly string[],
): LaunchVoice | LaunchProblem {
  const name = wishes.agent ?? usualAgent(agents, parent);
  const agent = agents.find((known) => known.name === name);
  if (agent === undefined) return { problem: noSuchAgent(name, agents) };
  const voice = childVoice(name, wishes.model, agent, parent);
  return { voice, unstable: wishes.unstable ?? isUnstable(voice.model, unstablePatterns) };
}

/**
 * Reads "provider/model". The first slash divides: the id of a model may have slashes of its own.
 *
 * @returns undefined if the text does not name both
 * @example parseModel("openrouter/moonshotai/kimi-k2") // { providerID: "openrouter", modelID: "moonshotai/kimi-k2" }
 */
export function parseModel(text: string): Voice["model"] | undefined {
  const slash = text.indexOf("/");
  if (slash < 1 || slash === text.length - 1) return undefined;
  return { providerID: text.slice(0, slash), modelID: text.slice(slash + 1) };
}

function usualAgent(agents: readonly Candidate[], parent: Voice | undefined): string {
  const isThere = agents.some(({ name, hidden }) => name === USUAL_AGENT && !hidden);
  return isThere ? USUAL_AGENT : (parent?.agent ?? USUAL_AGENT);
}

function childVoice(
  name: string,
  wished: Voice["model"] | undefined,
  agent: Candidate,
  parent: Voice | undefined,
): PromptVoice {
  if (wished !== undefined) return { agent: name, model: wished };
  const { model, variant } = agent.model === undefined ? (parent ?? {}) : agent;
  if (model === undefined) return { agent: name };
  return { agent: name, model, ...(variant === undefined ? {} : { variant }) };
}

function noSuchAgent(name: string, agents: readonly Candidate[]): string {
  const available = agents.filter(({ hidden, mode }) => !hidden && mode !== "primary").map((agent) => agent.name);
  const others = available.length === 0 ? "None is available" : `Available: ${available.join(", ")}`;
  return `There is no agent "${name}". ${others}.`;
}

import type { AgentInfo, PermissionRule } from "../host/port.ts";
import { toRegExp } from "../tasks/pattern.ts";

/** Without this tool no agent ends a goal. */
export const ENDS_GOAL = "update_goal" as const;
/** What our texts name, where the agent may call it. */
export const READS_RESULT = "background_output";

/** What an agent may not do that a goal, or a text of ours, counts on. */
export interface AgentLimits {
  readonly agent: string;
  readonly denied: readonly string[];
  /** `steps: 1`: OpenCode asks for nothing but text in the last step of a turn. */
  readonly isSingleStep: boolean;
}

/** @param session rules of the session, which are stronger than those of any agent */
export function agentLimits(
  { name: agent, rules, steps }: Pick<AgentInfo, "name" | "rules" | "steps">,
  session: readonly PermissionRule[],
): AgentLimits {
  const denied = [ENDS_GOAL, READS_RESULT].filter((tool) => isDenied(tool, [...rules, ...session]));
  return { agent, denied, isSingleStep: steps !== undefined && steps <= 1 };
}

/** The last rule about a tool decides, and takes the tool away if it is about everything that the tool could do. */
function isDenied(tool: string, rules: readonly PermissionRule[]): boolean {
  const rule = rules.findLast(({ permission }) => toRegExp(permission).test(tool));
  return rule?.action === "deny" && rule.pattern === "*";
}

import type { AgentInfo, PermissionRule } from "../host/port.ts";

/** Answers a prompt that names none. */
export const DEFAULT_AGENT = "build";

/** Agents of OpenCode's own, with the rules that matter for a child; the last one that matches decides. */
export const SIMULATED_AGENTS: readonly AgentInfo[] = [
  agent(DEFAULT_AGENT, "primary", [rule("question", "*", "allow")]),
  agent("general", "subagent", [rule("todowrite", "*", "deny")]),
  agent("plan", "primary", [
    rule("question", "*", "allow"),
    rule("edit", "*", "deny"),
    rule("edit", ".opencode/plans/*.md", "allow"),
    rule("task", "general", "deny"),
  ]),
];

function agent(name: string, mode: AgentInfo["mode"], own: readonly PermissionRule[]): AgentInfo {
  return { name, mode, hidden: false, rules: [rule("*", "*", "allow"), rule("question", "*", "deny"), ...own] };
}

function rule(permission: string, pattern: string, action: PermissionRule["action"]): PermissionRule {
  return { permission, pattern, action };
}

import type { AgentInfo, PermissionRule } from "../host/port.ts";
import { toRegExp } from "./pattern.ts";

/** A child has nobody to ask: its turn would wait for a person who does not know of it. */
const NEVER_ASKS: PermissionRule = { permission: "question", pattern: "*", action: "deny" };

/**
 * The permission rules of a child session, which are stronger than those of its agent. What the session that launches
 * it may not do, the child may not do for it: OpenCode hands on the denials of the session alone, and an agent that must
 * not edit (`plan`) could send one that may.
 *
 * @param session rules of the session that launches
 * @param agent the agent that launches; undefined: not known
 */
export function childRules(
  session: readonly PermissionRule[],
  agent: Pick<AgentInfo, "rules"> | undefined,
): readonly PermissionRule[] {
  const handedOn = session.filter(({ permission, action }) => permission === "external_directory" || action === "deny");
  return [...handedOn, ...editRules(agent?.rules ?? []), NEVER_ASKS];
}

/** Whether an agent may send another one; OpenCode's own Task tool asks the same rule. */
export function maySend(launcher: Pick<AgentInfo, "rules"> | undefined, agent: string): boolean {
  return launcher === undefined || actionFor(launcher.rules, "task", agent) !== "deny";
}

/** Whether a list holds a rule, and nothing that follows overrules it. */
export function holds(rules: readonly PermissionRule[], { permission, pattern, action }: PermissionRule): boolean {
  return actionFor(rules, permission, pattern) === action;
}

/** Denied as a whole, with the exceptions that follow: such as the directory in which plans are written. */
function editRules(rules: readonly PermissionRule[]): readonly PermissionRule[] {
  if (actionFor(rules, "edit", "*") !== "deny") return [];
  const denied = rules.findLastIndex((rule) => rule.pattern === "*" && toRegExp(rule.permission).test("edit"));
  const exceptions = rules.slice(denied + 1).filter(({ permission }) => permission === "edit");
  return [{ permission: "edit", pattern: "*", action: "deny" }, ...exceptions];
}

/** The last rule that matches decides. */
function actionFor(
  rules: readonly PermissionRule[],
  permission: string,
  what: string,
): PermissionRule["action"] | undefined {
  return rules.findLast((rule) => toRegExp(rule.permission).test(permission) && toRegExp(rule.pattern).test(what))
    ?.action;
}

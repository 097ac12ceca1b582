import { describe, expect, test } from "bun:test";
import type { PermissionRule } from "../../src/host/port.ts";
import { childRules, holds, maySend } from "../../src/tasks/launch-rules.ts";

function rule(permission: string, pattern: string, action: PermissionRule["action"]): PermissionRule {
  return { permission, pattern, action };
}

const NEVER_ASKS = rule("question", "*", "deny");

describe("the rules of a child", () => {
  test("T8 a child never asks, whatever its session and its agent allow", () => {
    const allows = [rule("question", "*", "allow")];
    const rules = childRules(allows, { rules: allows });
    expect(rules.at(-1)).toEqual(NEVER_ASKS);
    expect(holds(rules, NEVER_ASKS)).toBe(true);
  });

  test("what its parent session is denied is denied to it, and what that is allowed is its own agent's business", () => {
    const session = [rule("bash", "*", "allow"), rule("bash", "rm *", "deny"), rule("webfetch", "*", "ask")];
    expect(childRules(session, undefined)).toEqual([rule("bash", "rm *", "deny"), NEVER_ASKS]);
  });

  test("directories outside the project that its parent may use it may use, too", () => {
    const outside = rule("external_directory", "/tmp/*", "allow");
    expect(childRules([outside], undefined)).toEqual([outside, NEVER_ASKS]);
  });

  test("an agent that must not edit sends nobody who may", () => {
    const plan = { rules: [rule("*", "*", "allow"), rule("edit", "*", "deny")] };
    expect(childRules([], plan)).toEqual([rule("edit", "*", "deny"), NEVER_ASKS]);
  });

  test("the exceptions of such an agent are handed on behind the denial", () => {
    const plans = rule("edit", ".opencode/plans/*.md", "allow");
    const plan = { rules: [rule("edit", "*", "deny"), plans] };
    expect(childRules([], plan)).toEqual([rule("edit", "*", "deny"), plans, NEVER_ASKS]);
  });

  test("an exception that the denial overrules is none", () => {
    const plan = { rules: [rule("edit", "notes/*", "allow"), rule("edit", "*", "deny")] };
    expect(childRules([], plan)).toEqual([rule("edit", "*", "deny"), NEVER_ASKS]);
  });

  test("an agent that may edit, or that is denied single files alone, hands nothing on", () => {
    expect(childRules([], { rules: [rule("edit", "*", "deny"), rule("edit", "*", "allow")] })).toEqual([NEVER_ASKS]);
    expect(childRules([], { rules: [rule("edit", "*.lock", "deny")] })).toEqual([NEVER_ASKS]);
  });

  test("a denial of everything is one of edits, too", () => {
    expect(childRules([], { rules: [rule("*", "*", "deny")] })).toContainEqual(rule("edit", "*", "deny"));
  });
});

describe("who may send whom", () => {
  test("an agent may send any other, unless its rules deny it", () => {
    const plan = { rules: [rule("*", "*", "allow"), rule("task", "general", "deny")] };
    expect(maySend(plan, "general")).toBe(false);
    expect(maySend(plan, "explore")).toBe(true);
    expect(maySend({ rules: [] }, "general")).toBe(true);
  });

  test("the last rule that matches decides", () => {
    const denied = rule("task", "*", "deny");
    const allowed = rule("task", "explore", "allow");
    expect(maySend({ rules: [denied, allowed] }, "explore")).toBe(true);
    expect(maySend({ rules: [allowed, denied] }, "explore")).toBe(false);
  });

  test("an agent that has to ask may send: OpenCode asks", () => {
    expect(maySend({ rules: [rule("task", "*", "ask")] }, "general")).toBe(true);
  });

  test("of an agent that is not known nothing is known to be denied", () => {
    expect(maySend(undefined, "general")).toBe(true);
  });
});

describe("whether rules hold another one", () => {
  test("they do if it decides, and not if a later one overrules it", () => {
    expect(holds([NEVER_ASKS], NEVER_ASKS)).toBe(true);
    expect(holds([rule("*", "*", "deny")], NEVER_ASKS)).toBe(true);
    expect(holds([NEVER_ASKS, rule("question", "*", "allow")], NEVER_ASKS)).toBe(false);
    expect(holds([], NEVER_ASKS)).toBe(false);
  });
});

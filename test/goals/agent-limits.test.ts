import { describe, expect, test } from "bun:test";
import { agentLimits } from "../../src/goals/agent-limits.ts";
import { decide, unableAgent } from "../../src/goals/gate.ts";
import type { PermissionRule } from "../../src/host/port.ts";
import { aGoal, aRoot, GATE, T0, VOICE } from "../support/builders.ts";

const ALL: PermissionRule = { permission: "*", pattern: "*", action: "allow" };

function deny(permission: string, pattern = "*"): PermissionRule {
  return { permission, pattern, action: "deny" };
}

function deniedBy(rules: readonly PermissionRule[], session: readonly PermissionRule[] = []): readonly string[] {
  return agentLimits({ name: "a", rules }, session).denied;
}

describe("what an agent may not call", () => {
  test("the last rule that matches the tool decides, and those of the session come last", () => {
    expect(deniedBy([ALL])).toEqual([]);
    expect(deniedBy([ALL, deny("update_goal")])).toEqual(["update_goal"]);
    expect(deniedBy([deny("*")])).toEqual(["update_goal", "background_output"]);
    expect(deniedBy([deny("*"), { ...ALL, permission: "update_*" }])).toEqual(["background_output"]);
    expect(deniedBy([ALL], [deny("background_*")])).toEqual(["background_output"]);
    expect(deniedBy([deny("update_goal")], [ALL])).toEqual([]);
  });

  test("a rule about some of what a tool could do takes it away from nobody", () => {
    expect(deniedBy([ALL, deny("update_goal", "x")])).toEqual([]);
  });

  test("only one step is too few, and as many as it wants are not", () => {
    const steps = (most?: number) =>
      agentLimits({ name: "a", rules: [], ...(most === undefined ? {} : { steps: most }) }, []).isSingleStep;
    expect([steps(), steps(1), steps(2)]).toEqual([false, true, false]);
  });
});

describe("an agent that can never end a goal", () => {
  const limits = { agent: VOICE.agent, denied: ["update_goal"], isSingleStep: false };

  test("stops the gate, and is named with what it lacks", () => {
    const decision = decide(aGoal(), aRoot({ agentLimits: limits }), [], T0, GATE);
    expect(decision).toEqual({
      kind: "stop",
      reason: { why: "unable-agent", agent: VOICE.agent, lacks: "update_goal" },
    });
    expect(unableAgent(aRoot({ agentLimits: { ...limits, denied: [], isSingleStep: true } }))).toEqual({
      agent: VOICE.agent,
      lacks: "steps",
    });
  });

  test("is no reason once another agent has spoken, nor while nothing is known", () => {
    expect(unableAgent(aRoot({ agentLimits: { ...limits, agent: "other" } }))).toBeUndefined();
    expect(unableAgent(aRoot())).toBeUndefined();
    expect(unableAgent(aRoot({ agentLimits: { ...limits, denied: ["background_output"] } }))).toBeUndefined();
  });
});

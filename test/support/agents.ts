import type { AgentInfo } from "../../src/host/port.ts";
import { SIMULATED_AGENTS } from "../../src/testing/simulated-agents.ts";

/** One as a user configures it: it may not end a goal. */
const helpless: AgentInfo = {
  name: "helpless",
  mode: "primary",
  hidden: false,
  rules: [
    { permission: "*", pattern: "*", action: "allow" },
    { permission: "update_goal", pattern: "*", action: "deny" },
  ],
};

export const AGENTS: readonly AgentInfo[] = [...SIMULATED_AGENTS, helpless];

import { agentLimits } from "../goals/agent-limits.ts";
import type { Keeper } from "../keeper/keeper.ts";
import type { AgentInfo, HostPort } from "./port.ts";

export interface AgentJudgeDependencies {
  readonly host: Pick<HostPort, "agents" | "session">;
  readonly keeper: Pick<Keeper, "dispatch" | "root">;
}

/**
 * Finds out what the agent of a root may do. OpenCode reads its configuration once per instance, so each agent is asked
 * about once; what it does not answer keeps no goal from going on.
 */
export class AgentJudge {
  private agents: readonly AgentInfo[] | undefined;

  constructor(private readonly deps: AgentJudgeDependencies) {}

  /** @param agent undefined: that of the last message, which the session may not have had yet */
  async judge(rootID: string, agent?: string): Promise<void> {
    const { host, keeper } = this.deps;
    const known = keeper.root(rootID);
    const named = agent ?? known?.voice?.agent;
    if (named !== undefined && known?.agentLimits?.agent === named) return;
    const [agents, session] = await Promise.all([this.known(), host.session(rootID)]);
    if (session.kind !== "known") return;
    const name = named ?? session.value.voice?.agent;
    const found = agents.find((one) => one.name === name);
    if (found === undefined) return;
    keeper.dispatch({ type: "agent-judged", rootID, limits: agentLimits(found, session.value.rules ?? []) });
  }

  private async known(): Promise<readonly AgentInfo[]> {
    if (this.agents !== undefined) return this.agents;
    const answer = await this.deps.host.agents();
    if (answer.kind === "known") this.agents = answer.value;
    return this.agents ?? [];
  }
}

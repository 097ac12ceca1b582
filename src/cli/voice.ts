import { closest } from "../closest.ts";
import type { Client } from "../host/client.ts";
import { call } from "../host/opencode.ts";
import { list } from "../host/raw.ts";
import { readAgent, readModelNames } from "../host/read.ts";
import type { RunSettings } from "./arguments.ts";
import { NotStartedError } from "./errors.ts";

/** An instance that has just been made answers when its plugins are loaded. */
const STARTS_WITHIN_MS = 60_000;
const MOST_NAMES = 8;
const MOST_SLIPS = 3;

/**
 * Makes sure that there are the agent and the model that were asked for. OpenCode itself notices when the turn has begun
 * already. What it does not answer here is left to it.
 *
 * @throws NotStartedError that says which there are
 */
export async function requireVoice(client: Client, { agent, model }: RunSettings): Promise<void> {
  if (agent !== undefined) await requireAgent(client, agent);
  if (model !== undefined) await requireModel(client, model);
}

async function requireAgent(client: Client, name: string): Promise<void> {
  const answer = await call("app.agents", () => client.app.agents(), STARTS_WITHIN_MS);
  if (answer.kind !== "known") return;
  const agents = list(answer.value).flatMap((item) => readAgent(item) ?? []);
  if (agents.length === 0 || agents.some((agent) => agent.name === name)) return;
  const shown = agents.filter(({ hidden }) => !hidden);
  const primary = shown.filter(({ mode }) => mode !== "subagent");
  throw missing(
    "agent",
    name,
    [...primary, ...shown.filter((agent) => !primary.includes(agent))].map((one) => one.name),
  );
}

async function requireModel(client: Client, { providerID, modelID }: NonNullable<RunSettings["model"]>): Promise<void> {
  const answer = await call("config.providers", () => client.config.providers(), STARTS_WITHIN_MS);
  if (answer.kind !== "known") return;
  const models = [...readModelNames(answer.value)];
  const name = `${providerID}/${modelID}`;
  if (models.length === 0 || models.includes(name)) return;
  const ofProvider = models.filter((model) => model.startsWith(`${providerID}/`));
  throw missing("model", name, ofProvider.length > 0 ? ofProvider : models);
}

/** The likely ones first: a provider may have hundreds. */
function missing(what: "agent" | "model", name: string, names: readonly string[]): NotStartedError {
  const meant = closest(name, names, MOST_SLIPS);
  const sorted = [...meant, ...names.filter((one) => !meant.includes(one))];
  const more = sorted.length > MOST_NAMES ? ", …" : "";
  const there = `${sorted.slice(0, MOST_NAMES).join(", ")}${more}`;
  return new NotStartedError(`no ${what} ${JSON.stringify(name)}; there are: ${there}. No prompt was sent.`);
}

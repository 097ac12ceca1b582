import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createIsolatedOpencode, type PluginSpec, startScriptedModel } from "../src/testing/index.ts";
import { type Extent, median, ms, type Row, times } from "./table.ts";

const TURNS = 40;
/** A very fast model. With one that takes no time at all the next id is not stored yet when the turn ends. */
const MODEL_MS = 200;
/** The first turns of a fresh OpenCode are slower for everybody. */
const WARM_UP = 5;

/**
 * From the root's idle, as a plugin in the host sees it, to the model request of the next turn: ours, against a plugin
 * of a few lines that prompts at once, with nothing stored and nothing checked. That is the floor.
 */
export async function benchContinuation(extent: Extent): Promise<readonly Row[]> {
  const [count, warmUp] = extent === "full" ? [TURNS, WARM_UP] : [1, 0];
  const ours = await turns([PLUGIN, { max_auto_turns: 0, no_progress_turns: 0 }], count, warmUp);
  const floor = extent === "full" ? await turns(undefined, count, warmUp) : [];
  return [
    {
      what: `idle to the continuation's model request, ${count} turns`,
      ours: ms(median(ours)),
      against: `${ms(median(floor))} (a bare prompt on idle)`,
      ratio: times(median(ours), median(floor)),
      aim: "≤ 50 ms",
    },
  ];
}

const PLUGIN = new URL("../", import.meta.url).href.replace(/\/$/, "");

async function turns(plugin: PluginSpec | undefined, count: number, warmUp: number): Promise<readonly number[]> {
  const model = await startScriptedModel(() => ({ text: "Next.", delayMs: MODEL_MS }));
  const stopwatch = { "stopwatch.js": stopwatchSource(plugin === undefined) };
  const opencode = createIsolatedOpencode({ model, files: stopwatch, plugins: plugin === undefined ? [] : [plugin] });
  opencode.writeConfig({
    ...JSON.parse(readFileSync(opencode.configPath, "utf8")),
    plugin: [...(plugin === undefined ? [] : [plugin]), join(opencode.directory, "stopwatch.js")],
  });
  try {
    const server = await opencode.serve({ readyTimeoutMs: 120_000 });
    const session = await server.createSession();
    if (plugin === undefined) await server.prompt(session.id, "go");
    else {
      // Words that are no command of ours: those would set no goal.
      const body = { command: "goal", arguments: "take one turn after the other" };
      const { error } = await server.client.session.command({ path: { id: session.id }, body });
      if (error !== undefined) throw new Error(`no goal is pursued: ${JSON.stringify(error)}`);
    }
    const isTurn = (kind: string) => kind === "turn";
    await model.waitForRequest(() => model.requests.filter(({ kind }) => isTurn(kind)).length > count + warmUp, {
      timeoutMs: 120_000,
    });
    const requests = model.requests.filter(({ kind }) => isTurn(kind)).map(({ at }) => at);
    const idles = readFileSync(join(opencode.directory, "idles.txt"), "utf8").trim().split("\n").map(Number);
    return requests.slice(1 + warmUp, 1 + warmUp + count).map((at) => at - latestBefore(idles, at));
  } finally {
    await opencode.dispose();
    await model.close();
  }
}

function latestBefore(idles: readonly number[], at: number): number {
  return idles.filter((idle) => idle <= at).at(-1) ?? Number.NaN;
}

/** Notes each first idle of a root; as the floor it also prompts, which is all that a naive loop does. */
function stopwatchSource(prompts: boolean): string {
  return `
import { appendFileSync } from "node:fs";
export default {
  id: "stopwatch",
  server: async ({ client, directory }) => ({
    event: async ({ event }) => {
      if (event.type !== "session.status" || event.properties.status.type !== "idle") return;
      appendFileSync(directory + "/idles.txt", (performance.timeOrigin + performance.now()) + "\\n");
      ${prompts ? 'await client.session.promptAsync({ path: { id: event.properties.sessionID }, body: { agent: "build", parts: [{ type: "text", text: "go on" }] } });' : ""}
    },
  }),
};
`;
}

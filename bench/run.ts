// npm run bench [-- [--try] events|load|continuation|tasks|memory|launch|goal|opencode-run …]
//
// Prints ratios of things measured side by side in one run. Absolute figures depend on the machine; the ratios and the
// aims beside them are what to read. With --try each runs one short round of ours: whether it works, not what it measures.
import { parseArgs } from "node:util";
import { benchContinuation } from "./continuation.ts";
import { benchEvents } from "./events.ts";
import { benchGoal } from "./goal.ts";
import { benchLaunch } from "./launch.ts";
import { benchLoad } from "./load.ts";
import { benchMemory } from "./memory.ts";
import { benchOpencodeRun } from "./opencode-run.ts";
import { type Extent, printTable, type Row } from "./table.ts";
import { benchTasks } from "./tasks.ts";

const BENCHES: Readonly<Record<string, (extent: Extent) => Promise<readonly Row[]>>> = {
  events: benchEvents,
  load: benchLoad,
  continuation: benchContinuation,
  tasks: benchTasks,
  memory: benchMemory,
  launch: benchLaunch,
  goal: benchGoal,
  "opencode-run": benchOpencodeRun,
};

const { positionals, values } = parseArgs({ allowPositionals: true, options: { try: { type: "boolean" } } });
const unknown = positionals.filter((name) => BENCHES[name] === undefined);
if (unknown.length > 0) {
  console.error(`Unknown benchmark: ${unknown.join(", ")}. There are: ${Object.keys(BENCHES).join(", ")}.`);
  process.exit(2);
}
const rows: Row[] = [];
for (const [name, bench] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  console.log(`\n${name} …`);
  rows.push(...(await bench(values.try === true ? "try" : "full")));
}
printTable(rows);

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Extent, median, ms, type Row } from "./table.ts";

const RUNS = 30;

/** Import and init of the built plugin against a plugin that does nothing, each in a fresh process, in turn. */
export async function benchLoad(extent: Extent): Promise<readonly Row[]> {
  const [runs, warmUp] = extent === "full" ? [RUNS, 2] : [1, 0];
  const scratch = mkdtempSync(join(tmpdir(), "goalkeeper-bench-"));
  try {
    const empty = join(scratch, "empty.js");
    writeFileSync(empty, '// @bun\nexport default { id: "empty", server: async () => ({}) };\n');
    const built = new URL("../dist/server.js", import.meta.url).pathname;
    const samples: { ours: number[]; empty: number[] } = { ours: [], empty: [] };
    for (let run = -warmUp; run < runs; run++) {
      const [ours, base] = [loadOnce(built, scratch), loadOnce(empty, scratch)];
      if (run < 0) continue;
      samples.ours.push(ours);
      samples.empty.push(base);
    }
    const [ours, base] = [median(samples.ours), median(samples.empty)];
    return [
      {
        what: `import and init, ${runs} fresh processes`,
        ours: ms(ours),
        against: `${ms(base)} (empty plugin)`,
        ratio: `+${ms(ours - base)}`,
        aim: "≤ +15 ms",
      },
    ];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function loadOnce(file: string, scratch: string): number {
  const fixture = new URL("./plugin-fixture.ts", import.meta.url).pathname;
  const code = `
    // OpenCode has loaded these long before its plugins.
    for (const name of ["fs", "os", "path", "crypto"]) await import("node:" + name);
    import { benchInput } from ${JSON.stringify(fixture)};
    const input = benchInput("/bench");
    const before = performance.now();
    const { default: plugin } = await import(${JSON.stringify(file)});
    const hooks = await plugin.server(input, {});
    console.log(performance.now() - before);
    await hooks.dispose?.();`;
  const entry = join(scratch, "load.ts");
  writeFileSync(entry, code);
  return Number(execFileSync(process.execPath, [entry], { encoding: "utf8" }));
}

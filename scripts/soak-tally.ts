/** What became of each scenario, from the JUnit reports of `bun test`: one report per round. */

/** One scenario in one round. */
export interface Outcome {
  readonly scenario: string;
  readonly passed: boolean;
  readonly seconds: number;
}

/** The scenarios of a report that were run; with `-t`, bun reports the others as skipped. */
export function readReport(xml: string): readonly Outcome[] {
  const cases = xml.matchAll(/<testcase\b((?:[^>"]|"[^"]*")*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g);
  return [...cases].flatMap(([, attributes = "", body = ""]) => {
    if (/<skipped\b/.test(body)) return [];
    const value = (name: string) => unescaped(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    const passed = !/<(failure|error)\b/.test(body);
    return [{ scenario: `${value("classname")}: ${value("name")}`, passed, seconds: Number(value("time")) }];
  });
}

/** All rounds under one condition. A scenario that a round does not report has not passed in it. */
export class Tally {
  private readonly seconds = new Map<string, number[]>();
  private rounds = 0;

  add(outcomes: readonly Outcome[]): void {
    this.rounds++;
    for (const { scenario, passed, seconds } of outcomes) {
      const times = this.seconds.get(scenario) ?? [];
      this.seconds.set(scenario, times);
      if (passed) times.push(seconds);
    }
  }

  get scenarios(): readonly string[] {
    return [...this.seconds.keys()];
  }

  get allPassed(): boolean {
    return this.rounds > 0 && this.scenarios.every((scenario) => this.seconds.get(scenario)?.length === this.rounds);
  }

  /** How often it has passed, and how long that took in the middle. */
  cells(scenario: string): readonly [passed: string, seconds: string] {
    const times = [...(this.seconds.get(scenario) ?? [])].sort((a, b) => a - b);
    const middle = times[Math.floor((times.length - 1) / 2)];
    return [`${times.length}/${this.rounds}`, middle === undefined ? "-" : middle.toFixed(1)];
  }
}

/** As markdown: a row per scenario, two columns per condition. */
export function tableOf(tallies: ReadonlyMap<string, Tally>): string {
  const all = [...tallies];
  const scenarios = [...new Set(all.flatMap(([, tally]) => tally.scenarios))].sort();
  const head = ["scenario", ...all.flatMap(([condition]) => [`passed, ${condition}`, "median s"])];
  const rows = scenarios.map((scenario) => [scenario, ...all.flatMap(([, tally]) => tally.cells(scenario))]);
  const widths = head.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function unescaped(text: string): string {
  const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (entity, name: string) => named[name] ?? entity);
}

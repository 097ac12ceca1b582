import type { Outcome } from "./soak-tally.ts";

/** What became of the tests on one version of OpenCode. */
export interface VersionRun {
  readonly version: string;
  /** Whether `engines.opencode` allows it. */
  readonly isAllowed: boolean;
  readonly outcomes: readonly Outcome[];
  /** Exit code of the tests. */
  readonly code: number;
}

/** As markdown: a row per test, a column per version. A test that was not run there leaves its cell empty. */
export function hostsTable(runs: readonly VersionRun[]): string {
  const scenarios = [...new Set(runs.flatMap(({ outcomes }) => outcomes.map(({ scenario }) => scenario)))];
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    row(["test", ...runs.map(({ version, isAllowed }) => (isAllowed ? version : `${version} (refused)`))]),
    row(["---", ...runs.map(() => "---")]),
    ...scenarios.map((scenario) => row([scenario, ...runs.map(({ outcomes }) => cell(outcomes, scenario))])),
    row([
      "passed",
      ...runs.map(({ outcomes }) => `${outcomes.filter(({ passed }) => passed).length} of ${outcomes.length}`),
    ]),
  ].join("\n");
}

function cell(outcomes: readonly Outcome[], scenario: string): string {
  const found = outcomes.find((outcome) => outcome.scenario === scenario);
  if (found === undefined) return "";
  return found.passed ? `${found.seconds.toFixed(1)} s` : "FAILED";
}

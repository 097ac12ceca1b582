import type { TimelineLine } from "../src/trace/timeline.ts";
import { type Painter, painterFor, timelineText } from "../src/trace/timeline-text.ts";
import type { Books, Check } from "./books.ts";

/** What the demo shows. Text only; colours where the terminal has them. */
export class Screen {
  private readonly paint: Painter;
  private readonly width: number;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    env: NodeJS.ProcessEnv,
  ) {
    this.paint = painterFor(stream, env);
    this.width = Math.min(stream.columns || 100, 140);
  }

  intro(model: string | undefined): void {
    this.print(
      "",
      "You will see one goal in a real OpenCode with the goalkeeper plugin. The agent launches three",
      "background tasks: one completes, one fails, and one is lost when OpenCode is killed under it. The",
      "goal waits without burning a turn, learns what was lost, goes on and completes.",
      "",
      model === undefined
        ? this.paint("The model is scripted: no network, no key, no cost. It takes about half a minute.", "dim")
        : this.paint(
            `The model is ${model}, with your configuration and login: THIS SPENDS TOKENS (Ctrl-C ends it).`,
            "warn",
          ),
      "",
    );
  }

  line(line: TimelineLine): void {
    this.print(timelineText(line, { width: this.width, paint: this.paint }));
  }

  say(text: string): void {
    this.print("", this.paint(`── ${text}`, "warn"));
  }

  summary({ tasks }: Books, checks: readonly Check[]): void {
    const rows = tasks.map(({ title, shows, told }) => [
      title,
      told.map(({ ended }) => ended).join(" and ") || "never settled",
      shows,
      told.map(({ by }) => by).join(" and ") || "-",
      `${told.length} ×`,
    ]);
    this.print("", ...table(["background task", "ended", "its session shows", "told by", "told"], rows), "");
    for (const { what, holds } of checks) {
      this.print(`  ${holds ? this.paint("✓", "good") : this.paint("✗", "bad")} ${what}`);
    }
  }

  /** @param plugin the URL of this clone */
  outro(good: boolean, trace: string, plugin: string): void {
    this.print(
      "",
      good
        ? this.paint("The goal is complete and the books balance.", "good")
        : this.paint("The books do not balance.", "bad"),
      "",
      `Trace: ${trace}`,
      "",
      "To use it, put this into your own opencode.json; it is this clone, built and ready:",
      `  { "plugin": [${JSON.stringify(plugin)}] }`,
      "Installed from npm, it goes by its name:",
      '  { "plugin": ["opencode-goalkeeper"] }',
      this.paint("Then, in OpenCode: /goal <objective>", "dim"),
      "",
    );
  }

  private print(...lines: readonly string[]): void {
    this.stream.write(`${lines.join("\n")}\n`);
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((title, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? "").length), title.length),
  );
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("   ")}`.trimEnd();
  return [line(head), line(widths.map((width) => "─".repeat(width))), ...rows.map(line)];
}

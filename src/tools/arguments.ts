import { excerpt } from "../delivery/frame.ts";
import { type Raw, record } from "../host/raw.ts";

const SHOWN_LENGTH = 60;

/**
 * Reads what a model has called a tool with. `null` and "" count as absent: models fill in what they do not want. What
 * is of no use is absent, too, and named in {@link problems}.
 */
export class Arguments {
  private readonly given: Raw;
  private readonly found: string[] = [];

  constructor(input: unknown) {
    this.given = record(input);
  }

  /** What was wrong and what was expected, a sentence for each argument; "" if everything is of use. */
  get problems(): string {
    return this.found.join(" ");
  }

  text(name: string, expected = "a text"): string | undefined {
    return this.read(name, expected, (value) => (typeof value === "string" ? value : undefined));
  }

  /** A text on one line, without white space around it. */
  word(name: string, expected = "a text"): string | undefined {
    return this.read(name, expected, (value) => (typeof value === "string" ? value.trim() : undefined));
  }

  flag(name: string): boolean | undefined {
    return this.read(name, "true or false", (value) => {
      if (value === true || value === "true") return true;
      return value === false || value === "false" ? false : undefined;
    });
  }

  /** From 0 to `most`; whole unless fractions are `allowed`. */
  number(
    name: string,
    expected: string,
    { most = Number.MAX_SAFE_INTEGER, fractions = false } = {},
  ): number | undefined {
    return this.read(name, expected, (value) => {
      const number = typeof value === "string" ? Number(value) : value;
      if (typeof number !== "number" || !(number >= 0 && number <= most)) return undefined;
      return fractions || Number.isInteger(number) ? number : undefined;
    });
  }

  /** A value that `parse` understands. */
  read<T>(name: string, expected: string, parse: (value: unknown) => T | undefined): T | undefined {
    const value = this.given[name];
    if (value === undefined || value === null || (typeof value === "string" && value.trim() === "")) return undefined;
    const read = parse(value);
    if (read === undefined) {
      const shown = excerpt(JSON.stringify(value) ?? String(value), SHOWN_LENGTH);
      this.found.push(`"${name}" is ${shown}; ${expected} was expected.`);
    }
    return read;
  }
}

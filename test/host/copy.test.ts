import { beforeEach, describe, expect, test } from "bun:test";
import { COMMAND_TEMPLATE } from "../../src/host/command.ts";
import { copyHooks } from "../../src/host/copy.ts";
import type { FirstCopy } from "../../src/host/registry.ts";
import { DEFAULT_OPTIONS } from "../../src/options.ts";

const silent = { log: () => undefined, toast: async () => undefined };

let ran: string[];
let first: FirstCopy;

beforeEach(() => {
  ran = [];
  first = {
    tools: (families) => Object.fromEntries(families.map((family) => [family, { family } as never])),
    run: async (command, sessionID, args) => {
      ran.push(`${command} ${sessionID} ${args}`);
      return "from the first one";
    },
  };
});

describe("a copy of the plugin behind the first one (S1)", () => {
  test("hands on the tools that its options name, made by the first one", () => {
    const { tool } = copyHooks(first, { ...DEFAULT_OPTIONS, tools: ["background"] }, silent);
    expect(tool as object).toEqual({ background: { family: "background" } });
  });

  test("hears no event and no message: it keeps no books", () => {
    expect(Object.keys(copyHooks(first, DEFAULT_OPTIONS, silent)).sort()).toEqual([
      "command.execute.before",
      "config",
      "tool",
    ]);
  });

  test("hands a command that only its own options name to the first one, and no other: that one has run already", async () => {
    const hooks = copyHooks(first, { ...DEFAULT_OPTIONS, command: "pursue" }, silent);
    const config = { command: { goal: { template: COMMAND_TEMPLATE }, tasks: { template: COMMAND_TEMPLATE } } };
    await hooks.config?.(config as never);
    for (const command of ["goal", "tasks", "pursue"]) {
      const output = { parts: [{ type: "text", text: "expanded" }] };
      await hooks["command.execute.before"]?.({ command, sessionID: "ses_1", arguments: "x" }, output as never);
      expect(output.parts[0]?.text).toBe(command === "pursue" ? "from the first one" : "expanded");
    }
    expect(ran).toEqual(["goal ses_1 x"]);
  });
});

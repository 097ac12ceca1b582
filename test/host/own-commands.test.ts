import { beforeEach, describe, expect, test } from "bun:test";
import { COMMAND_TEMPLATE, CommandAnswered } from "../../src/host/command.ts";
import { OwnCommands } from "../../src/host/own-commands.ts";

type Config = Parameters<OwnCommands["register"]>[0];
type Output = Parameters<OwnCommands["execute"]>[1];

const THEIRS = { template: "theirs: $ARGUMENTS" };

let ran: string[];
let toasts: string[];
let answered: boolean;

beforeEach(() => {
  ran = [];
  toasts = [];
  answered = false;
});

function commands(options: { command?: string; tools?: ("goal" | "background")[] } = {}): OwnCommands {
  return new OwnCommands(
    { command: "goal", tools: ["goal", "background"], ...options },
    async (command, sessionID, args, hasFiles) => {
      ran.push(`${command} ${sessionID} ${args}${hasFiles ? " and files" : ""}`);
      if (answered) throw new CommandAnswered();
      return "instead";
    },
    { log: () => undefined, toast: async ({ message }) => void toasts.push(message) },
  );
}

/** What stands in the user's message after the command. */
async function says(own: OwnCommands, command: string): Promise<string | undefined> {
  const output = { parts: [{ type: "text", text: "expanded" }] } as unknown as Output;
  await own.execute({ command, sessionID: "ses_1", arguments: "x" }, output);
  const [part] = output.parts;
  return part?.type === "text" ? part.text : undefined;
}

describe("commands", () => {
  test("are registered under the names of the options, and what we say takes the place of the message", async () => {
    const config: Config = { command: { other: THEIRS } };
    const own = commands({ command: "pursue" });
    own.register(config);
    expect(Object.keys(config.command ?? {})).toEqual(["other", "pursue", "tasks"]);
    expect(config.command?.pursue?.template).toBe(COMMAND_TEMPLATE);
    expect(await says(own, "pursue")).toBe("instead");
    expect(await says(own, "other")).toBe("expanded");
    expect(ran).toEqual(["goal ses_1 x"]);
    expect(own.taken()).toEqual([]);
  });

  test("U2 keep what has come with them behind what we say, in the array that OpenCode has handed out", async () => {
    const own = commands();
    own.register({});
    const [image, file] = [
      { type: "file", url: "data:image/png;base64,x" },
      { type: "file", url: "file:///notes.txt" },
    ];
    const parts = [{ type: "text", text: "expanded" }, image, file];
    await own.execute({ command: "goal", sessionID: "ses_1", arguments: "x" }, { parts } as unknown as Output);
    expect(parts).toEqual([{ type: "text", text: "instead" }, image, file] as typeof parts);
    expect(ran).toEqual(["goal ses_1 x and files"]);
  });

  test("that have been answered start no turn, and that is no failure", async () => {
    const own = commands();
    own.register({});
    answered = true;
    await expect(says(own, "goal")).rejects.toThrow(CommandAnswered);
    expect(toasts).toEqual([]);
  });
});

describe("a name that is not ours (U14)", () => {
  test("because it was there before is left alone, and said with what to do", async () => {
    const config: Config = { command: { goal: THEIRS, tasks: THEIRS } };
    const own = commands();
    own.register(config);
    expect(config.command).toEqual({ goal: THEIRS, tasks: THEIRS });
    expect(await says(own, "goal")).toBe("expanded");
    expect(own.taken()).toEqual([
      'The command /goal is taken by you, or a plugin listed before goalkeeper: goals are not started with it. To have it, give goalkeeper another name with the option "command", or list goalkeeper first.',
      "The command /tasks is taken by you, or a plugin listed before goalkeeper: it does not show goalkeeper's tasks. To have it, list goalkeeper first.",
    ]);
  });

  test("because a plugin behind us has put its own there is left to it, and said", async () => {
    const config: Config = {};
    const own = commands({ tools: ["goal"] });
    own.register(config);
    config.command = { ...config.command, goal: THEIRS };
    expect(await says(own, "goal")).toBe("expanded");
    expect(ran).toEqual([]);
    expect(own.taken()).toEqual([
      'The command /goal is taken by a plugin listed behind goalkeeper: goals are not started with it. To have it, give goalkeeper another name with the option "command", or list goalkeeper last.',
    ]);
  });
});

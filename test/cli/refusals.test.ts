import { describe, expect, test } from "bun:test";
import { UsageError } from "../../src/cli/errors.ts";
import { commandToGoOn } from "../../src/cli/going-on.ts";
import { checkObjective } from "../../src/cli/objective.ts";
import { isStartedByNpx, whenOrphaned } from "../../src/cli/orphaned.ts";
import { requireVoice } from "../../src/cli/voice.ts";
import type { Client } from "../../src/host/client.ts";
import { SimulatedClock } from "../../src/testing/index.ts";
import { T0 } from "../support/builders.ts";

describe("an objective", () => {
  test.each(["stop", "status", "list", "why", "pause", "clear", "edit another", '"stop"', "/goal stop", "Stop!"])(
    "%p is a word of the command, and begins no goal",
    (said) => {
      expect(() => checkObjective(said)).toThrow(UsageError);
      expect(() => checkObjective(said)).toThrow("what must be true in the end was expected");
    },
  );

  test("resume is refused with the option that does it", () => {
    expect(() => checkObjective("resume")).toThrow("`goalkeeper run -s <id> --resume` was expected");
  });

  test("a limit that is none is refused with what was expected", () => {
    expect(() => checkObjective("fix it --turns many")).toThrow('--turns is "many"; a whole number');
  });

  test.each(["stop the server from crashing", "fix it --turns 5"])("%p is one", (said) => {
    expect(() => checkObjective(said)).not.toThrow();
  });
});

describe("an agent and a model", () => {
  const agents = [
    { name: "build", mode: "primary" },
    { name: "general", mode: "subagent" },
    { name: "title", mode: "primary", hidden: true },
    { name: "plan", mode: "primary" },
  ];
  const providers = [
    { id: "p", models: { small: {}, large: {} } },
    { id: "q", models: { other: {} } },
  ];
  const client = {
    app: { agents: async () => ({ data: agents }) },
    config: { providers: async () => ({ data: { providers } }) },
  } as unknown as Client;
  const ask = (voice: { agent?: string; model?: { providerID: string; modelID: string } }, on = client) =>
    requireVoice(on, { agent: undefined, model: undefined, ...voice } as never);

  test("that there are pass, hidden ones and subagents too", async () => {
    for (const agent of ["build", "general", "title"]) await ask({ agent });
    await ask({ model: { providerID: "p", modelID: "small" } });
  });

  test("that there are not are refused with those that there are", async () => {
    await expect(ask({ agent: "nobody" })).rejects.toThrow('no agent "nobody"; there are: build, plan, general.');
    const wrong = { providerID: "p", modelID: "lrage" };
    await expect(ask({ model: wrong })).rejects.toThrow('no model "p/lrage"; there are: p/large, p/small.');
    const nobodys = { providerID: "r", modelID: "x" };
    await expect(ask({ model: nobodys })).rejects.toThrow("there are: p/small, p/large, q/other.");
  });

  test("of which OpenCode says nothing are left to it", async () => {
    const silent = { app: { agents: () => Promise.reject(new Error("no")) } } as unknown as Client;
    await ask({ agent: "nobody" }, silent);
  });
});

describe("a program that npx has started", () => {
  test("is known by what npm tells it", () => {
    expect(isStartedByNpx({ npm_command: "exec", npm_lifecycle_event: "npx" })).toBe(true);
    expect(isStartedByNpx({ npm_command: "run-script", npm_lifecycle_event: "ci" })).toBe(false);
  });

  test("notices once, and within a second, that npx is gone", async () => {
    const clock = new SimulatedClock(T0);
    let parent = 7;
    let noticed = 0;
    whenOrphaned(
      clock,
      () => parent,
      () => {
        noticed++;
      },
    );
    await clock.advance(10_000);
    expect(noticed).toBe(0);
    parent = 1;
    await clock.advance(10_000);
    expect(noticed).toBe(1);
  });
});

describe("the command to go on", () => {
  test("names the session, and where that is when it was said", () => {
    expect(commandToGoOn("ses_1", { attach: undefined, directory: undefined })).toBe(
      "goalkeeper run -s ses_1 --resume",
    );
    expect(commandToGoOn("ses_1", { attach: "http://127.0.0.1:4096", directory: "/my project" })).toBe(
      "goalkeeper run -s ses_1 --resume --attach http://127.0.0.1:4096 --dir '/my project'",
    );
  });
});

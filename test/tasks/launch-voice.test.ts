import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Voice } from "../../src/host/port.ts";
import { type Candidate, type LaunchWishes, launchVoice, parseModel } from "../../src/tasks/launch-voice.ts";

const OPUS = { providerID: "anthropic", modelID: "opus" };
const HAIKU = { providerID: "anthropic", modelID: "haiku" };
const GEMINI = { providerID: "google", modelID: "gemini-3-pro" };
const UNSTABLE = ["*gemini*"];
const PARENT: Voice = { agent: "build", model: OPUS, variant: "high" };

function agent(name: string, more: Partial<Candidate> = {}): Candidate {
  return { name, mode: "subagent", hidden: false, ...more };
}

const AGENTS = [
  agent("build", { mode: "primary" }),
  agent("general"),
  agent("explore", { model: HAIKU, variant: "fast" }),
  agent("scout", { mode: "all", model: GEMINI }),
  agent("title", { hidden: true }),
];

function withoutGeneral(...more: Candidate[]): Candidate[] {
  return [...AGENTS.filter(({ name }) => name !== "general"), ...more];
}

describe("the agent", () => {
  const agentOf = (wish: string | undefined, agents: readonly Candidate[], parent?: Voice) => {
    const launch = launchVoice({ agent: wish }, agents, parent, UNSTABLE);
    return "problem" in launch ? launch : launch.voice.agent;
  };

  test("is the wished one, also one that is not offered: whoever knows its name may have it", () => {
    for (const name of ["explore", "scout", "build", "title"]) expect(agentOf(name, AGENTS, PARENT)).toBe(name);
  });

  test('without a wish is "general", else the parent\'s own', () => {
    expect(agentOf(undefined, AGENTS, PARENT)).toBe("general");
    expect(agentOf(undefined, withoutGeneral(), PARENT)).toBe("build");
    expect(agentOf(undefined, withoutGeneral(agent("general", { hidden: true })), PARENT)).toBe("build");
  });

  test("that does not exist is a problem that names it and those there are", () => {
    expect(agentOf("oracle", AGENTS, PARENT)).toEqual({
      problem: 'There is no agent "oracle". Available: general, explore, scout.',
    });
    expect(agentOf("oracle", [], PARENT)).toEqual({ problem: 'There is no agent "oracle". None is available.' });
  });

  test("is a problem, too, when neither a usual one nor the parent's exists", () => {
    expect(agentOf(undefined, withoutGeneral(), undefined)).toEqual({
      problem: 'There is no agent "general". Available: explore, scout.',
    });
    expect(agentOf(undefined, [agent("explore")], PARENT)).toEqual({
      problem: 'There is no agent "build". Available: explore.',
    });
  });
});

describe("the model", () => {
  const voiceOf = (wishes: LaunchWishes, agents: readonly Candidate[], parent: Voice | undefined) => {
    const launch = launchVoice(wishes, agents, parent, UNSTABLE);
    return "problem" in launch ? launch : launch.voice;
  };

  test("is the wished one, without the variant of another", () => {
    expect(voiceOf({ agent: "explore", model: OPUS }, AGENTS, PARENT)).toEqual({ agent: "explore", model: OPUS });
    expect(voiceOf({ model: HAIKU }, AGENTS, PARENT)).toEqual({ agent: "general", model: HAIKU });
  });

  test("else the agent's own, with its variant and never with the parent's", () => {
    expect(voiceOf({ agent: "explore" }, AGENTS, PARENT)).toEqual({ agent: "explore", model: HAIKU, variant: "fast" });
    expect(voiceOf({ agent: "scout" }, AGENTS, PARENT)).toEqual({ agent: "scout", model: GEMINI });
  });

  test("else the parent's, with its variant and never with the agent's", () => {
    expect(voiceOf({}, AGENTS, PARENT)).toEqual({ agent: "general", model: OPUS, variant: "high" });
    expect(voiceOf({}, AGENTS, { agent: "build", model: OPUS })).toEqual({ agent: "general", model: OPUS });
    const tuned = [agent("general", { variant: "fast" })];
    expect(voiceOf({}, tuned, PARENT)).toEqual({ agent: "general", model: OPUS, variant: "high" });
  });

  test("else the host decides", () => {
    expect(voiceOf({}, AGENTS, undefined)).toEqual({ agent: "general" });
  });
});

describe("T7 unstable is decided on the model that really runs", () => {
  const isUnstable = (wishes: LaunchWishes, parent?: Voice) => {
    const launch = launchVoice(wishes, AGENTS, parent, UNSTABLE);
    return "problem" in launch ? undefined : launch.unstable;
  };

  test("a stable model wished for an agent whose own is unstable", () => {
    expect(isUnstable({ agent: "scout" }, PARENT)).toBe(true);
    expect(isUnstable({ agent: "scout", model: OPUS }, PARENT)).toBe(false);
  });

  test("an unstable model wished for an agent whose own is stable", () => {
    expect(isUnstable({ agent: "explore" }, PARENT)).toBe(false);
    expect(isUnstable({ agent: "explore", model: GEMINI }, PARENT)).toBe(true);
  });

  test("an unstable model inherited from the parent, and one that is not", () => {
    const parent = { agent: "build", model: GEMINI };
    expect(isUnstable({}, parent)).toBe(true);
    expect(isUnstable({ agent: "explore" }, parent)).toBe(false);
  });

  test("a model that the host decides about is not marked", () => {
    expect(isUnstable({})).toBe(false);
  });

  test("whoever says so himself is right, both ways", () => {
    expect(isUnstable({ agent: "scout", unstable: false }, PARENT)).toBe(false);
    expect(isUnstable({ agent: "explore", unstable: true }, PARENT)).toBe(true);
    expect(isUnstable({ unstable: true })).toBe(true);
  });
});

describe("the name of a model", () => {
  test("the first slash divides it", () => {
    expect(parseModel("anthropic/opus")).toEqual(OPUS);
    expect(parseModel("router/maker/model")).toEqual({ providerID: "router", modelID: "maker/model" });
  });

  test.each(["", "opus", "/opus", "anthropic/", "/"])("%p does not name both provider and model", (text) => {
    expect(parseModel(text)).toBeUndefined();
  });

  test("what is read is what was written", () => {
    const noSlash = fc.string({ minLength: 1 }).filter((text) => !text.includes("/"));
    fc.assert(
      fc.property(noSlash, fc.string({ minLength: 1 }), (providerID, modelID) => {
        expect(parseModel(`${providerID}/${modelID}`)).toEqual({ providerID, modelID });
      }),
    );
  });
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DEFAULT_OPTIONS } from "../../src/options.ts";
import { isUnstable } from "../../src/tasks/unstable.ts";

const KIMI = { providerID: "openrouter", modelID: "moonshotai/kimi-k2.5" };

describe("unstable models", () => {
  test.each([
    ["google", "gemini-3-pro"],
    ["openrouter", "google/Gemini-2.5-flash"],
    ["moonshotai", "kimi-k2"],
    ["KIMI", "k2"],
  ])("by default: %s/%s", (providerID, modelID) => {
    expect(isUnstable({ providerID, modelID }, DEFAULT_OPTIONS.unstable_models)).toBe(true);
  });

  test("by default no other, and none at all without patterns", () => {
    const model = { providerID: "anthropic", modelID: "claude-opus-5" };
    expect(isUnstable(model, DEFAULT_OPTIONS.unstable_models)).toBe(false);
    expect(isUnstable(KIMI, [])).toBe(false);
  });

  test("nothing is said of a model that nobody knows", () => {
    expect(isUnstable(undefined, ["*"])).toBe(false);
  });

  test.each([
    ["openrouter/moonshotai/kimi-k2.5", "provider and model as a whole"],
    ["moonshotai/kimi-k2.5", "the model alone"],
    ["openrouter/*", "all models of a provider: * also stands for slashes"],
    ["*/KIMI-K2.5", "in either case"],
    ["moonshotai/kimi-k?.?", "? is one character"],
    ["**kimi***", "stars in a row are one"],
    ["moonshotai/kimi-k2.5*", "* may be nothing"],
  ])("%s matches: %s", (pattern) => {
    expect(isUnstable(KIMI, [pattern])).toBe(true);
    expect(isUnstable(KIMI, ["nothing", pattern])).toBe(true);
  });

  test.each([
    ["kimi", "a part is not the whole"],
    ["kimi*", "nor is a beginning in the middle"],
    ["openrouter", "the provider alone is no model"],
    ["*kimi-k?", "? is exactly one character"],
    ["*kimi-k2.5?", "and never none"],
    ["*kimi-k2[.]5", "brackets are brackets"],
    ["*gemini*|*kimi*", "a bar is a bar"],
    ["", "nothing is not everything"],
  ])("%p does not match: %s", (pattern) => {
    expect(isUnstable(KIMI, [pattern])).toBe(false);
  });

  test("a dot is a dot", () => {
    expect(isUnstable({ providerID: "openrouter", modelID: "kimi-k2x5" }, ["kimi-k2.5"])).toBe(false);
  });

  test("every character but * and ? stands for itself, and no pattern throws", () => {
    const text = fc.string({ unit: "binary" }).map((chars) => chars.replace(/[*?]/g, ""));
    const odd = fc.string({ unit: fc.constantFrom(..."\\^$.+()[]{}|/-a1\n") });
    fc.assert(
      fc.property(fc.oneof(text, odd), fc.oneof(text, odd), (name, other) => {
        expect(isUnstable({ providerID: "p", modelID: name }, [name])).toBe(true);
        expect(isUnstable({ providerID: "p", modelID: `${name}${other}` }, [`${name}*`])).toBe(true);
        expect(isUnstable({ providerID: "p", modelID: `${name}x` }, [name])).toBe(false);
      }),
    );
  });
});

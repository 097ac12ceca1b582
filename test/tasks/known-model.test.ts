import { describe, expect, test } from "bun:test";
import { noSuchModel } from "../../src/tasks/known-model.ts";

const KNOWN = new Set(["anthropic/opus-4", "anthropic/haiku", "router/maker/model", "openai/gpt-5"]);
const wish = (providerID: string, modelID: string) => noSuchModel({ providerID, modelID }, KNOWN);

describe("a wished model", () => {
  test("that is there is no problem, also one whose name has a slash", () => {
    expect(wish("anthropic", "haiku")).toBeUndefined();
    expect(wish("router", "maker/model")).toBeUndefined();
  });

  test("that is not there: the models of its provider, the closest first", () => {
    expect(wish("anthropic", "haikuu")).toBe(
      'There is no model "anthropic/haikuu". Models of anthropic: anthropic/haiku, anthropic/opus-4.',
    );
  });

  test("at most five are named, and how many more there are", () => {
    const many = new Set(Array.from({ length: 12 }, (_, index) => `p/model-${index}`));
    const said = noSuchModel({ providerID: "p", modelID: "model-x" }, many);
    expect(said).toEndWith(": p/model-0, p/model-1, p/model-2, p/model-3, p/model-4 and 7 more.");
  });

  test("that another provider has: its whole name", () => {
    expect(wish("opnai", "gpt-5")).toBe('There is no model "opnai/gpt-5". Available: openai/gpt-5.');
  });

  test("of a provider that is not there: the providers, the closest first", () => {
    expect(wish("opnai", "gpt-9")).toBe(
      'There is no model "opnai/gpt-9", and no provider "opnai". Providers: openai, router, anthropic.',
    );
  });

  test("is not checked while the host does not say what it has", () => {
    for (const silent of [undefined, new Set<string>()])
      expect(noSuchModel({ providerID: "p", modelID: "m" }, silent)).toBeUndefined();
  });
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DEFAULT_OPTIONS, keeperConfig, type Options, parseOptions } from "../src/options.ts";

describe("options", () => {
  test("without any the defaults hold and nobody is bothered", () => {
    for (const nothing of [undefined, null, {}])
      expect(parseOptions(nothing)).toEqual({ options: DEFAULT_OPTIONS, problems: [] });
  });

  test("every default is a value that the option itself accepts", () => {
    expect(parseOptions(DEFAULT_OPTIONS)).toEqual({ options: DEFAULT_OPTIONS, problems: [] });
  });

  test("an unknown option is named, with the known ones, and ignored (Z2)", () => {
    const { options, problems } = parseOptions({ max_turns: 3 });
    expect(options).toEqual(DEFAULT_OPTIONS);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain('Unknown option "max_turns"');
    expect(problems[0]).toContain("max_auto_turns");
    expect(problems[0]).toContain("ignored");
  });

  test("an unknown option that looks like a known one is asked about", () => {
    const { problems } = parseOptions({ max_concurent_tasks: 3, "stale-task-seconds": 1, "": 1 });
    expect(problems[0]).toBe(
      'Unknown option "max_concurent_tasks": did you mean "max_concurrent_tasks"? It is ignored.',
    );
    expect(problems[1]).toContain('did you mean "stale_task_seconds"?');
    expect(problems[2]).not.toContain("did you mean");
  });

  test("all problems are counted and named in one line, which is all that a toast can show", () => {
    expect(parseOptions({}).summary).toBeUndefined();
    expect(parseOptions({ on_interrupt: "stop" }).summary).toBe(
      "1 option is ignored: on_interrupt. OpenCode's log says what is wrong with it.",
    );
    expect(parseOptions({ max_concurent_tasks: 3, on_interrupt: "stop", hurry: true }).summary).toBe(
      '3 options are ignored: max_concurent_tasks (did you mean "max_concurrent_tasks"?), on_interrupt, hurry. ' +
        "OpenCode's log says what is wrong with each of them.",
    );
    expect(parseOptions(3).summary).toContain("an object was expected");
  });

  test.each([
    ["auto_continue", "yes"],
    ["command", "Goal!"],
    ["command", ""],
    ["tools", ["goal", "kitchen"]],
    ["resume_on_start", 1],
    ["missing_task_grace_seconds", -1],
    ["max_task_block_seconds", "900"],
    ["task_cleanup_delay_seconds", Number.NaN],
    ["stale_task_seconds", -1],
    ["max_concurrent_tasks", -1],
    ["max_concurrent_tasks", 1.5],
    ["max_concurrent_tasks", "5"],
    ["max_concurrent_tasks", [5]],
    ["max_concurrent_tasks", { anthropic: -1 }],
    ["max_concurrent_tasks", { anthropic: 2, "openai/gpt-5": "3" }],
    ["max_concurrent_tasks", { "": 1 }],
    ["max_task_depth", 0],
    ["max_task_depth", 1.5],
    ["unstable_models", "*gemini*"],
    ["unstable_models", [/gemini/]],
    ["on_interrupt", "stop"],
    ["on_interrupt", true],
    ["max_auto_turns", 2.5],
    ["max_prompt_failures", 0],
    ["no_progress_turns", -1],
    ["restricted_agents", "plan"],
    ["debug_log", ""],
    ["debug_log_text", "true"],
  ] satisfies [keyof Options, unknown][])(
    "a bad %s (%p) costs that option alone, and says what was expected",
    (key, value) => {
      const { options, problems } = parseOptions({
        [key]: value,
        max_auto_turns: key === "max_auto_turns" ? value : 7,
      });
      expect(options[key]).toEqual(DEFAULT_OPTIONS[key]);
      if (key !== "max_auto_turns") expect(options.max_auto_turns).toBe(7);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(`Option "${key}" is`);
      expect(problems[0]).toContain("was expected");
      expect(problems[0]).toContain("default");
    },
  );

  test.each([
    ["tools", ["background"]],
    ["tools", []],
    ["stale_task_seconds", 0],
    ["stale_task_seconds", 0.5],
    ["max_concurrent_tasks", 0],
    ["max_concurrent_tasks", {}],
    ["max_concurrent_tasks", { anthropic: 2, "anthropic/opus": 1, openai: 0 }],
    ["max_task_depth", 1],
    ["unstable_models", []],
    ["on_interrupt", "keep"],
  ] satisfies [keyof Options, unknown][])("a good %s (%p) is taken as it is", (key, value) => {
    const { options, problems } = parseOptions({ [key]: value });
    expect(options).toEqual({ ...DEFAULT_OPTIONS, [key]: value });
    expect(problems).toEqual([]);
  });

  test("without a wish the model gets both families of tools, and five tasks of it run at once", () => {
    expect(DEFAULT_OPTIONS).toMatchObject({
      tools: ["goal", "background"],
      stale_task_seconds: 600,
      max_concurrent_tasks: 5,
      max_task_depth: 3,
      unstable_models: ["*gemini*", "*kimi*"],
      on_interrupt: "cancel",
    });
  });

  test("options that are no object are refused as a whole", () => {
    for (const wrong of [3, "x", [], true]) {
      const { options, problems } = parseOptions(wrong);
      expect(options).toEqual(DEFAULT_OPTIONS);
      expect(problems[0]).toContain("an object was expected");
    }
  });

  test("whatever is given, nothing is thrown and every option has a value (Z1)", () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        expect(Object.keys(parseOptions(input).options)).toEqual(Object.keys(DEFAULT_OPTIONS));
      }),
    );
  });

  test("seconds become milliseconds once, fractions included", () => {
    const { options } = parseOptions({
      missing_task_grace_seconds: 0.25,
      max_task_block_seconds: 2,
      stale_task_seconds: 1.5,
    });
    expect(keeperConfig(options)).toMatchObject({
      timing: { graceMs: 250, ceilingMs: 2_000, staleMs: 1_500 },
      gate: { maxTaskBlockMs: 2_000 },
    });
  });
});

import { describe, expect, test } from "bun:test";
import { createTaskManager, SettingsError, type TaskManagerSettings } from "../../src/library/create.ts";

/** OpenCode that never answers: it still starts. */
const client = new Proxy({}, { get: () => client, apply: () => undefined }) as TaskManagerSettings["client"];

describe("settings that are not what they should be", () => {
  test.each(["goalkeeper", "", "Reviewer", "my key", "9lives"])("the key %p is refused", (key) => {
    expect(() => createTaskManager({ client, directory: "/nowhere", key })).toThrow(SettingsError);
    expect(() => createTaskManager({ client, directory: "/nowhere", key })).toThrow(`"${key}"`);
  });

  test("each bad option is named, with what was expected", () => {
    const options = { max_task_depth: "deep", task_cleanup: 3 } as unknown as TaskManagerSettings["options"];
    let problem = "";
    try {
      createTaskManager({ client, directory: "/nowhere", key: "reviewer", ...(options ? { options } : {}) });
    } catch (error) {
      problem = `${(error as Error).name}: ${(error as Error).message}`;
    }
    expect(problem).toMatch(/^SettingsError: .*max_task_depth/);
    expect(problem).toContain("task_cleanup");
  });
});

import { beforeEach, describe, expect, test } from "bun:test";
import { Desk } from "./desk.ts";

const SECOND = 1_000;

let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open();
});

/** The arguments of the call with which a page ends. */
function nextCall(said: string): Record<string, unknown> | undefined {
  const json = /background_output\((\{[^)]*\})\)\]$/.exec(said)?.[1];
  return json === undefined ? undefined : JSON.parse(json);
}

/** A page without its first lines and its last one. */
function body(said: string, headLines: number): string {
  return said
    .split("\n")
    .slice(headLines, nextCall(said) === undefined ? undefined : -1)
    .join("\n");
}

describe("the list", () => {
  test("without tasks says that there are none", async () => {
    expect(await desk.call("output", {})).toStartWith("There are no background tasks");
  });

  test("begins with counts, and has a line for each: id, state, age, sign of life, usage, mark", async () => {
    const ended = await desk.launch("look", { unstable: true });
    const running = await desk.launch("test");
    await desk.finish(ended);
    await desk.pass(10 * SECOND);
    const lines = (await desk.call("output", {})).split("\n");
    expect(lines[0]).toBe("Background tasks: 1 running, 1 completed.");
    expect(lines[1]).toStartWith(`- "look" (${ended}) (unstable model: verify): completed after 0.`);
    expect(lines[1]).toMatch(/, ended 10s ago, not reported yet, 100 tokens, \$0\.0010$/);
    expect(lines[2]).toMatch(
      new RegExp(`^- "test" \\(${running}\\): running for \\d+s, last sign of life \\d+(\\.\\d)?s ago$`),
    );
  });

  test("says shortly why a task has failed or was cancelled", async () => {
    desk.host.unknownModels.add("p/m");
    const [, cancelled] = [await desk.launch("a", { model: "p/m" }), await desk.launch("b")];
    void desk.tasks.cancel(cancelled, `nobody\nwants it ${"x".repeat(200)}`);
    await desk.pass(SECOND);
    const lines = (await desk.call("output", {})).split("\n");
    expect(lines[1]).toMatch(/: failed after [\d.]+s \(it could not be started: Model not found: p\/m\.?\), ended /);
    expect(lines[2]).toMatch(/: cancelled after [\d.]+s \(nobody wants it x{103}…\), ended /);
  });

  test("says that a tool runs, instead of a sign of life that grows older", async () => {
    const id = await desk.launch("a");
    desk.keeper.manager.signs.tool(id, "call_1", true);
    await desk.pass(300 * SECOND);
    expect(await desk.call("output", {})).toMatch(/: running for 5m \d+s, a tool runs$/);
    desk.keeper.manager.signs.tool(id, "call_1", false);
    expect(await desk.call("output", {})).toMatch(/: running for 5m \d+s, last sign of life 5m \d+s ago$/);
  });

  test("is what a transcript without an id is answered with, and that the id is missing", async () => {
    for (const args of [{ full: true }, { last: 2 }])
      expect(await desk.call("output", args)).toBe(
        '"task_id" is needed to read a transcript. There are no background tasks in this session. Nothing is waited for.',
      );
  });

  test("names the place of a queued task", async () => {
    const narrow = await Desk.open({ max_concurrent_tasks: 1 });
    await narrow.launch("a");
    const id = await narrow.launch("b");
    expect(await narrow.call("output", {})).toMatch(
      new RegExp(`"b" \\(${id}\\): queued for [\\d.]+s, 1st in the queue for simulated/model`),
    );
  });

  test("has one line for each, however its title looks", async () => {
    const id = desk.host.startTask(desk.root, { background: true, title: `look\n- "forged" ${"x".repeat(500)}` });
    await desk.pass();
    const lines = (await desk.call("output", {})).split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[1]).toStartWith('- "look - "forged" xxx');
    expect(lines[1]?.indexOf(`" (${id}): running`)).toBe(83);
  });

  test("tells the caller's own tasks from those of other sessions", async () => {
    const own = await desk.launch("own");
    const nested = await desk.launch("nested", {}, { sessionID: own });
    const asRoot = (await desk.call("output", {})).split("\n");
    expect(asRoot[1]).toContain(own);
    expect(asRoot[2]).toBe("Of other sessions here:");
    expect(asRoot[3]).toContain(nested);
    expect(asRoot[3]).toEndWith(`, of ${own}`);
    const asTask = (await desk.call("output", {}, { sessionID: own })).split("\n");
    expect(asTask[1]).toContain(nested);
  });

  test("of very many tasks has the live ones, and is never cut by OpenCode", async () => {
    const title = "語".repeat(80);
    const ended = await desk.launch(title);
    await desk.finish(ended);
    for (let count = 0; count < 120; count++) await desk.call("task", { description: title, prompt: "x" });
    const said = await desk.call("output", {});
    expect(Buffer.byteLength(said)).toBeLessThan(51_200);
    expect(said).toStartWith("Background tasks: 5 running, 115 queued, 1 completed.");
    expect(said).toContain("1st in the queue");
    expect(said).not.toContain(ended);
    expect(said).toEndWith("21 more are left out.");
  });

  test("of very many failed tasks is never cut by OpenCode either", async () => {
    const title = "語".repeat(80);
    for (let count = 0; count < 100; count++) {
      const id = await desk.launch(title, { unstable: true });
      void desk.tasks.cancel(id, "語".repeat(500));
      await desk.pass(SECOND);
    }
    const said = await desk.call("output", {});
    expect(said).toStartWith("Background tasks: 100 cancelled.");
    expect(Buffer.byteLength(said)).toBeLessThan(51_200);
  });

  test("is not the delivery of a result", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    await desk.call("output", {});
    expect(desk.ended(id).delivery.state).toBe("pending");
  });
});

describe("reading a task", () => {
  test("that works: its state, and what it has said so far", async () => {
    const id = await desk.launch("a");
    expect(await desk.call("output", { task_id: id })).toMatch(
      new RegExp(`^"a" \\(${id}\\): running for [\\d.]+s, last sign of life [\\d.]+s ago.\nIt has said nothing yet.$`),
    );
  });

  test("that has ended gives its result, is its delivery, and gives the same again", async () => {
    const id = await desk.launch("a", { unstable: true });
    await desk.finish(id, "alpha\n\nbeta ");
    const first = await desk.call("output", { task_id: id });
    expect(first).toMatch(
      /^"a" \(ses_\w+\) \(unstable model: verify\): completed after [\d.]+s, 100 tokens, \$0.0010./,
    );
    expect(first).toEndWith("\nIts result:\nalpha\n\nbeta ");
    expect(desk.ended(id).delivery).toMatchObject({
      state: "delivered",
      sessionID: desk.root,
      messageID: "msg_call",
      byTurn: true,
    });
    await desk.pass(60 * SECOND);
    expect(await desk.call("output", { task_id: id }, { messageID: "msg_later" })).toBe(first);
    expect(desk.ended(id).delivery).toMatchObject({ messageID: "msg_call" });
  });

  test("by a session that is not its reader is no delivery", async () => {
    const other = await desk.launch("other");
    const id = await desk.launch("a");
    await desk.finish(id);
    expect(await desk.call("output", { task_id: id }, { sessionID: other })).toContain("the result");
    expect(desk.ended(id).delivery.state).toBe("pending");
  });

  test("that ends while OpenCode is asked is a delivery only if the answer says that it has ended", async () => {
    const id = await desk.launch("a");
    desk.host.faults.transcript = { lateMs: 50 };
    const reading = desk.call("output", { task_id: id, full: true }, { withinMs: 0 });
    await desk.clock.settle();
    desk.host.faults.transcript = "right";
    await desk.finish(id);
    expect(await reading).toContain("[It is running.");
    expect(desk.ended(id).delivery.state).toBe("pending");
  });

  test("that failed: its error and what it had said; that was cancelled: the reason", async () => {
    desk.host.unknownModels.add("p/m");
    const [failed, cancelled] = [await desk.launch("a", { model: "p/m" }), await desk.launch("b")];
    void desk.tasks.cancel(cancelled, "nobody wants it");
    await desk.pass(SECOND);
    const said = await desk.call("output", { task_id: failed });
    expect(said).toMatch(/^"a" \(ses_\w+\): failed after [\d.]+s.\nError: .*Model not found: p\/m/);
    expect(said).toEndWith("\nIt has said nothing.");
    expect(await desk.call("output", { task_id: cancelled })).toContain("Reason: nobody wants it\n");
  });

  test("whose record is gone is answered by its own session", async () => {
    const brief = await Desk.open({ task_cleanup_delay_seconds: 1 });
    const id = await brief.launch("a");
    await brief.finish(id);
    await brief.call("output", { task_id: id });
    await brief.pass(5 * SECOND);
    expect(brief.tasks.get(id)).toBeUndefined();
    const said = await brief.call("output", { task_id: id });
    expect(said).toContain(`${id}: there is no record of it any more, so its session answers: completed`);
    expect(said).toEndWith("Its result:\nthe result");
  });

  test("that nobody knows says why, and which tasks there are", async () => {
    expect(await desk.call("output", { task_id: "ses_x" })).toBe(
      "There is no task ses_x: OpenCode has no such session. This session has no background tasks.",
    );
    const id = await desk.launch("a");
    expect(await desk.call("output", { task_id: "ses_x" })).toEndWith(`The tasks of this session: "a" (${id}).`);
    for (let count = 0; count < 10; count++) await desk.call("task", { prompt: "x" });
    expect(await desk.call("output", { task_id: "ses_x" })).toEndWith(
      "background_output({}) lists the tasks of this session.",
    );
    desk.host.faults.transcript = "unknown";
    expect(await desk.call("output", { task_id: "ses_x" })).toContain("OpenCode did not answer (scripted failure)");
  });

  test("that is of another plugin is refused, and nobody is told to try it again (U14)", async () => {
    desk.host.faults.session = "unknown";
    const said =
      'is no task of goalkeeper\'s: the ids of its tasks begin with "ses_". If another plugin gave you this id,';
    expect(await desk.call("output", { task_id: "bg_1a2b3c4d" })).toStartWith(`"bg_1a2b3c4d" ${said}`);
    expect(await desk.call("cancel", { task_id: "bg_1a2b3c4d" })).toEndWith("Nothing was cancelled.");
    const resumed = await desk.call("task", { prompt: "x", task_id: "bg_1a2b3c4d" });
    expect(resumed).toStartWith(`"bg_1a2b3c4d" ${said}`);
    expect(resumed).toEndWith("Nothing was started.");
  });

  test("of another main session, or a main session itself, is refused", async () => {
    const other = desk.host.createRoot();
    desk.host.userSays(other, "hello");
    await desk.pass();
    const id = await desk.launch("a", {}, { sessionID: other });
    const said = await desk.call("output", { task_id: id });
    expect(said).toStartWith(`The task ${id} belongs to another session.`);
    expect(said).toEndWith("Nothing was read.");
    expect(await desk.call("output", { task_id: desk.root })).toContain("is the main session and not a task");
  });

  test("that was cancelled just now is told by that, although its last words are still looked for", async () => {
    const id = await desk.launch("a");
    void desk.tasks.cancel(id);
    expect(desk.ended(id).delivery).toMatchObject({ state: "pending", teller: "host" });
    await desk.call("output", { task_id: id }, { withinMs: 5 });
    expect(desk.ended(id).delivery).toMatchObject({ state: "delivered", messageID: "msg_call" });
  });

  test("of OpenCode's own leaves it to OpenCode to tell, for as long as it may", async () => {
    desk.host.hostTellsAfterMs = "never";
    const id = desk.host.startTask(desk.root, { background: true });
    await desk.pass();
    desk.host.userAborts(id);
    await desk.pass();
    void desk.tasks.cancel(id);
    expect(desk.ended(id).delivery).toMatchObject({ state: "pending", teller: "host" });
    expect(await desk.call("output", { task_id: id }, { withinMs: 10 })).toContain("cancelled");
    expect(desk.ended(id).delivery.state).toBe("pending");
    await desk.pass(3 * SECOND);
    expect(desk.ended(id).delivery).toMatchObject({ state: "pending", teller: "goalkeeper" });
    await desk.call("output", { task_id: id });
    expect(desk.ended(id).delivery.state).toBe("delivered");
  });
});

describe("a long result", () => {
  test("comes in pages: each ends with the call for the next, and together they are the whole", async () => {
    const id = await desk.launch("a");
    const result = Array.from({ length: 4_000 }, (_, line) => `line ${line}`)
      .join("\n")
      .slice(0, 32_000);
    await desk.finish(id, result);
    let whole = "";
    for (let args: Record<string, unknown> | undefined = { task_id: id }; args !== undefined; ) {
      const said: string = await desk.call("output", args);
      expect(said.split("\n").length).toBeLessThan(1_600);
      whole += body(said, 2);
      args = nextCall(said);
    }
    expect(whole).toBe(result);
  });

  test("of which only the end was kept says so", async () => {
    const id = await desk.launch("a");
    await desk.finish(id, "x".repeat(40_000));
    expect(await desk.call("output", { task_id: id })).toContain('only the end is kept; "full" shows everything');
  });

  test("has nothing behind its end", async () => {
    const id = await desk.launch("a");
    await desk.finish(id, "alpha");
    expect(await desk.call("output", { task_id: id, offset: 5 })).toContain(
      "There is nothing from character 5 on: it has 5.",
    );
  });
});

describe("the transcript", () => {
  test("is shown in full, and reading it is a delivery", async () => {
    const id = await desk.launch("a");
    desk.host.toolCall(id);
    await desk.finish(id);
    const said = await desk.call("output", { task_id: id, full: true });
    expect(said).toStartWith(`Transcript of "a" (${id}):\n[1] user\ndo a\n\n[2] assistant\n`);
    expect(said).toContain("> bash ");
    expect(said).toContain("the result");
    expect(nextCall(said)).toBeUndefined();
    expect(desk.ended(id).delivery.state).toBe("delivered");
  });

  test("of a task that works ends with the call for what comes next, and that call has nothing twice", async () => {
    const id = await desk.launch("a", { prompt: "語".repeat(20_000) });
    const first = await desk.call("output", { task_id: id, full: true });
    expect(first).toContain("[More: ");
    const second = await desk.call("output", nextCall(first));
    expect(second).toContain("[It is running. What comes next: ");
    await desk.finish(id);
    const third = await desk.call("output", nextCall(second));
    expect(body(first, 1) + body(second, 1) + body(third, 1)).toBe(
      `[1] user\n${"語".repeat(20_000)}\n\n[2] assistant\nthe result`,
    );
  });

  test("can be read from the last messages on; 0 is all of them", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    expect(body(await desk.call("output", { task_id: id, last: 1 }), 1)).toBe("[2] assistant\nthe result");
    expect(body(await desk.call("output", { task_id: id, last: 99 }), 1)).toStartWith("[1] user");
    expect(await desk.call("output", { task_id: id, last: 0, offset: 0, full: false })).toEndWith(
      "Its result:\nthe result",
    );
  });

  test("of a deleted session is what the record keeps", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    desk.host.deleteSession(id);
    await desk.pass();
    const said = await desk.call("output", { task_id: id, full: true });
    expect(said).toContain("OpenCode has no such session. This is what the record keeps:\n");
    expect(said).toEndWith("Its result:\nthe result");
  });
});

describe("waiting", () => {
  test("ends when the task ends, with its result", async () => {
    const id = await desk.launch("a");
    desk.clock.after(2 * SECOND, () => desk.host.finishTurn(id, "the result"));
    const said = await desk.call("output", { task_id: id, wait: true }, { withinMs: 2 * SECOND + 100 });
    expect(said).toEndWith("the result");
    expect(desk.ended(id).delivery.state).toBe("delivered");
  });

  test("ends after timeout_seconds, fractions too, and says that it still works", async () => {
    const id = await desk.launch("a");
    const args = { task_id: id, wait: true, timeout_seconds: 0.5 };
    const said = await desk.call("output", args, { withinMs: 600 });
    expect(said).toContain("running for");
    expect(said).toEndWith("[It has not ended within 0.5 seconds. Its result will be reported to you by itself.]");
  });

  test("takes 60 seconds if nothing is said", async () => {
    const id = await desk.launch("a");
    const startedAt = desk.clock.now();
    const endedAt = desk.call("output", { task_id: id, wait: true }, { withinMs: 0 }).then(() => desk.clock.now());
    await desk.pass(90 * SECOND);
    const tookMs = (await endedAt) - startedAt;
    expect(tookMs).toBeGreaterThanOrEqual(60 * SECOND);
    expect(tookMs).toBeLessThan(61 * SECOND);
  });

  test("ends at once when the user aborts the turn, and asks OpenCode nothing: it would not wait for the answer", async () => {
    const id = await desk.launch("a");
    const abort = new AbortController();
    desk.host.faults.transcript = "never";
    desk.clock.after(50, () => abort.abort());
    const said = await desk.call("output", { task_id: id, wait: true }, { withinMs: 100, abort: abort.signal });
    expect(said).toContain("is running. The wait was interrupted, and nothing was read.");
    expect(said).not.toContain("60 seconds");
  });

  test("without an id is for all live tasks of the caller, and for no others", async () => {
    const above = await desk.launch("above");
    const own = [await desk.launch("a", {}, { sessionID: above }), await desk.launch("b", {}, { sessionID: above })];
    desk.clock.after(1 * SECOND, () => desk.host.finishTurn(own[0] ?? ""));
    desk.clock.after(2 * SECOND, () => desk.tasks.cancel(own[1] ?? ""));
    const said = await desk.call("output", { wait: true }, { sessionID: above, withinMs: 5 * SECOND });
    expect(said).toStartWith("Background tasks: 1 running, 1 completed, 1 cancelled.");
  });

  test("for oneself, or for a task above, is not done", async () => {
    const above = await desk.launch("above");
    const id = await desk.launch("a", {}, { sessionID: above });
    for (const task_id of [above, id])
      expect(await desk.call("output", { task_id, wait: true }, { sessionID: id })).toEndWith(
        "It has said nothing yet.",
      );
  });

  test("leaves no timer and no attachment behind", async () => {
    const id = await desk.launch("a");
    const before = desk.clock.pending();
    await desk.call("output", { task_id: id, wait: true, timeout_seconds: 0.05 });
    expect(desk.clock.pending()).toBe(before);
  });
});

test("arguments of no use are answered with what was expected, and nothing is read", async () => {
  const id = await desk.launch("a");
  await desk.finish(id);
  const given = { wait: "later", timeout_seconds: 601, full: 3, last: -1, offset: 1.5 };
  const said = await desk.call("output", { task_id: id, ...given });
  expect(said).toContain('"wait" is "later"; true or false was expected.');
  expect(said).toContain('"timeout_seconds" is 601; a number of seconds, at most 600, was expected.');
  expect(said).toContain('"full" is 3; true or false was expected.');
  expect(said).toContain('"last" is -1; a whole number of messages was expected.');
  expect(said).toContain('"offset" is 1.5; a whole number of characters was expected.');
  expect(said).toEndWith("Nothing was read.");
  expect(desk.ended(id).delivery.state).toBe("pending");
  expect(await desk.call("output", { task_id: id, timeout_seconds: "soon" })).toContain('"timeout_seconds" is "soon"');
});

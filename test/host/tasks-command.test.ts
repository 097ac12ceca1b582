import { beforeEach, describe, expect, test } from "bun:test";
import { CommandAnswered } from "../../src/host/command.ts";
import { HostIds } from "../../src/host/message-id.ts";
import { TasksCommandRunner } from "../../src/host/tasks-command.ts";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import type { Options } from "../../src/options.ts";
import { aGoal } from "../support/builders.ts";
import { Desk } from "../tools/desk.ts";

/** A root that is idle, unless a test says otherwise, and a person who types. */
class Person {
  /** What was shown in a session; a toast has the rest. */
  readonly shown: string[] = [];
  foreign: StoredRoot | undefined;
  /** Roots whose stored state was brought here. */
  readonly ensured: string[] = [];
  private readonly runner: TasksCommandRunner;

  static async open(options: Partial<Options> = {}): Promise<Person> {
    return new Person(await Desk.open(options));
  }

  private constructor(readonly desk: Desk) {
    const { host, keeper, tasks, clock } = desk;
    const show = host.show.bind(host);
    host.show = (sessionID, text, voice) => {
      this.shown.push(text);
      return show(sessionID, text, voice);
    };
    const loader = {
      ensure: async (rootID: string) => void this.ensured.push(rootID),
      foreignRoot: async () => this.foreign,
    };
    this.runner = new TasksCommandRunner({
      host,
      keeper,
      tasks,
      loader,
      ids: new HostIds(clock),
      now: () => clock.now(),
    });
  }

  /** Says `/tasks …`; answers what there was to read. */
  async says(args: string): Promise<string> {
    const { desk, shown } = this;
    const before = shown.length;
    const answered = this.runner.execute(desk.root, args).catch((error: unknown) => error);
    await desk.pass();
    expect(await answered).toBeInstanceOf(CommandAnswered);
    return shown.length > before ? (shown.at(-1) ?? "").split("\n").slice(1, -1).join("\n") : this.toast;
  }

  get toast(): string {
    return this.desk.host.toasts.at(-1)?.message ?? "";
  }

  async rests(): Promise<void> {
    await this.desk.finish(this.desk.root, "I wait.");
  }

  prompts(): number {
    return this.desk.host.prompts.filter(({ sessionID }) => sessionID === this.desk.root).length;
  }
}

let person: Person;
let desk: Desk;

beforeEach(async () => {
  person = await Person.open();
  desk = person.desk;
});

describe("/tasks shows", () => {
  test("that there are none", async () => {
    await person.rests();
    expect(await person.says("")).toBe("There are no background tasks in this session.");
  });

  test("each with its number, agent, model, id, state, age, sign of life, and how to end it", async () => {
    const [one, two] = [await desk.launch("look"), await desk.launch("test", { unstable: true })];
    await person.rests();
    await desk.pass(10_000);
    const lines = (await person.says("")).split("\n");
    expect(lines).toEqual([
      "Background tasks: 2 running.",
      `1. "look" (general, simulated/model, ${one})`,
      expect.stringMatching(/^ {3}running for \d+s, last sign of life \d+s ago$/),
      `2. "test" (unstable model: verify) (general, simulated/model, ${two})`,
      expect.stringMatching(/^ {3}running for \d+s, last sign of life \d+s ago$/),
      "/tasks cancel <number> ends one; /tasks cancel all ends everything that the agent has launched.",
    ]);
    expect(person.toast).toBe("Background tasks: 2 running.");
  });

  test("that a tool runs, instead of a sign of life that grows older", async () => {
    const id = await desk.launch("look");
    await person.rests();
    desk.keeper.manager.signs.tool(id, "call_1", true);
    await desk.pass(60_000);
    expect(await person.says("")).toMatch(/\n {3}running for 1m \d+s, a tool runs\n/);
  });

  test("how one ended, why, when, what it has cost, and whether the agent knows", async () => {
    desk.host.unknownModels.add("p/m");
    const [, failed] = [await desk.launch("good"), await desk.launch("bad", { model: "p/m" })];
    await desk.pass(1_000);
    const [good] = desk.keeper.tasks(desk.root);
    await desk.finish(good?.id ?? "");
    // The agent works: a toast has room for what has ended, as nothing is under way.
    expect(await person.says("")).toMatch(
      /^Background tasks: 1 completed, 1 failed\.\n2\. bad: failed \S+ ago\n1\. good: completed \S+ ago$/,
    );
    await person.rests();
    await desk.finish(desk.root, "I have read it.");
    const lines = (await person.says("")).split("\n");
    expect(lines[2]).toMatch(/^ {3}completed after [\d.]+s, [\d.]+s ago, the agent was told, 100 tokens, \$0\.0010$/);
    expect(lines[3]).toBe(`2. "bad" (general, p/m, ${failed})`);
    expect(lines[4]).toMatch(/^ {3}failed after [\d.]+s, [\d.]+s ago, the agent was told$/);
    expect(lines[5]).toContain("Model not found: p/m");
    expect(lines).toHaveLength(6);
  });

  test("whose task a nested one is", async () => {
    const above = await desk.launch("above");
    const nested = await desk.launch("nested", {}, { sessionID: above });
    await person.rests();
    expect(await person.says("")).toContain(`2. "nested" (general, simulated/model, ${nested}, of 1)`);
  });

  test("on one line each whatever it is called, at most 40 of them, those that live first", async () => {
    const narrow = await Person.open({ max_concurrent_tasks: 1 });
    for (let count = 0; count < 50; count++)
      await narrow.desk.call("task", { description: `a\n2. "forged"${"x".repeat(90)}`, prompt: "x" });
    await narrow.rests();
    const lines = (await narrow.says("")).split("\n");
    expect(lines).toHaveLength(1 + 2 * 40 + 2);
    expect(lines.at(-2)).toBe("10 more are left out.");
    expect(lines[1]).toStartWith('1. "a 2. "forged"xxx');
    expect(lines[4]).toContain("queued for");
  });

  test("in a busy session a toast of a few lines, and nothing that would cost a model request", async () => {
    for (let count = 0; count < 7; count++) await desk.launch(`task number ${count} ${"x".repeat(50)}`);
    const said = await person.says("");
    expect(person.shown).toEqual([]);
    const lines = said.split("\n");
    expect(lines[0]).toBe("Background tasks: 5 running, 2 queued.");
    expect(lines[1]).toMatch(/^1\. task number 0 x+…: running [\d.]+s$/);
    expect(lines).toHaveLength(7);
    expect(lines[6]).toBe("… and 2 more");
  });

  test("what another process runs as that one has stored it, and leaves it there", async () => {
    await desk.launch("look");
    const owner = { host: "h", pid: 4711, processStartedAt: 1, instance: "other" };
    const tasks = desk.keeper.tasks(desk.root);
    person.foreign = { version: 1, self: desk.root, owner, claim: 1, revision: 1, tasks };
    await person.rests();
    for (const args of ["", "cancel all"]) {
      const said = await person.says(args);
      expect(said).toContain("1. look: running");
      expect(said).toEndWith("Another OpenCode process (4711) runs them: see and cancel them there.");
    }
    expect(person.shown).toEqual([]);
    expect(desk.keeper.tasks(desk.root)[0]?.status).toBe("running");
  });
});

test.each([
  ["", "There are no background tasks in this session."],
  ["cancel 1", "Nothing was cancelled: there is no task number 1 in the list. /tasks shows those that there are."],
  ["cancel all", "Nothing was cancelled: nothing that the agent has launched is queued or running."],
  ["kill them", '"kill them" was not understood, and nothing was changed. Say /tasks,'],
])("a goal without tasks in another process stays there, whatever is said: %p", async (args, said) => {
  const owner = { host: "h", pid: 4711, processStartedAt: 1, instance: "other" };
  person.foreign = { version: 1, self: desk.root, owner, claim: 1, revision: 1, goal: aGoal(), tasks: [] };
  await person.rests();
  expect(await person.says(args)).toStartWith(said);
  expect([person.ensured, person.shown]).toEqual([[], []]);
});

test("what is not understood brings nothing here", async () => {
  await person.rests();
  expect(await person.says("kill them")).toContain("was not understood");
  expect(person.ensured).toEqual([]);
});

describe("/tasks cancel", () => {
  test("ends the task of that number and those that it has launched; the agent is told who did it", async () => {
    const [sibling, above] = [await desk.launch("sibling"), await desk.launch("above")];
    const nested = await desk.launch("nested", {}, { sessionID: above });
    await person.rests();
    await person.says("");
    expect(await person.says("cancel 2")).toBe(
      'Cancelled: "above", "nested". What they have said is kept, and the agent is told.',
    );
    expect(desk.ended(above)).toMatchObject({ status: "cancelled", outcome: { reason: "the user cancelled it" } });
    expect(desk.task(nested).status).toBe("cancelled");
    expect(desk.task(sibling).status).toBe("running");
    expect(desk.host.isWorking(above)).toBe(false);
    expect(desk.host.prompts.at(-1)?.text).toContain("cancelled (the user cancelled it)");
  });

  test("all ends all, queued ones too", async () => {
    const narrow = await Person.open({ max_concurrent_tasks: 1 });
    const ids = [await narrow.desk.launch("a"), await narrow.desk.launch("b")];
    await narrow.rests();
    expect(await narrow.says("cancel all")).toStartWith('Cancelled: "a", "b".');
    for (const id of ids) expect(narrow.desk.task(id).status).toBe("cancelled");
    expect(await narrow.says("cancel all")).toBe(
      "Nothing was cancelled: nothing that the agent has launched is queued or running.",
    );
  });

  test("takes the id of a task as well", async () => {
    const id = await desk.launch("a");
    expect(await person.says(`cancel ${id}`)).toStartWith('Cancelled: "a".');
    expect(desk.task(id).status).toBe("cancelled");
  });

  test("a number means what it meant in the list that was shown last", async () => {
    const brief = await Person.open({ task_cleanup_delay_seconds: 1 });
    const [gone, meant, other] = [
      await brief.desk.launch("gone"),
      await brief.desk.launch("meant"),
      await brief.desk.launch("other"),
    ];
    await brief.rests();
    await brief.says("");
    await brief.desk.call("cancel", { task_id: gone });
    await brief.desk.pass(30_000);
    expect(brief.desk.tasks.get(gone)).toBeUndefined();
    expect(await brief.says("cancel 2")).toStartWith('Cancelled: "meant".');
    expect(brief.desk.tasks.get(meant)?.status).toBe("cancelled");
    expect(brief.desk.task(other).status).toBe("running");
  });

  test.each(["cancel 2", "cancel 0", "cancel ses_nobody"])("%p names no task: nothing is cancelled", async (args) => {
    const id = await desk.launch("a");
    expect(await person.says(args)).toStartWith("Nothing was cancelled: there is no task ");
    expect(desk.task(id).status).toBe("running");
  });

  test("of a task that has ended says so", async () => {
    const id = await desk.launch("a");
    await desk.finish(id);
    expect(await person.says("cancel 1")).toBe('Nothing was cancelled: "a" had ended already (completed).');
    expect(desk.task(id).status).toBe("completed");
  });

  test("all leaves alone what others have made, which its number ends", async () => {
    await desk.launch("own");
    const id = desk.host.addChild(desk.root);
    desk.host.userSays(id, "hello");
    await desk.pass();
    expect(await person.says("cancel all")).toStartWith('Cancelled: "own". What');
    expect(desk.task(id).status).toBe("running");
    expect(await person.says("cancel 2")).toStartWith("Cancelled: ");
    expect(desk.task(id).status).toBe("cancelled");
  });

  test("of a task of another session does nothing", async () => {
    const other = desk.host.createRoot();
    desk.host.userSays(other, "hello");
    await desk.pass();
    const id = await desk.launch("a", {}, { sessionID: other });
    expect(await person.says(`cancel ${id}`)).toStartWith("Nothing was cancelled");
    expect(await person.says("cancel all")).toStartWith("Nothing was cancelled");
    expect(desk.task(id).status).toBe("running");
  });
});

test("what is not understood changes nothing, and what can be said is told", async () => {
  const id = await desk.launch("a");
  expect(await person.says("stop")).toBe(
    '"stop" was not understood, and nothing was changed. Say /tasks, /tasks cancel <number> or /tasks cancel all.',
  );
  expect(desk.task(id).status).toBe("running");
});

test("no list and no refusal prompts the agent", async () => {
  await desk.launch("a");
  await person.rests();
  const before = person.prompts();
  for (const args of ["", "nonsense", "cancel 9"]) await person.says(args);
  await desk.pass(5_000);
  expect(person.prompts()).toBe(before);
});

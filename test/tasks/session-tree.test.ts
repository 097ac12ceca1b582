import { describe, expect, test } from "bun:test";
import { SessionTree } from "../../src/tasks/session-tree.ts";
import { aSession, CHILD, ROOT } from "../support/builders.ts";

/** root ← child ← grandchild, and a stranger with a root of its own. */
function aTree(): SessionTree {
  const tree = new SessionTree();
  tree.see(aSession(ROOT));
  tree.see(aSession(CHILD, { parentID: ROOT }));
  tree.see(aSession("ses_grandchild", { parentID: CHILD }));
  tree.see(aSession("ses_stranger"));
  return tree;
}

describe("the root of a session", () => {
  test("is the session without a parent above it; a root is its own", () => {
    const tree = aTree();
    expect(["ses_grandchild", CHILD, ROOT].map((id) => tree.rootOf(id))).toEqual([ROOT, ROOT, ROOT]);
  });

  test("is unknown while a link is missing, and known once the link was seen, in whatever order", () => {
    const tree = new SessionTree();
    tree.see(aSession("ses_grandchild", { parentID: CHILD }));
    expect(tree.rootOf("ses_grandchild")).toBeUndefined();
    tree.see(aSession(ROOT));
    tree.see(aSession(CHILD, { parentID: ROOT }));
    expect(tree.rootOf("ses_grandchild")).toBe(ROOT);
    expect(tree.rootOf("ses_never_seen")).toBeUndefined();
  });

  test("is unknown in a cycle, which must not hang", () => {
    const tree = new SessionTree();
    tree.see(aSession("ses_a", { parentID: "ses_b" }));
    tree.see(aSession("ses_b", { parentID: "ses_a" }));
    tree.see(aSession("ses_self", { parentID: "ses_self" }));
    expect(tree.rootOf("ses_a")).toBeUndefined();
    expect(tree.rootOf("ses_self")).toBeUndefined();
  });
});

describe("what was learned of a session", () => {
  test("an update of its title keeps that it is busy and who called it", () => {
    const tree = aTree();
    tree.setBusy(CHILD, true);
    tree.setNative(CHILD, { callID: "call_1", background: true, isRunning: false, title: "part" });
    tree.see(aSession(CHILD, { parentID: ROOT, title: "better" }));
    expect(tree.get(CHILD)).toMatchObject({
      title: "better",
      busy: true,
      native: { callID: "call_1", background: true },
    });
  });

  test("events about a session that nobody has seen leave no trace", () => {
    const tree = new SessionTree();
    tree.setBusy(CHILD, true);
    tree.setNative(CHILD, { callID: "call_1", background: false, isRunning: false, title: "part" });
    tree.forget(CHILD);
    expect(tree.size).toBe(0);
  });

  test("a forgotten session leaves nothing behind", () => {
    const tree = aTree();
    tree.setBusy(CHILD, true);
    tree.forget(CHILD);
    tree.see(aSession(CHILD, { parentID: ROOT }));
    expect(tree.get(CHILD)).toMatchObject({ busy: false, native: undefined });
    expect(tree.size).toBe(4);
  });
});

test("at work below a root: busy descendants at any depth, and those whose Task call runs; not itself, the idle, or strangers", () => {
  const tree = aTree();
  for (const id of [ROOT, "ses_grandchild", "ses_stranger"]) tree.setBusy(id, true);
  expect(tree.workingBelow(ROOT).map(({ id }) => id)).toEqual(["ses_grandchild"]);
  tree.setBusy("ses_grandchild", false);
  expect(tree.workingBelow(ROOT)).toEqual([]);
  const call = { callID: "call_1", background: true, title: "part" };
  tree.setNative(CHILD, { ...call, isRunning: true });
  expect(tree.workingBelow(ROOT).map(({ id }) => id)).toEqual([CHILD]);
  tree.setNative(CHILD, { ...call, isRunning: false });
  expect(tree.workingBelow(ROOT)).toEqual([]);
});

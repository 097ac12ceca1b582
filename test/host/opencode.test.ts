import { beforeEach, describe, expect, test } from "bun:test";
import type { Client } from "../../src/host/client.ts";
import { OpencodeHost } from "../../src/host/opencode.ts";
import type { Prompt } from "../../src/host/port.ts";
import { aSession, ROOT, VOICE } from "../support/builders.ts";

/** What OpenCode answers to a read of the session; undefined: it does not. */
let read: (() => Promise<unknown>) | undefined;
let calls: string[];
let host: OpencodeHost;

const PROMPT: Prompt = { sessionID: ROOT, messageID: "m", partID: "p", text: "go on", voice: VOICE, synthetic: true };
const MARKED = { id: ROOT, revert: { messageID: "msg_2" } };

beforeEach(() => {
  calls = [];
  read = async () => ({ data: { id: ROOT } });
  const call = (name: string, answer: () => Promise<unknown>) => () => {
    calls.push(name);
    return answer();
  };
  const client = {
    session: {
      get: call("get", async () => (read === undefined ? { error: { name: "Timeout" } } : read())),
      prompt: call("prompt", async () => ({ data: {} })),
      promptAsync: call("promptAsync", async () => ({ data: {} })),
    },
  };
  host = new OpencodeHost(client as unknown as Client, "/project");
});

function hear(undone: boolean): void {
  host.observe(aSession(ROOT, undone ? { undone: true } : {}));
}

const STORES = [
  ["a prompt", () => host.prompt(PROMPT)],
  ["an answer that is shown", () => host.show(ROOT, "State: active", VOICE)],
] as const;

describe.each(STORES)("U1 %s", (_what, store) => {
  test("is stored where nothing is undone, after a look", async () => {
    expect(await store()).toEqual({ kind: "known", value: undefined });
    expect(calls[0]).toBe("get");
    expect(calls).toHaveLength(2);
  });

  test("is refused where the session shows an undo, which another process may have made", async () => {
    read = async () => ({ data: MARKED });
    expect(await store()).toEqual({ kind: "undone" });
    expect(calls).toEqual(["get"]);
  });

  test("is refused for an undo that is heard of while the session is read", async () => {
    read = async () => {
      hear(true);
      return { data: { id: ROOT } };
    };
    expect(await store()).toEqual({ kind: "undone" });
  });

  test("is stored again when another process has taken the undo back, of which nothing is heard here", async () => {
    hear(true);
    expect((await store()).kind).toBe("known");
  });

  test("goes by what was heard last where OpenCode does not answer", async () => {
    read = undefined;
    expect((await store()).kind).toBe("known");
    hear(true);
    expect(await store()).toEqual({ kind: "undone" });
    expect(await store()).toEqual({ kind: "undone" });
    hear(false);
    expect((await store()).kind).toBe("known");
  });
});

test("U1 a deposit asks nothing: its turn ends in a few milliseconds, and where it works nothing is undone", async () => {
  expect((await host.deposit(PROMPT)).kind).toBe("known");
  hear(true);
  expect(await host.deposit(PROMPT)).toEqual({ kind: "undone" });
  expect(calls).toEqual(["prompt"]);
});

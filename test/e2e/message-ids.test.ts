import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { StoredRoot } from "../../src/keeper/stored-root.ts";
import { createGate, type StoredMessage } from "../../src/testing/index.ts";
import { COMPLETE, openStages, type Play, type Stage } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  [stage] = await openStages([{}]);
});

afterAll(() => stage?.[Symbol.asyncDispose]());

/** Whoever drives OpenCode by its SDK names a message as he likes. */
const FORMS: readonly [string, () => string][] = [
  ["a word", () => "msg_user1"],
  ["a UUID", () => `msg_${randomUUID()}`],
  ["high hex digits, as of years ahead", () => "msg_ffffffffffffZZZZZZZZZZZZZZ"],
  ["OpenCode's own form, an hour ahead", () => `msg_${stampAt(Date.now() + 3_600_000)}ZZZZZZZZZZZZZZ`],
];

describe("a user's message whose id its sender has chosen", () => {
  for (const [form, newID] of FORMS) {
    test(`${form}: it is answered, and the goal goes on to its end (U17)`, async () => {
      const gate = createGate();
      const replies = [
        { text: "First turn.", until: gate.opened },
        "You said blue.",
        "Second turn.",
        COMPLETE,
        "Done.",
      ];
      const play = await stage.play(replies);
      const started = play.goal("paint it");
      await play.until("the first turn runs", () => play.requests().length === 1);
      const messageID = newID();
      await stage.server.prompt(play.id, "make it blue", { messageID });
      await play.until("the message is there", async () => (await play.prompts()).length === 2);
      gate.open();
      await started;
      const { goal } = await play.untilGoal("complete");
      expect(goal?.turns).toBe(2);
      await play.untilIdle();
      expect(total((await play.stored())?.goal?.tokens)).toBe(usedTowards(await play.messages()));
      expect(await shown(play)).toEqual(["goal", "make it blue", "continuation", "continuation"]);
      expect(writes(play)).toBeLessThan(20);
    });
  }

  test("another session of the same server counts its tokens and turns as ever (U17)", async () => {
    const play = await stage.play(["First turn.", COMPLETE, "Done."]);
    await play.goal("be left alone");
    const { goal } = await play.untilGoal("complete");
    expect(goal?.turns).toBe(1);
    await play.untilIdle();
    expect(total((await play.stored())?.goal?.tokens)).toBe(usedTowards(await play.messages()));
    const late = (await play.messages()).filter(({ info }) => info.id.slice(4, 16) > stampAt(Date.now() + 60_000));
    expect(late).toEqual([]);
  });
});

/** What an id of OpenCode's begins with that is made at this moment. */
function stampAt(ms: number): string {
  return (BigInt(ms) * 4096n).toString(16).slice(-12).padStart(12, "0");
}

async function shown(play: Play): Promise<string[]> {
  return (await play.prompts()).map((text) => /<goalkeeper kind="([\w-]+)"/.exec(text)?.[1] ?? text);
}

/** How often the books of the session were written: OpenCode publishes them with its own changes of a session, too. */
function writes(play: Play): number {
  const revisions = stage.server.events.all.flatMap(({ type, properties }) => {
    const info = properties.info as { readonly id?: string; readonly metadata?: { readonly goalkeeper?: StoredRoot } };
    const isOurs = type === "session.updated" && info.id === play.id;
    return isOurs ? (info.metadata?.goalkeeper?.revision ?? []) : [];
  });
  return new Set(revisions).size;
}

/** The tokens of all answers before the goal was complete: of the last two, one says so, and one comes after it. */
function usedTowards(messages: readonly StoredMessage[]): number {
  const used = messages.flatMap(({ info }) => {
    if (info.role !== "assistant") return [];
    const { input, output, reasoning, cache } = info.tokens;
    return [input + output + reasoning + cache.read + cache.write];
  });
  return used.slice(0, -2).reduce((sum, tokens) => sum + tokens, 0);
}

function total(tokens: { readonly own: number; readonly tasks: number } | undefined): number {
  return tokens === undefined ? 0 : tokens.own + tokens.tasks;
}

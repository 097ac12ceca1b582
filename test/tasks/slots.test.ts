import { describe, expect, test } from "bun:test";
import { parseModel } from "../../src/tasks/launch-voice.ts";
import { admit, type ConcurrencyLimit, queuePositions, type Seat } from "../../src/tasks/slots.ts";

/** `seats("acme/small", 2)` are acme/small#1 and acme/small#2; without a name those whose model nobody knows. */
function seats(name: string | undefined, count: number, first = 1): Seat[] {
  const model = name === undefined ? undefined : parseModel(name);
  return Array.from({ length: count }, (_, index) => ({ id: `${name}#${first + index}`, model }));
}

function ids(...groups: readonly Seat[][]): string[] {
  return groups.flat().map(({ id }) => id);
}

describe("a number", () => {
  test("is the limit of each model by itself", () => {
    const small = seats("acme/small", 3);
    const big = seats("acme/big", 3);
    expect(admit([...small, ...big], [], 2)).toEqual(ids(small.slice(0, 2), big.slice(0, 2)));
  });

  test("counts those that run already", () => {
    const waiting = seats("acme/small", 3, 10);
    expect(admit(waiting, seats("acme/small", 1), 2)).toEqual(ids(waiting.slice(0, 1)));
    expect(admit(waiting, seats("acme/small", 2), 2)).toEqual([]);
  });

  test("the same model id of two providers is two models", () => {
    const here = seats("acme/small", 1);
    expect(admit(here, seats("other/small", 1), 1)).toEqual(ids(here));
  });

  test("0: no limit", () => {
    const many = seats("acme/small", 50);
    expect(admit(many, seats("acme/small", 50, 100), 0)).toEqual(ids(many));
  });

  test("lowered below what runs: nothing starts until enough have ended", () => {
    const waiting = seats("acme/small", 1, 10);
    expect(admit(waiting, seats("acme/small", 4), 1)).toEqual([]);
    expect(admit(waiting, [], 1)).toEqual(ids(waiting));
  });

  test("nothing waits: nothing starts", () => {
    expect(admit([], seats("acme/small", 1), 5)).toEqual([]);
  });
});

describe("an object", () => {
  const small = seats("acme/small", 8);
  const big = seats("acme/big", 8);
  const other = seats("other/one", 8);

  test("limits a model by its name, with its provider", () => {
    expect(admit([...small, ...seats("x/small", 1)], [], { "acme/small": 2 })).toEqual([
      ...ids(small.slice(0, 2)),
      "x/small#1",
    ]);
  });

  test("limits a provider's models together", () => {
    expect(admit([...small.slice(0, 2), ...big], [], { acme: 3 })).toEqual(ids(small.slice(0, 2), big.slice(0, 1)));
    expect(admit(small, seats("acme/big", 2, 20), { acme: 3 })).toEqual(ids(small.slice(0, 1)));
  });

  test("both hold when both are given", () => {
    const limit = { acme: 3, "acme/small": 1 };
    expect(admit([...big, ...small], [], limit)).toEqual(ids(big.slice(0, 3)));
    expect(admit([...small.slice(0, 1), ...big], [], limit)).toEqual(ids(small.slice(0, 1), big.slice(0, 2)));
    expect(admit(small, [], limit)).toEqual(ids(small.slice(0, 1)));
  });

  test("a model that it does not name at all has the default of 5", () => {
    expect(admit(other, [], { acme: 1 })).toEqual(ids(other.slice(0, 5)));
    expect(admit(other, [], {})).toEqual(ids(other.slice(0, 5)));
    expect(admit([...small, ...big], [], { "acme/big": 1 })).toEqual(ids(small.slice(0, 5), big.slice(0, 1)));
  });

  test("a model whose provider it names, and not itself, is limited by the provider alone", () => {
    expect(admit(small, [], { acme: 7 })).toEqual(ids(small.slice(0, 7)));
  });

  test("0 takes a limit away: the provider's, the model's, and never the other one of the two", () => {
    expect(admit(small, [], { acme: 0 })).toEqual(ids(small));
    expect(admit(small, [], { "acme/small": 0 })).toEqual(ids(small));
    expect(admit(small, [], { acme: 0, "acme/small": 2 })).toEqual(ids(small.slice(0, 2)));
    expect(admit(small, [], { acme: 2, "acme/small": 0 })).toEqual(ids(small.slice(0, 2)));
  });

  test("the id of a model may have slashes", () => {
    const routed = seats("router/maker/model", 3);
    expect(admit(routed, [], { "router/maker/model": 1 })).toEqual(ids(routed.slice(0, 1)));
    expect(admit(routed, [], { router: 2 })).toEqual(ids(routed.slice(0, 2)));
    expect(admit(routed, [], { maker: 1, "maker/model": 1 })).toEqual(ids(routed));
  });

  test("names that every object has are no entries", () => {
    const odd = seats("constructor/toString", 6);
    expect(admit(odd, [], { acme: 1 })).toEqual(ids(odd.slice(0, 5)));
    expect(admit(odd, [], { constructor: 2 })).toEqual(ids(odd.slice(0, 2)));
  });
});

describe("a model that nobody knows yet", () => {
  const unknown = seats(undefined, 8);

  test("has a limit of its own: the number, or the default beside an object", () => {
    expect(admit(unknown, seats("acme/small", 9), 2)).toEqual(ids(unknown.slice(0, 2)));
    expect(admit(unknown, [], { acme: 1 })).toEqual(ids(unknown.slice(0, 5)));
    expect(admit(unknown, seats(undefined, 4, 20), {})).toEqual(ids(unknown.slice(0, 1)));
    expect(admit(unknown, [], 0)).toEqual(ids(unknown));
  });
});

describe("first come, first served", () => {
  test("a task that waits for its limit holds nobody back who needs another", () => {
    const [first, second] = [seats("acme/small", 2, 10), seats("other/one", 1)];
    expect(admit([...first, ...second], seats("acme/small", 1), 1)).toEqual(ids(second));
    expect(admit([...first, ...second], seats("acme/small", 1), { acme: 1, other: 1 })).toEqual(ids(second));
  });

  test("a task that waits for its model alone lets other models of its provider pass", () => {
    const limit = { acme: 3, "acme/small": 1 };
    const [held, later] = [seats("acme/small", 1, 10), seats("acme/big", 1)];
    expect(admit([...held, ...later], seats("acme/small", 1), limit)).toEqual(ids(later));
    expect(admit([...later, ...held], seats("acme/small", 1), limit)).toEqual(ids(later));
    expect(admit([...held, ...later], [], limit)).toEqual(ids(held, later));
  });

  test("a slot of a provider that comes free goes to whoever waits longest and may have it", () => {
    const limit = { acme: 2, "acme/small": 1 };
    const [held, later] = [seats("acme/small", 1, 10), seats("acme/big", 1, 20)];
    const running = [...seats("acme/small", 1), ...seats("acme/big", 1)];
    expect(admit([...held, ...later], running, limit)).toEqual([]);
    expect(admit([...held, ...later], running.slice(1), limit)).toEqual(ids(held));
    expect(admit([...held, ...later], running.slice(0, 1), limit)).toEqual(ids(later));
  });

  test("a provider without a limit has no queue", () => {
    const limit = { acme: 0, "acme/small": 1 };
    const [held, later] = [seats("acme/small", 1, 10), seats("acme/big", 1)];
    expect(admit([...held, ...later], seats("acme/small", 1), limit)).toEqual(ids(later));
  });

  test("a hundred thousand are looked at once each", () => {
    const many = ["acme/small", "acme/big", "other/one", undefined].flatMap((name) => seats(name, 25_000));
    expect(admit(many, many, { acme: 60_000, "acme/small": 30_000, other: 30_000 })).toHaveLength(15_000);
    expect(queuePositions(many, 5).get("undefined#25000")).toBe(25_000);
  });
});

describe("the place in the queue", () => {
  const waiting = [
    ...seats("acme/small", 2),
    ...seats("other/one", 1),
    ...seats("acme/big", 1),
    ...seats("acme/small", 1, 3),
    ...seats(undefined, 2),
  ];
  const places = (limit: ConcurrencyLimit) => waiting.map(({ id }) => queuePositions(waiting, limit).get(id));

  test("counts those ahead with the same model", () => {
    expect(places(1)).toEqual([1, 2, 1, 1, 3, 1, 2]);
    expect(places({})).toEqual([1, 2, 1, 1, 3, 1, 2]);
  });

  test("counts those ahead of the same provider if that has a limit, each once", () => {
    expect(places({ acme: 1 })).toEqual([1, 2, 1, 3, 4, 1, 2]);
    expect(places({ acme: 1, "acme/small": 1 })).toEqual([1, 2, 1, 3, 4, 1, 2]);
  });

  test("without a limit nobody is ahead", () => {
    expect(places(0)).toEqual(waiting.map(() => 1));
  });

  test("is that of those who wait, and of nobody else", () => {
    expect(queuePositions(waiting, 1).get("acme/small#9")).toBeUndefined();
  });
});

/** Slots against what is said of them in words: every limit, and every pair of tasks that compete, one by one. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { admit, type ConcurrencyLimit, queuePositions, type Seat } from "../../src/tasks/slots.ts";

/** The same ones every time; GOALKEEPER_RUNS multiplies their number and draws others, as in story.ts. */
const { GOALKEEPER_RUNS: runs, GOALKEEPER_SEED: seed } = process.env;
const FIXED = runs === undefined ? { seed: 20_261_121 } : {};
const DRAWN: fc.Parameters<unknown> = {
  numRuns: Math.ceil(3_000 * Number(runs ?? 1)),
  ...(seed === undefined ? FIXED : { seed: Number(seed) }),
};

const LONG_MS = 600_000;

const PROVIDERS = ["acme", "other"];
const MODELS = ["small", "big", "maker/odd"];
const ENTRIES = [...PROVIDERS, ...PROVIDERS.flatMap((provider) => MODELS.map((model) => `${provider}/${model}`))];

const someModel = fc.option(
  fc.record({ providerID: fc.constantFrom(...PROVIDERS), modelID: fc.constantFrom(...MODELS) }),
  { nil: undefined },
);
const someLimit: fc.Arbitrary<ConcurrencyLimit> = fc.oneof(
  fc.nat(4),
  fc.dictionary(fc.constantFrom(...ENTRIES), fc.nat(4), { noNullPrototype: true }),
);
const someSeats = (prefix: string, maxLength = 14): fc.Arbitrary<Seat[]> =>
  fc
    .array(someModel, { maxLength, size: "max" })
    .map((models) => models.map((model, index) => ({ id: `${prefix}${index}`, model })));

/** One limit, in words of its own: whom it holds for, and how many of them may run. */
interface Rule {
  readonly holdsFor: (seat: Seat) => boolean;
  readonly most: number;
}

function rules(limit: ConcurrencyLimit): readonly Rule[] {
  const named = (name: string) => (typeof limit === "number" ? undefined : limit[name]);
  const each = typeof limit === "number" ? limit : 5;
  const unknown: Rule = { holdsFor: ({ model }) => model === undefined, most: each };
  const known = PROVIDERS.flatMap((provider): Rule[] => {
    const ofProvider = named(provider);
    const models = MODELS.map((id): Rule => {
      const holdsFor = ({ model }: Seat) => model?.providerID === provider && model.modelID === id;
      return { holdsFor, most: named(`${provider}/${id}`) ?? (ofProvider === undefined ? each : 0) };
    });
    return [{ holdsFor: ({ model }) => model?.providerID === provider, most: ofProvider ?? 0 }, ...models];
  });
  return [unknown, ...known].filter(({ most }) => most > 0);
}

function compete(a: Seat, b: Seat, limit: ConcurrencyLimit): boolean {
  return rules(limit).some(({ holdsFor }) => holdsFor(a) && holdsFor(b));
}

const someMoment = fc.record({ waiting: someSeats("w"), running: someSeats("r", 8), limit: someLimit });

test(
  "no limit is exceeded by what starts, for any model and any provider",
  () => {
    fc.assert(
      fc.property(someMoment, ({ waiting, running, limit }) => {
        const started = new Set(admit(waiting, running, limit));
        for (const { holdsFor, most } of rules(limit)) {
          const starting = waiting.filter((seat) => started.has(seat.id) && holdsFor(seat)).length;
          // More may run already, when the limit was lowered: then none is added.
          if (starting > 0) expect(running.filter(holdsFor).length + starting).toBeLessThanOrEqual(most);
        }
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

test(
  "whoever starts has waited, is named once, and in the order of the queue",
  () => {
    fc.assert(
      fc.property(someMoment, ({ waiting, running, limit }) => {
        const started = admit(waiting, running, limit);
        const order = waiting.map(({ id }) => id).filter((id) => started.includes(id));
        expect(started).toEqual(order);
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

test(
  "whoever does not start has a reason: a limit is reached by those that run and those that came before it",
  () => {
    fc.assert(
      fc.property(someMoment, ({ waiting, running, limit }) => {
        const started = new Set(admit(waiting, running, limit));
        waiting.forEach((seat, index) => {
          if (started.has(seat.id)) return;
          const before = [...running, ...waiting.slice(0, index).filter(({ id }) => started.has(id))];
          const reached = rules(limit).some(
            ({ holdsFor, most }) => holdsFor(seat) && before.filter(holdsFor).length >= most,
          );
          expect(reached).toBe(true);
        });
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

test(
  "T12 a waiting task that is cancelled delays no other one",
  () => {
    fc.assert(
      fc.property(someMoment, fc.nat(), ({ waiting, running, limit }, luck) => {
        const gone = waiting[luck % Math.max(waiting.length, 1)];
        const left = waiting.filter((seat) => seat !== gone);
        const before = admit(waiting, running, limit).filter((id) => id !== gone?.id);
        expect(admit(left, running, limit)).toEqual(expect.arrayContaining(before));
        for (const { id } of left)
          expect(queuePositions(left, limit).get(id) ?? 0).toBeLessThanOrEqual(
            queuePositions(waiting, limit).get(id) ?? 0,
          );
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

test(
  "what starts at once leaves nothing to start: asking again changes nothing",
  () => {
    fc.assert(
      fc.property(someMoment, ({ waiting, running, limit }) => {
        const started = new Set(admit(waiting, running, limit));
        const now = [...running, ...waiting.filter(({ id }) => started.has(id))];
        const left = waiting.filter(({ id }) => !started.has(id));
        expect(admit(left, now, limit)).toEqual([]);
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

test(
  "a place in the queue is one more than those ahead who compete, and the first of all never waits without need",
  () => {
    fc.assert(
      fc.property(someMoment, ({ waiting, limit }) => {
        const started = admit(waiting, [], limit);
        waiting.forEach((seat, index) => {
          const ahead = waiting.slice(0, index).filter((other) => compete(other, seat, limit));
          const place = queuePositions(waiting, limit).get(seat.id);
          expect(place).toBe(1 + ahead.length);
          if (place === 1) expect(started).toContain(seat.id);
        });
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

test(
  "T12 whatever is launched, ended and cancelled, no slot is lost: in the end everybody has run",
  () => {
    const someStep = fc.oneof(
      fc.record({ do: fc.constant("launch" as const), model: someModel }),
      fc.record({ do: fc.constantFrom("end" as const, "cancel" as const), luck: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(someStep, { maxLength: 60, size: "max" }), someLimit, (steps, limit) => {
        let waiting: Seat[] = [];
        let running: Seat[] = [];
        const start = () => {
          const started = admit(waiting, running, limit);
          running = [...running, ...waiting.filter(({ id }) => started.includes(id))];
          waiting = waiting.filter(({ id }) => !started.includes(id));
          for (const { holdsFor, most } of rules(limit))
            expect(running.filter(holdsFor).length).toBeLessThanOrEqual(most);
        };
        const without = (seats: Seat[], luck: number) => seats.filter((_, index) => index !== luck % seats.length);
        steps.forEach((step, index) => {
          switch (step.do) {
            case "launch":
              waiting = [...waiting, { id: `task${index}`, model: step.model }];
              break;
            case "end":
              running = without(running, step.luck);
              break;
            case "cancel":
              waiting = without(waiting, step.luck);
          }
          start();
        });
        for (let left = waiting.length; left > 0; left = waiting.length) {
          running = running.slice(1);
          if (running.length === 0) {
            start();
            expect(waiting.length).toBeLessThan(left);
          } else start();
        }
      }),
      DRAWN,
    );
  },
  LONG_MS,
);

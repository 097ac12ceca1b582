import { expect, test } from "bun:test";
import { createOpencodeClient } from "@opencode-ai/sdk/client";
import { SessionTreeArgumentError, waitForSessionTree } from "../../src/index.ts";

const client = createOpencodeClient({ baseUrl: "http://127.0.0.1:9" });
const ID = "ses_000000000000aaaaaaaaaaaaaa";

test.each([
  ["client", [{}, ID, {}]],
  ["client", [undefined, ID, {}]],
  ["rootID", [client, "nonsense", {}]],
  ["rootID", [client, undefined, {}]],
  ["timeoutMs", [client, ID, { timeoutMs: 0 }]],
  ["timeoutMs", [client, ID, { timeoutMs: Number.NaN }]],
  ["timeoutMs", [client, ID, { timeoutMs: 2 ** 31 }]],
  ["signal", [client, ID, { signal: {} }]],
  ["options", [client, ID, { timeout: 5 }]],
  ["options", [client, ID, null]],
  ["options", [client, ID, 5_000]],
  ["onChange", [client, ID, { onChange: "log" }]],
])("a wrong %s is refused by name, and nothing is asked", async (argument, args) => {
  const wait = waitForSessionTree(...(args as unknown as Parameters<typeof waitForSessionTree>));
  const error = await wait.catch((refusal: unknown) => refusal);
  expect(error).toBeInstanceOf(SessionTreeArgumentError);
  expect(error).toMatchObject({ argument, message: expect.stringContaining("was expected") });
});

test("an option that there is not is named, with those that there are", async () => {
  const wait = waitForSessionTree(client, ID, { timeout: 5, onchange: () => undefined } as never);
  await expect(wait).rejects.toThrow(
    'options is with "timeout", "onchange"; an object with signal, onChange, timeoutMs, or none, was expected',
  );
});

test("where nobody listens the stream counts as closed, and that is an outcome", async () => {
  expect(await waitForSessionTree(client, ID)).toMatchObject({ kind: "stream-closed", state: { rootID: ID } });
});

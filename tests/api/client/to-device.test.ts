import { describe, expect, it } from "vitest";
import { loginAgain, type TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

/** The messages of one sync, and the token behind them. */
async function inbox(user: TestUser, since: string, timeout = 20_000) {
  const { body } = await user.get(`v3/sync?since=${since}&timeout=${timeout}`);
  const { events = [] } = Object(body.to_device);
  return { events, since: String(body.next_batch) };
}

const start = async (user: TestUser) => String((await user.get("v3/sync")).body.next_batch);

describe("sendToDevice", () => {
  it("reaches one device, once, until the token behind it is used", async () => {
    const alice = await server.user("alice");
    const bob = await server.user("bob");
    const other = await loginAgain(bob);
    const [since, sinceOther] = [await start(bob), await start(other)];
    const send = () =>
      alice.put("v3/sendToDevice/m.test/t1", { messages: { [bob.userId]: { [bob.deviceId]: { n: 1 } } } });
    expectOk(await send(), {});
    expectOk(await send(), {});
    const first = await inbox(bob, since);
    expect(first.events).toEqual([{ type: "m.test", sender: alice.userId, content: { n: 1 } }]);
    // The answer may have been lost.
    expect((await inbox(bob, since)).events).toHaveLength(1);
    expect((await inbox(bob, first.since, 0)).events).toEqual([]);
    expect((await inbox(bob, since, 0)).events).toEqual([]);
    expect((await inbox(other, sinceOther, 0)).events).toEqual([]);
  });

  it("reaches all devices by the wildcard", async () => {
    const carol = await server.user("carol");
    const dora = await server.user("dora");
    const devices = [dora, await loginAgain(dora)];
    const since = await Promise.all(devices.map(start));
    expectOk(await carol.put("v3/sendToDevice/m.test/t2", { messages: { [dora.userId]: { "*": { all: true } } } }));
    for (const [index, device] of devices.entries()) {
      expect((await inbox(device, since[index] ?? "")).events).toMatchObject([{ content: { all: true } }]);
    }
  });

  it("refuses messages of another shape", async () => {
    const erin = await server.user("erin");
    const send = (raw: string) => erin.request("PUT", path`v3/sendToDevice/m.test/${raw}`, { raw });
    expectError(await send("{}"), 400, "M_MISSING_PARAM");
    for (const raw of ['{"messages":1}', '{"messages":{"@a:b":1}}', '{"messages":{"@a:b":{"D":"x"}}}']) {
      expectError(await send(raw), 400, "M_BAD_JSON");
    }
    expectError(await send('{"messages":{"nobody":{"D":{}}}}'), 400, "M_INVALID_PARAM");
    expectOk(await send('{"messages":{"@nobody:localhost":{"D":{}},"@erin:localhost":{"__proto__":{}}}}'));
  });
});

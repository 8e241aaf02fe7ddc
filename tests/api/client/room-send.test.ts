import { describe, expect, it } from "vitest";
import { loginAgain, text } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, say, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("sendMessage", () => {
  it("sends once for a transaction id of a device, and again for another device", async () => {
    const alice = await server.user("alice");
    const roomId = await roomOf(alice);
    const at = path`v3/rooms/${roomId}/send/m.room.message/${"txn/1"}`;
    const first = text(await alice.put(at, { body: "a" }), "event_id");
    expect(text(await alice.put(at, { body: "b" }), "event_id")).toBe(first);
    const other = await loginAgain(alice);
    expect(text(await other.put(at, { body: "a" }), "event_id")).not.toBe(first);
    const event = await alice.get(path`v3/rooms/${roomId}/event/${first}`);
    expect(event.body).toMatchObject({ content: { body: "a" }, unsigned: { transaction_id: "txn/1" } });
    expect(
      Object((await other.get(path`v3/rooms/${roomId}/event/${first}`)).body.unsigned).transaction_id,
    ).toBeUndefined();
  });

  it("is for members", async () => {
    const [bob, carol] = [await server.user("bob"), await server.user("carol")];
    const roomId = await roomOf(bob);
    expectError(await carol.put(path`v3/rooms/${roomId}/send/m.room.message/1`, {}), 403, "M_FORBIDDEN");
    expectError(await carol.put(path`v3/rooms/${`!${"A".repeat(43)}`}/send/m.room.message/1`, {}), 403, "M_FORBIDDEN");
    expectError(await server.anybody().put(path`v3/rooms/${roomId}/send/m.room.message/1`, {}), 401, "M_MISSING_TOKEN");
  });

  it("takes JSON objects that are canonical, and nothing else", async () => {
    const dora = await server.user("dora");
    const roomId = await roomOf(dora);
    let txn = 0;
    const send = (raw: string | Uint8Array<ArrayBuffer>) => {
      txn += 1;
      return dora.request("PUT", path`v3/rooms/${roomId}/send/a.b/${String(txn)}`, { raw });
    };
    for (const raw of ["", "{", "not json", new Uint8Array([0x7b, 0xff, 0x7d])])
      expectError(await send(raw), 400, "M_NOT_JSON");
    for (const raw of ["[]", '"x"', '{"a":1.5}', '{"a":9007199254740992}', '{"a":1e300}', '{"a":"\\ud800"}']) {
      expectError(await send(raw), 400, "M_BAD_JSON");
    }
    const odd = '{"__proto__":{"a":1},"constructor":[],"toString":null,"2":2,"10":10}';
    const eventId = text(await send(odd), "event_id");
    const { text: stored } = await dora.get(path`v3/rooms/${roomId}/event/${eventId}`);
    expect(stored).toContain('"__proto__":{"a":1}');
    expect(Object.hasOwn(Object.prototype, "a")).toBe(false);
  });

  it("holds events to 64 KiB, bodies to 1 MiB, and nesting to 64", async () => {
    const erin = await server.user("erin");
    const roomId = await roomOf(erin);
    const send = (raw: string) => erin.request("PUT", path`v3/rooms/${roomId}/send/a.b/${String(raw.length)}`, { raw });
    expectOk(await send(JSON.stringify({ a: "x".repeat(60_000) })));
    expectError(await send(JSON.stringify({ a: "x".repeat(65_536) })), 413, "M_TOO_LARGE");
    expectError(await send(JSON.stringify({ a: "x".repeat(1_048_576 - 8) })), 413, "M_TOO_LARGE");
    expectError(await send(JSON.stringify({ a: "x".repeat(1_048_576 - 7) })), 413, "M_TOO_LARGE");
    expectError(await send(JSON.stringify({ a: "x".repeat(6_000_000) })), 413, "M_TOO_LARGE");
    const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${"}".repeat(depth - 1)}`;
    expectOk(await send(nested(60)));
    expectError(await send(nested(65)), 400, "M_NOT_JSON");
    expectError(await send(nested(100_000)), 400, "M_NOT_JSON");
    expect((await erin.get(path`v3/rooms/${roomId}/messages?dir=b&limit=100`)).text.length).toBeLessThan(100_000);
  });

  it("leaves nothing of what was said in the log", async () => {
    const frank = await server.user("frank");
    const roomId = await roomOf(frank);
    await say(frank, roomId, "between-you-and-me");
    await frank.request("PUT", path`v3/rooms/${roomId}/send/a.b/1`, { raw: '{"between-you-and-me' });
    await frank.put(path`v3/rooms/${roomId}/send/a.b/2`, { "between-you-and-me": 1.5 });
    expect(server.logs.join("\n")).toContain("sendMessage");
    expect(server.logs.join("\n")).not.toContain("between-you-and-me");
  });
});

describe("redactEvent", () => {
  it("takes away what an event said, and says who did", async () => {
    const gina = await server.user("gina");
    const roomId = await roomOf(gina);
    const eventId = await say(gina, roomId, "oops");
    const at = path`v3/rooms/${roomId}/redact/${eventId}/1`;
    const redactionId = text(await gina.put(at, { reason: "typo" }), "event_id");
    expect(text(await gina.put(at, { reason: "typo" }), "event_id")).toBe(redactionId);
    const { body } = await gina.get(path`v3/rooms/${roomId}/event/${eventId}`);
    expect(body.content).toEqual({});
    expect(body.unsigned).toMatchObject({
      redacted_because: { event_id: redactionId, content: { reason: "typo", redacts: eventId } },
    });
  });

  it("needs the power for what others said", async () => {
    const [hal, ida] = [await server.user("hal"), await server.user("ida")];
    const roomId = await roomOf(hal, ida);
    const eventId = await say(hal, roomId, "mine");
    expectError(await ida.put(path`v3/rooms/${roomId}/redact/${eventId}/1`, {}), 403, "M_FORBIDDEN");
    const theirs = await say(ida, roomId, "theirs");
    expectOk(await hal.put(path`v3/rooms/${roomId}/redact/${theirs}/2`));
    expectError(await hal.put(path`v3/rooms/${roomId}/redact/nonsense/3`, {}), 400, "M_INVALID_PARAM");
    expectError(await hal.put(path`v3/rooms/${roomId}/redact/${theirs}/4`, { reason: 4 }), 400, "M_BAD_JSON");
  });
});

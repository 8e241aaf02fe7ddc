import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { isObject, objectField } from "../../shared/json.ts";
import type { FederatedUser } from "../support/federation.ts";
import { away, day, hour, minute, OutboundScene, ok } from "../support/outbound-scene.ts";

let scene: OutboundScene;
let transactions = 0;

beforeEach(async () => {
  scene = await OutboundScene.open();
});
afterEach(() => scene.close());

/** Sends messages to devices. */
async function give(from: FederatedUser, messages: JsonObject) {
  transactions += 1;
  const txnId = `to-device ${transactions}`;
  return await from.put(`v3/sendToDevice/m.test/${encodeURIComponent(txnId)}`, { messages });
}

async function received(person: FederatedUser): Promise<JsonValue[]> {
  const events = objectField(await person.sync(), "to_device")?.events;
  return Array.isArray(events) ? events : [];
}

const messagesIn = (edus: readonly JsonObject[]): JsonObject[] => edus.map((edu) => objectField(edu, "messages") ?? {});

describe("sendToDevice to users of another server", () => {
  it("arrives once, in order, at each device", async () => {
    const bob = await scene.federation.server("two.test").user("bob");
    for (let n = 0; n < 120; n += 1) ok(await give(scene.alice, { [bob.userId]: { "*": { n } } }));
    await scene.federation.settle();
    const events = [...(await received(bob)), ...(await received(bob))];
    const sender = scene.alice.userId;
    expect(events).toEqual(Array.from({ length: 120 }, (_, n) => ({ type: "m.test", sender, content: { n } })));
  });

  it("arrives once where answers are lost, on either side", async () => {
    const bob = await scene.federation.server("two.test").user("bob");
    let turn = 0;
    scene.server.onCall = async (method, call) => {
      turn += 1;
      const answer = await call();
      if (method === "sendEdu" && turn % 2 === 0) throw new Error("reply lost");
      return answer;
    };
    for (let n = 0; n < 10; n += 1) ok(await give(scene.alice, { [bob.userId]: { "*": { n } } }));
    await scene.federation.advance(hour);
    expect((await received(bob)).map((event) => isObject(event) && event.content)).toEqual(
      Array.from({ length: 10 }, (_, n) => ({ n })),
    );
  });

  it("waits while the server is away, however long, and through the death of every actor", async () => {
    const two = scene.federation.server("two.test");
    const bob = await two.user("bob");
    two.isUp = false;
    for (let n = 0; n < 5; n += 1) {
      ok(await give(scene.alice, { [bob.userId]: { "*": { n } } }));
      await scene.federation.advance(day);
      scene.server.evict();
    }
    two.isUp = true;
    await scene.federation.advance(hour);
    expect(await received(bob)).toHaveLength(5);
    expect(scene.server.sql("server", "two.test").all("SELECT * FROM outbound_edus")).toEqual([]);
    expect(scene.server.sql("user", scene.alice.userId).all("SELECT * FROM to_device_outbox")).toEqual([]);
  });

  it("puts the users of one server into one EDU, and those of each server into its own", async () => {
    const [two, three] = [scene.peer("two.test"), scene.peer("three.test")];
    const everybody = ["@a:two.test", "@b:two.test", "@c:three.test"];
    ok(await give(scene.alice, Object.fromEntries(everybody.map((name) => [name, { "*": { for: name } }]))));
    await scene.federation.settle();
    expect(messagesIn(two.edus("m.direct_to_device"))).toEqual([
      { "@a:two.test": { "*": { for: "@a:two.test" } }, "@b:two.test": { "*": { for: "@b:two.test" } } },
    ]);
    expect(messagesIn(three.edus("m.direct_to_device"))).toEqual([
      { "@c:three.test": { "*": { for: "@c:three.test" } } },
    ]);
    const [edu] = two.edus("m.direct_to_device");
    expect(edu).toMatchObject({ sender: scene.alice.userId, type: "m.test" });
    expect([...String(edu?.message_id)].length).toBeLessThanOrEqual(32);
  });

  it("splits what is long by recipient, each part with an id of its own", async () => {
    const two = scene.peer("two.test");
    const content = { text: "x".repeat(20_000) };
    const messages = Object.fromEntries(
      Array.from({ length: 10 }, (_, n) => [`@u${n}:two.test`, { A: content, B: content }]),
    );
    ok(await give(scene.alice, messages));
    await scene.federation.settle();
    const edus = two.edus("m.direct_to_device");
    expect(edus.every((edu) => JSON.stringify(edu).length <= 65_536)).toBe(true);
    expect(edus.length).toBe(10);
    expect(new Set(edus.map((edu) => edu.message_id)).size).toBe(10);
    expect(Object.assign({}, ...messagesIn(edus))).toMatchObject(messages);
  });

  it("sends keys that name a prototype as what they are", async () => {
    const two = scene.peer("two.test");
    const body = '{"messages":{"@a:two.test":{"__proto__":{"n":1},"constructor":{"n":2}}}}';
    ok(await scene.alice.put("v3/sendToDevice/m.test/proto", JSON.parse(body)));
    await scene.federation.settle();
    expect(JSON.stringify(messagesIn(two.edus("m.direct_to_device")))).toBe(
      '[{"@a:two.test":{"__proto__":{"n":1},"constructor":{"n":2}}}]',
    );
  });

  it("leaves room for other things in a transaction when very many wait", async () => {
    const two = scene.peer("two.test");
    const roomId = await scene.room(two);
    two.respond = away;
    for (let n = 0; n < 300; n += 1) ok(await give(scene.alice, { "@a:two.test": { "*": { n } } }));
    await scene.say(roomId, "hello");
    await scene.federation.settle();
    two.transactions.length = 0;
    two.respond = () => null;
    await scene.federation.advance(hour);
    const [, second] = two.transactions;
    expect(second?.pdus).toHaveLength(1);
    const order = messagesIn(two.edus("m.direct_to_device")).map((messages) => JSON.stringify(messages));
    expect([...new Set(order)]).toHaveLength(300);
    expect([...new Set(order)].at(-1)).toContain('"n":299');
  });

  it("keeps at most 10,000 for a server, and drops the oldest beyond", async () => {
    const two = scene.peer("two.test");
    two.respond = away;
    const actor = scene.server.actors.server(two.name);
    await actor.sendEdu({ id: "first", edu: { edu_type: "m.test", content: {} } });
    await scene.federation.settle();
    const sql = scene.server.sql("server", two.name);
    sql.run(`WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
      INSERT INTO outbound_edus (edu_nid, edu_id, size, json) SELECT i, 'id' || i, 2, '{}' FROM n`);
    scene.server.evict();
    await actor.sendEdu({ id: "last", edu: { edu_type: "m.test", content: {} } });
    expect(sql.one("SELECT COUNT(*) AS count, MIN(edu_nid) AS oldest FROM outbound_edus")).toEqual({
      count: 10_000,
      oldest: 2,
    });
    expect(scene.server.logged.some(({ message }) => message.startsWith("EDUs dropped"))).toBe(true);
    await scene.federation.advance(minute);
  });
});

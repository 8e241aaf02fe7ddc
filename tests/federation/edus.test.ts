/** EDUs of another server: each speaks only for its own users, only where they are, and never holds up the others. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { type FederatedUser, Federation } from "../support/federation.ts";
import { user } from "../support/room-builder.ts";
import { joinByPeer, type SharedRoom, send, shareRoom } from "../support/shared-room.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;
let shared: SharedRoom;

beforeEach(async () => {
  federation = new Federation();
  shared = await shareRoom(federation);
  await shared.alice.sync();
});
afterEach(() => federation.close());

const list = (value: JsonValue | undefined): JsonObject[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** The ephemeral events of the room that a user's next sync brings, by type. */
async function ephemeral(person: FederatedUser, roomId = shared.roomId): Promise<Record<string, JsonObject>> {
  const rooms = objectField(objectField(await person.sync(), "rooms") ?? {}, "join") ?? {};
  const events = list(objectField(objectField(rooms, roomId) ?? {}, "ephemeral")?.events);
  return Object.fromEntries(events.map((event) => [String(event.type), objectField(event, "content") ?? {}]));
}

const minute = 60_000;
const waitingReceipts = (): number =>
  shared.server.sql("server", "peer.test").one<{ count: number }>("SELECT COUNT(*) AS count FROM inbox_receipts")
    ?.count ?? 0;

const typing = (changes: JsonObject = {}): JsonObject => ({
  edu_type: "m.typing",
  content: { room_id: shared.roomId, user_id: shared.bob, typing: true, ...changes },
});

async function shutOut(): Promise<void> {
  const path = `v3/rooms/${encodeURIComponent(shared.roomId)}/state/m.room.server_acl`;
  expect((await shared.alice.put(path, { allow: ["*"], deny: ["peer.test"] })).status).toBe(200);
  await shared.alice.sync();
}

describe("m.typing", () => {
  it("reaches users here, and ends when its server says so", async () => {
    await send(shared, { edus: [typing()] });
    expect(await ephemeral(shared.alice)).toEqual({ "m.typing": { user_ids: [shared.bob] } });
    await send(shared, { edus: [typing({ typing: false })] });
    expect(await ephemeral(shared.alice)).toEqual({ "m.typing": { user_ids: [] } });
  });

  it("ends by itself after a minute", async () => {
    await send(shared, { edus: [typing()] });
    await ephemeral(shared.alice);
    await federation.advance(61_000);
    expect(await ephemeral(shared.alice)).toEqual({ "m.typing": { user_ids: [] } });
  });

  it.each([
    ["for a user of ours (R14)", () => typing({ user_id: shared.alice.userId })],
    ["for a user of a third server", () => typing({ user_id: "@eve:third.test" })],
    ["for a user who is not in the room", () => typing({ user_id: "@nobody:peer.test" })],
    ["for what is no user", () => typing({ user_id: "bob" })],
    ["in a room that nobody knows", () => typing({ room_id: "!nowhere:one.test" })],
    ["in what is no room", () => typing({ room_id: 7 })],
    ["without saying what", () => typing({ typing: "yes" })],
    ["without content", () => ({ edu_type: "m.typing" })],
  ])("has no effect %s", async (_name, edu) => {
    const answer = await send(shared, { edus: [edu()] });
    expect([answer.status, answer.json]).toEqual([200, { pdus: {} }]);
    expect(await ephemeral(shared.alice)).toEqual({});
  });

  it("has no effect from a server that the ACL shuts out (R5)", async () => {
    await shutOut();
    await send(shared, { edus: [typing()] });
    expect(await ephemeral(shared.alice)).toEqual({});
  });

  it("has no effect where this server is not in the room", async () => {
    await shared.alice.post(`v3/rooms/${encodeURIComponent(shared.roomId)}/leave`);
    expect((await send(shared, { edus: [typing()] })).status).toBe(200);
    const row = shared.server.sql("room", shared.roomId).one<{ typing: string }>("SELECT typing FROM room");
    expect(row?.typing).toBe("{}");
  });
});

describe("m.receipt", () => {
  const receipt = (eventIds: JsonValue, changes: JsonObject = {}, at: JsonObject = {}): JsonObject => {
    const { userId = shared.bob, roomId = shared.roomId, type = "m.read" } = at;
    const entry = { event_ids: eventIds, data: { ts: 1_234, ...changes } };
    return { edu_type: "m.receipt", content: { [String(roomId)]: { [String(type)]: { [String(userId)]: entry } } } };
  };

  it("reaches users here, for an event of the same transaction too", async () => {
    const message = shared.built.message(shared.bob, "hello");
    await send(shared, { pdus: [message], edus: [receipt([message.eventId])] });
    expect((await ephemeral(shared.alice))["m.receipt"]).toEqual({
      [message.eventId]: { "m.read": { [shared.bob]: { ts: 1_234 } } },
    });
  });

  it("may come before the event that it is for", async () => {
    const message = shared.built.message(shared.bob, "hello");
    await send(shared, { edus: [receipt([message.eventId])] });
    expect(await ephemeral(shared.alice)).toEqual({});
    await send(shared, { pdus: [message] });
    expect((await ephemeral(shared.alice))["m.receipt"]).toEqual({
      [message.eventId]: { "m.read": { [shared.bob]: { ts: 1_234 } } },
    });
  });

  it("waits for its event, also where the room forgets it meanwhile", async () => {
    const message = shared.built.message(shared.bob, "hello");
    await send(shared, { edus: [receipt([message.eventId])] });
    shared.server.evict();
    await send(shared, { pdus: [message] });
    await federation.advance(minute);
    expect((await ephemeral(shared.alice))["m.receipt"]).toEqual({
      [message.eventId]: { "m.read": { [shared.bob]: { ts: 1_234 } } },
    });
    expect(waitingReceipts()).toBe(0);
  });

  it("is told again to a room that could not be told", async () => {
    const message = shared.built.message(shared.bob, "hello");
    let failures = 0;
    shared.server.onCall = async (method, call) => {
      if (method !== "receiveEphemeral" || failures === 3) return await call();
      failures += 1;
      throw new Error("the room is busy");
    };
    expect((await send(shared, { pdus: [message], edus: [receipt([message.eventId])] })).status).toBe(200);
    expect(waitingReceipts()).toBe(1);
    await federation.advance(2 * minute);
    expect((await ephemeral(shared.alice))["m.receipt"]).toEqual({
      [message.eventId]: { "m.read": { [shared.bob]: { ts: 1_234 } } },
    });
    expect(waitingReceipts()).toBe(0);
  });

  it("waits for an event that there is not for a day, with 199 others of its server at most", async () => {
    const users: JsonObject = {};
    for (let index = 0; index < 250; index += 1) {
      const data = { ts: 1, thread_id: index === 0 ? "main" : `$thread${index}` };
      const edu = { [shared.bob]: { event_ids: ["$nothing"], data } };
      users[String(index)] = edu;
    }
    const edus = Object.values(users).map((entry) => ({
      edu_type: "m.receipt",
      content: { [shared.roomId]: { "m.read": entry } },
    }));
    for (let start = 0; start < edus.length; start += 100) {
      expect((await send(shared, { edus: edus.slice(start, start + 100) })).status).toBe(200);
    }
    expect(waitingReceipts()).toBe(200);
    await federation.advance(20 * 60 * minute);
    expect(waitingReceipts()).toBe(200);
    await federation.advance(6 * 60 * minute);
    expect(waitingReceipts()).toBe(0);
  });

  it("never goes back", async () => {
    const [first, second] = ["a", "b"].map((text) => shared.built.message(shared.bob, text));
    await send(shared, { pdus: [first?.pdu ?? {}, second?.pdu ?? {}], edus: [receipt([second?.eventId ?? ""])] });
    await shared.alice.sync();
    await send(shared, { edus: [receipt([first?.eventId ?? ""])] });
    expect(await ephemeral(shared.alice)).toEqual({});
  });

  it("may be for a thread", async () => {
    const { built, bob } = shared;
    const root = built.message(bob, "root");
    const reply = built.send({
      sender: bob,
      type: "m.room.message",
      content: { body: "reply", "m.relates_to": { rel_type: "m.thread", event_id: root.eventId } },
    });
    await send(shared, { pdus: [root, reply], edus: [receipt([reply.eventId], { thread_id: root.eventId })] });
    expect((await ephemeral(shared.alice))["m.receipt"]).toEqual({
      [reply.eventId]: { "m.read": { [bob]: { ts: 1_234, thread_id: root.eventId } } },
    });
  });

  it.each([
    ["of a user of ours (R14)", (id: string) => receipt([id], {}, { userId: shared.alice.userId })],
    ["of a user of a third server", (id: string) => receipt([id], {}, { userId: "@eve:third.test" })],
    ["of a user who is not in the room", (id: string) => receipt([id], {}, { userId: "@nobody:peer.test" })],
    ["for an event that is not here", () => receipt(["$nothing"])],
    ["for no event", () => receipt([])],
    ["for what is no event", () => receipt([7])],
    ["in another room", (id: string) => receipt([id], {}, { roomId: "!nowhere:one.test" })],
    ["of another type", (id: string) => receipt([id], {}, { type: "m.read.private" })],
    ["for a thread that there is not", (id: string) => receipt([id], { thread_id: "$nothing" })],
    ["for what is no thread", (id: string) => receipt([id], { thread_id: "x" })],
    ["for a thread that is no text", (id: string) => receipt([id], { thread_id: 7 })],
  ])("has no effect %s", async (_name, edu) => {
    const message = shared.built.message(shared.bob, "hello");
    await send(shared, { pdus: [message] });
    await shared.alice.sync();
    expect((await send(shared, { edus: [edu(message.eventId)] })).status).toBe(200);
    expect(await ephemeral(shared.alice)).toEqual({});
  });

  it("has no effect from a server that the ACL shuts out (R5)", async () => {
    const message = shared.built.message(shared.bob, "hello");
    await send(shared, { pdus: [message] });
    await shutOut();
    await send(shared, { edus: [receipt([message.eventId])] });
    expect(await ephemeral(shared.alice)).toEqual({});
  });

  it("bears our time where its own is nonsense", async () => {
    const message = shared.built.message(shared.bob, "hello");
    await send(shared, { pdus: [message], edus: [receipt([message.eventId], { ts: -1.5 })] });
    expect((await ephemeral(shared.alice))["m.receipt"]).toEqual({
      [message.eventId]: { "m.read": { [shared.bob]: { ts: federation.clock.now() } } },
    });
  });

  it("of a poisonous name harms nobody", async () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const message = shared.built.message(shared.bob, name);
      const poison = JSON.parse(`{"${name}": {"m.read": {"${name}": {"event_ids": ["$a"]}}}}`);
      const answer = await send(shared, {
        pdus: [message],
        edus: [{ edu_type: name, content: {} }, { edu_type: "m.receipt", content: poison }, receipt([message.eventId])],
      });
      expect(answer.status, answer.text).toBe(200);
      expect(JSON.stringify(await ephemeral(shared.alice))).toContain(message.eventId);
    }
  });
});

function nested(depth: number): JsonObject {
  return depth === 0 ? {} : { a: nested(depth - 1) };
}

describe("m.direct_to_device", () => {
  const message = (changes: JsonObject = {}): JsonObject => ({
    edu_type: "m.direct_to_device",
    content: {
      sender: shared.bob,
      type: "m.test",
      message_id: "m1",
      messages: { [shared.alice.userId]: { "*": { n: 1 } } },
      ...changes,
    },
  });

  const received = async (person: FederatedUser): Promise<JsonObject[]> =>
    list(objectField(await person.sync(), "to_device")?.events);

  it("reaches the devices of a user here, once", async () => {
    for (let n = 0; n < 2; n += 1) expect((await send(shared, { edus: [message()] })).status).toBe(200);
    expect(await received(shared.alice)).toEqual([{ sender: shared.bob, type: "m.test", content: { n: 1 } }]);
  });

  it("keeps its order", async () => {
    const edus = Array.from({ length: 30 }, (_, n) =>
      message({ message_id: `m${n}`, messages: { [shared.alice.userId]: { "*": { n } } } }),
    );
    await send(shared, { edus });
    expect((await received(shared.alice)).map(({ content }) => content)).toEqual(edus.map((_, n) => ({ n })));
  });

  it("needs no room that both are in", async () => {
    const dave = await shared.server.user("dave");
    await send(shared, { edus: [message({ messages: { [dave.userId]: { "*": { n: 2 } } } })] });
    expect(await received(dave)).toHaveLength(1);
  });

  it.each([
    ["by a user of ours", () => message({ sender: shared.alice.userId })],
    ["by a user of a third server", () => message({ sender: "@eve:third.test" })],
    ["without an id", () => message({ message_id: null })],
    ["with an id of 33 characters", () => message({ message_id: "x".repeat(33) })],
    ["with a type that is too long", () => message({ type: "x".repeat(256) })],
    [
      "with a content of more than 64 KiB",
      () => message({ messages: { [shared.alice.userId]: { "*": { a: "x".repeat(70_000) } } } }),
    ],
    [
      "with a content that nests too deeply",
      () => message({ messages: { [shared.alice.userId]: { "*": nested(70) } } }),
    ],
    ["with a content that is no object", () => message({ messages: { [shared.alice.userId]: { "*": "x" } } })],
    ["for no devices", () => message({ messages: { [shared.alice.userId]: "x" } })],
    ["for a device that there is not", () => message({ messages: { [shared.alice.userId]: { GONE: { n: 1 } } } })],
  ])("has no effect %s", async (_name, edu) => {
    expect((await send(shared, { edus: [edu()] })).status).toBe(200);
    expect(await received(shared.alice)).toEqual([]);
    // And the next one arrives.
    await send(shared, { edus: [message({ message_id: "next" })] });
    expect(await received(shared.alice)).toHaveLength(1);
  });

  it("with an id of 32 characters beyond the basic plane is taken", async () => {
    await send(shared, { edus: [message({ message_id: "😀".repeat(32) })] });
    expect(await received(shared.alice)).toHaveLength(1);
  });

  it("leaves nothing behind at a name that nobody has, nor for one who is deactivated (R76)", async () => {
    const dave = await shared.server.user("dave");
    const auth = {
      type: "m.login.password",
      identifier: { type: "m.id.user", user: "dave" },
      password: "a good password",
    };
    const { body } = await dave.post("v3/account/deactivate");
    const gone = await dave.post("v3/account/deactivate", { auth: { ...auth, session: body.session ?? "" } });
    expect(gone.status, gone.text).toBe(200);
    const names = [dave.userId, ...Array.from({ length: 20 }, (_, n) => `@nobody${n}:one.test`)];
    const messages = Object.fromEntries(names.map((name) => [name, { "*": { n: 1 } }]));
    await send(shared, { edus: [message({ messages })] });
    for (const name of names) {
      const rows = shared.server.sql("user", name).all("SELECT * FROM to_device_received");
      expect(rows).toEqual([]);
    }
  });

  it("for users of other servers is not passed on", async () => {
    const other = new TestPeer(federation, "third.test");
    await send(shared, { edus: [message({ messages: { "@eve:third.test": { "*": { n: 1 } } } })] });
    await federation.settle();
    expect(other.received).toEqual([]);
  });
});

describe("EDUs that this server has no use for yet", () => {
  it("are refused by name, once in the log, and the others are taken", async () => {
    const edus = ["m.presence", "m.device_list_update", "m.signing_key_update", "org.example.a", "org.example.b"].map(
      (type): JsonObject => ({ edu_type: type, content: { user_id: shared.bob } }),
    );
    const answer = await send(shared, { edus: [...edus, ...edus, typing()] });
    expect(answer.json).toEqual({ pdus: {} });
    expect(await ephemeral(shared.alice)).toEqual({ "m.typing": { user_ids: [shared.bob] } });
    const refused = shared.server.logged.filter(({ message }) => message === "edu refused");
    expect(refused.map(({ fields }) => fields.edu_type)).toEqual([
      "m.presence",
      "m.device_list_update",
      "m.signing_key_update",
      "unknown",
    ]);
  });
});

describe("a room", () => {
  it("lets a server speak for its own users only, whoever asks", async () => {
    const { server, bob } = shared;
    const [origin, roomId] = [trusted.serverName("third.test"), trusted.roomId(shared.roomId)];
    await server.actors.room(roomId).receiveEphemeral({
      origin,
      typing: [{ userId: bob, isTyping: true }],
      receipts: [],
    });
    expect(await ephemeral(shared.alice)).toEqual({});
  });
});

describe("two servers in a room", () => {
  it("each speak for their own users only", async () => {
    const { server, roomId } = shared;
    const other = new TestPeer(federation, "third.test");
    const eve = user("@eve:third.test");
    await joinByPeer({ federation, server, peer: other, roomId, version: "12" }, eve);
    await shared.alice.sync();
    await send({ server, peer: other }, { edus: [typing(), typing({ user_id: eve })] });
    expect(await ephemeral(shared.alice)).toEqual({ "m.typing": { user_ids: [eve] } });
  });
});

/** Transactions of another server: what becomes of each event, repeats, limits, and failures half way. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JsonObject, objectField, withFields } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { signEvent } from "../../shared/matrix/signing.ts";
import { type FederatedServer, Federation } from "../support/federation.ts";
import { user } from "../support/room-builder.ts";
import { eventAt, messagesSeen, type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";
import { TestPeer } from "../support/test-peer.ts";
import { wrapActors } from "../support/wrap-actors.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

const versions = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];
const ours = "one.test";

const room = (version = "12", body: JsonObject = {}) => shareRoom(federation, version, body);

/** event id → error; null: none. */
function resultsOf(answer: { body: JsonObject }): Record<string, string | null> {
  const pdus = Object.entries(objectField(answer.body, "pdus") ?? {});
  return Object.fromEntries(pdus.map(([id, result]) => [id, errorOf(result)]));
}

function errorOf(result: JsonObject[string] | undefined): string | null {
  const text = JSON.stringify(result);
  return text === "{}" ? null : text;
}

/** The event with changes, hashed and signed anew by its server. */
function changed({ built, peer }: SharedRoom, event: MatrixEvent, changes: JsonObject): JsonObject {
  const pdu = withFields(event.pdu, { ...changes, signatures: undefined, hashes: undefined });
  return signEvent(pdu, built.rules, peer.name, peer.key);
}

async function setLocally({ alice, roomId }: SharedRoom, type: string, content: JsonObject, key = ""): Promise<void> {
  const reply = await alice.put(
    `v3/rooms/${encodeURIComponent(roomId)}/state/${type}/${encodeURIComponent(key)}`,
    content,
  );
  expect(reply.status, reply.text).toBe(200);
}

describe("sendTransaction", () => {
  it.each(versions)("brings a message to a user here, in room version %s", async (version) => {
    const shared = await room(version);
    await shared.alice.sync();
    const message = shared.built.message(shared.bob, "hello");

    const answer = await send(shared, { pdus: [message] });

    expect(answer.status, answer.text).toBe(200);
    expect(answer.json).toEqual({ pdus: { [message.eventId]: {} } });
    expect(JSON.stringify(await shared.alice.sync())).toContain("hello");
  });

  it("takes 50 events and 100 EDUs, and no more", async () => {
    const shared = await room();
    const events = Array.from({ length: 51 }, (_, index) => shared.built.message(shared.bob, `m${index}`));
    const edus = Array.from({ length: 101 }, () => ({ edu_type: "m.typing", content: {} }));
    expect((await send(shared, { pdus: events })).status).toBe(400);
    expect((await send(shared, { edus })).status).toBe(400);
    const answer = await send(shared, { pdus: events.slice(0, 50), edus: edus.slice(0, 100) });
    expect(answer.status, answer.text).toBe(200);
    expect(Object.values(resultsOf(answer))).toEqual(Array.from({ length: 50 }, () => null));
    expect(await messagesSeen(shared.alice, shared.roomId)).toHaveLength(50);
  });

  it("takes a body without EDUs, or without events", async () => {
    const shared = await room();
    const path = "/_matrix/federation/v1/send/";
    for (const [index, body] of [{ pdus: [] }, { edus: [] }, {}].entries()) {
      const answer = await shared.peer.request(shared.server, "PUT", `${path}t${index}`, body);
      expect(answer.json).toEqual({ pdus: {} });
    }
  });

  it("refuses what is no list, and a body that is too large", async () => {
    const shared = await room();
    const path = "/_matrix/federation/v1/send/t";
    expect((await shared.peer.request(shared.server, "PUT", path, { pdus: {} })).status).toBe(400);
    const large = { pdus: [{ room_id: "x".repeat(200 * 65_536) }] };
    expect((await shared.peer.request(shared.server, "PUT", path, large)).status).toBe(413);
  });

  it("is only for servers that sign", async () => {
    const shared = await room();
    const options = { authorization: null };
    const answer = await shared.peer.request(shared.server, "PUT", "/_matrix/federation/v1/send/t", {}, options);
    expect(answer.status).toBe(401);
  });
});

describe("one bad event", () => {
  const kinds: [string, (shared: SharedRoom, event: MatrixEvent) => JsonObject[string]][] = [
    ["is not signed", (_, event) => withFields(event.pdu, { signatures: {} })],
    ["is no object", () => ["x"]],
    ["is empty", () => ({})],
    ["is of an unknown room", (_, event) => withFields(event.pdu, { room_id: "!nowhere:one.test" })],
    ["is nested deeply", (_, event) => withFields(event.pdu, { content: nested(200) })],
    ["is too large", (_, event) => withFields(event.pdu, { content: { body: "x".repeat(70_000) } })],
    ["has a float", (shared, event) => withUnsigned(shared, event, { content: { n: 1.5 } })],
    ["has a negative zero as its depth", (shared, event) => withUnsigned(shared, event, { depth: -0 })],
    ["has a depth beyond 2^53", (shared, event) => withUnsigned(shared, event, { depth: 2 ** 60 })],
    ["names 11 auth events", (shared, event) => changed(shared, event, { auth_events: ids(11) })],
    ["names 21 prev events", (shared, event) => changed(shared, event, { prev_events: ids(21) })],
    ["claims a local sender", (shared, event) => changed(shared, event, { sender: shared.alice.userId })],
  ];

  /** Those have no event id, which follows from a room that is known and from canonical JSON; or are not looked at. */
  const namelessKinds = new Set([
    "is no object",
    "is empty",
    "is of an unknown room",
    "is too large",
    "has a depth beyond 2^53",
  ]);

  const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `$${String(i).padStart(43, "a")}`);

  /** With values that cannot be signed. */
  const withUnsigned = (_: SharedRoom, event: MatrixEvent, changes: JsonObject) => withFields(event.pdu, changes);

  function nested(depth: number): JsonObject {
    return depth === 0 ? {} : { a: nested(depth - 1) };
  }

  it.each(kinds)("does not keep out the others: one that %s (R26, R27, R31)", async (name, spoil) => {
    const shared = await room();
    const { built, bob } = shared;
    const bad = built.fork().message(bob, "bad");
    const good = Array.from({ length: 4 }, (_unused, index) => built.message(bob, `m${index}`));
    const pdus: JsonObject[string][] = good.map((event) => event.pdu);
    pdus.splice(2, 0, spoil(shared, bad));
    const path = "/_matrix/federation/v1/send/t1";
    const answer = await shared.peer.request(shared.server, "PUT", path, { pdus });
    expect(answer.status, answer.text).toBe(200);
    const results = resultsOf(answer);
    for (const { eventId } of good) expect(results[eventId]).toBeNull();
    const others = Object.keys(results).filter((id) => !good.some(({ eventId }) => id === eventId));
    expect(others).toHaveLength(namelessKinds.has(name) ? 0 : 1);
    for (const eventId of others) expect(results[eventId]).toBeTypeOf("string");
    expect(await messagesSeen(shared.alice, shared.roomId)).toEqual(["m0", "m1", "m2", "m3"]);
    expect(shared.server.logged.filter(({ level }) => level === "error")).toEqual([]);
    // And the room goes on both ways.
    const next = built.message(bob, "next");
    expect(resultsOf(await send(shared, { pdus: [next] }))).toEqual({ [next.eventId]: null });
    await setLocally(shared, "m.room.name", { name: "Attic" });
  });

  it("of 50 is the only one that is not taken, at each place", async () => {
    const shared = await room();
    const { built, bob } = shared;
    for (let place = 0; place < 50; place += 1) {
      const bad = withFields(built.fork().message(bob, "bad").pdu, { signatures: {} });
      const good = Array.from({ length: 49 }, (_, index) => built.message(bob, `${place} ${index}`));
      const pdus = [...good.slice(0, place), bad, ...good.slice(place)];
      const results = Object.values(resultsOf(await send(shared, { pdus })));
      expect(results.filter((error) => error === null)).toHaveLength(49);
      expect(results.filter((error) => error !== null)).toHaveLength(1);
    }
    expect(statusOf(shared, built.message(bob, "last").eventId)).toBeNull();
  });
});

describe("an event that the rules refuse", () => {
  it("is rejected: nobody sees it, it is in no state, and what follows it is judged by itself (R10)", async () => {
    const shared = await room();
    const { built, bob } = shared;
    const rejected = built.make({ sender: bob, type: "m.room.name", stateKey: "", content: { name: "Mine" } });
    const after = built.make({
      sender: bob,
      type: "m.room.message",
      content: { msgtype: "m.text", body: "after" },
      prevEvents: [rejected.eventId],
    });
    const answer = await send(shared, { pdus: [rejected, after] });
    expect(resultsOf(answer)).toEqual({ [rejected.eventId]: null, [after.eventId]: null });
    expect([statusOf(shared, rejected.eventId), statusOf(shared, after.eventId)]).toEqual(["rejected", "accepted"]);
    const name = await shared.alice.get(`v3/rooms/${encodeURIComponent(shared.roomId)}/state/m.room.name`);
    expect(name.status).toBe(404);
    expect(JSON.stringify(await shared.alice.sync())).not.toContain("Mine");
  });

  it("now, but not then, is soft-failed: it is not shown, and nothing of ours follows it", async () => {
    const shared = await room();
    const { built, bob, alice } = shared;
    const banned = await alice.post(`v3/rooms/${encodeURIComponent(shared.roomId)}/ban`, { user_id: bob });
    expect(banned.status, banned.text).toBe(200);
    const evasive = built.message(bob, "still here");
    expect(resultsOf(await send(shared, { pdus: [evasive] }))).toEqual({ [evasive.eventId]: null });
    expect(statusOf(shared, evasive.eventId)).toBe("soft_failed");
    expect(await messagesSeen(alice, shared.roomId)).toEqual([]);
    const own = await alice.put(`v3/rooms/${encodeURIComponent(shared.roomId)}/send/m.room.message/1`, { body: "x" });
    expect(eventAt(shared, String(own.body.event_id)).prevEvents).not.toContain(evasive.eventId);
  });

  it("speaks for a user of ours, is not taken (R13)", async () => {
    const shared = await room("10");
    const carol = `@carol:${ours}`;
    await shared.server.user("carol");
    const forged = shared.built.make({
      sender: user(carol),
      type: "m.room.member",
      stateKey: carol,
      content: { membership: "join" },
    });
    const signedByPeer = signEvent(forged.pdu, shared.built.rules, shared.peer.name, shared.peer.key);
    const results = resultsOf(await send(shared, { pdus: [signedByPeer, forged] }));
    expect(Object.values(results).every((error) => error !== null)).toBe(true);
    expect(statusOf(shared, forged.eventId)).toBeNull();
  });
});

describe("a server that the room's ACL shuts out (R5)", () => {
  it("is told so for each of its events, and nothing is taken", async () => {
    const shared = await room();
    await setLocally(shared, "m.room.server_acl", { allow: ["*"], deny: ["peer.test"] });
    const messages = [1, 2, 3].map((n) => shared.built.message(shared.bob, `m${n}`));
    const answer = await send(shared, { pdus: messages });
    expect(answer.status).toBe(200);
    for (const { eventId } of messages) {
      expect(resultsOf(answer)[eventId]).toContain("ACL");
      expect(statusOf(shared, eventId)).toBeNull();
    }
  });
});

describe("a room that this server is not in", () => {
  it("takes nothing", async () => {
    const shared = await room();
    const left = await shared.alice.post(`v3/rooms/${encodeURIComponent(shared.roomId)}/leave`);
    expect(left.status).toBe(200);
    const leave = shared.server
      .sql("room", shared.roomId)
      .one<{ event_id: string }>("SELECT event_id FROM events ORDER BY event_nid DESC LIMIT 1");
    shared.built.append(eventAt(shared, leave?.event_id ?? ""));
    const message = shared.built.message(shared.bob, "anybody?");
    expect((await send(shared, { pdus: [message] })).json).toEqual({ pdus: {} });
    expect(statusOf(shared, message.eventId)).toBeNull();
  });
});

describe("a repeat", () => {
  it("is answered as the first time, also by a new instance, and nothing is done twice", async () => {
    const shared = await room();
    const bad = withFields(shared.built.fork().message(shared.bob, "bad").pdu, { signatures: {} });
    const pdus = [shared.built.message(shared.bob, "once"), bad];
    const first = await send(shared, { pdus, txnId: "same" });
    shared.server.evict("server", "peer.test");
    const positions = () => shared.server.sql("room", shared.roomId).all("SELECT event_nid FROM events").length;
    const before = positions();
    let calls = 0;
    watchRooms(shared.server, () => {
      calls += 1;
    });
    expect((await send(shared, { pdus, txnId: "same" })).text).toBe(first.text);
    expect(calls).toBe(0);
    expect(positions()).toBe(before);
  });

  it("with another body is another transaction: nothing is lost", async () => {
    const shared = await room();
    const [first, second] = ["a", "b"].map((text) => shared.built.message(shared.bob, text));
    await send(shared, { pdus: [first?.pdu ?? {}], txnId: "same" });
    const answer = await send(shared, { pdus: [second?.pdu ?? {}], txnId: "same" });
    expect(Object.keys(resultsOf(answer))).toEqual([second?.eventId]);
    expect(await messagesSeen(shared.alice, shared.roomId)).toEqual(["a", "b"]);
  });

  it("that comes while the first is being taken waits for it", async () => {
    const shared = await room();
    const slow = stall(shared.server);
    const pdus = [shared.built.message(shared.bob, "once")];
    const answers = [send(shared, { pdus, txnId: "same" }), send(shared, { pdus, txnId: "same" })];
    await slow.reached;
    slow.release();
    const [first, second] = await Promise.all(answers);
    expect(second?.text).toBe(first?.text);
    expect(slow.calls()).toBe(1);
  });

  it("of the last transactions only is remembered", async () => {
    const shared = await room();
    for (let n = 0; n < 40; n += 1) await send(shared, { pdus: [shared.built.message(shared.bob, `m${n}`)] });
    const rows = shared.server.sql("server", "peer.test").all("SELECT slot FROM inbox_transactions");
    expect(rows).toHaveLength(16);
  });
});

describe("transactions of one server", () => {
  it("are taken one after the other", async () => {
    const shared = await room();
    const slow = stall(shared.server);
    const [first, second] = ["a", "b"].map((text) => shared.built.message(shared.bob, text));
    const answers = [send(shared, { pdus: [first?.pdu ?? {}] }), send(shared, { pdus: [second?.pdu ?? {}] })];
    await slow.reached;
    expect(slow.calls()).toBe(1);
    slow.release();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
    expect(await messagesSeen(shared.alice, shared.roomId)).toEqual(["a", "b"]);
  });

  it("are not held up by one that hangs for more than a minute (R28)", async () => {
    const shared = await room();
    const slow = stall(shared.server);
    const hanging = send(shared, { pdus: [shared.built.message(shared.bob, "a")] });
    await slow.reached;
    slow.restore();
    federation.tick(61_000);
    const next = shared.built.message(shared.bob, "b");
    expect((await send(shared, { pdus: [next] })).status).toBe(200);
    slow.release();
    expect((await hanging).status).toBe(200);
  });

  it("are refused beyond three at a time and 50 in a second, where rates are limited", async () => {
    federation.server(ours, { RATE_LIMITS: "on" });
    const shared = await room();
    const slow = stall(shared.server);
    const message = () => ({ pdus: [shared.built.message(shared.bob, "m")] });
    const running = [send(shared, message()), send(shared, message()), send(shared, message())];
    await slow.reached;
    const refused = await send(shared, message());
    expect([refused.status, refused.body.errcode]).toEqual([429, "M_LIMIT_EXCEEDED"]);
    slow.release();
    await Promise.all(running);
    slow.restore();
    const statuses = [];
    for (let n = 0; n < 60; n += 1) statuses.push((await send(shared, {})).status);
    expect(statuses.filter((status) => status === 429)).toHaveLength(13);
    federation.tick(1_001);
    expect((await send(shared, {})).status).toBe(200);
  });
});

describe("a transaction during which something breaks (R28)", () => {
  const body = ({ built, bob, alice }: SharedRoom, third: MatrixEvent) => ({
    pdus: [built.message(bob, "a"), third, built.message(bob, "b")],
    edus: [
      { edu_type: "m.typing", content: { room_id: built.roomId, user_id: bob, typing: true } },
      {
        edu_type: "m.direct_to_device",
        content: { sender: bob, type: "m.test", message_id: "1", messages: { [alice.userId]: { "*": { n: 1 } } } },
      },
    ],
  });

  it("is taken when it is sent again, whichever call it was", async () => {
    for (let failing = 1; failing <= 12; failing += 1) {
      const fresh = new Federation();
      const shared = await shareRoom(fresh);
      const third = new TestPeer(fresh, "third.test");
      const joined = shared.built.join(user("@dave:third.test"));
      expect(joined.pdu.signatures).toHaveProperty(third.name);
      const content = { ...body(shared, joined), txnId: "same" };
      const calls = breakCall(shared.server, failing);
      let answer = await send(shared, content).catch(() => null);
      for (let n = 0; n < 3 && answer?.status !== 200; n += 1) answer = await send(shared, content);
      expect(answer?.status, `call ${failing}`).toBe(200);
      await fresh.advance(120_000);
      // What the test asks itself is not to fail.
      calls.restore();
      expect(await messagesSeen(shared.alice, shared.roomId), `call ${failing}`).toEqual(["a", "b"]);
      expect(statusOf(shared, joined.eventId), `call ${failing}`).toBe("accepted");
      const synced = JSON.stringify(await shared.alice.sync());
      expect(synced.split('"m.test"').length - 1, `call ${failing}`).toBe(1);
      expect(calls.count()).toBeGreaterThan(8);
      fresh.close();
    }
  });
});

/** Has every call of a room counted. */
function watchRooms(server: FederatedServer, onCall: () => void): void {
  wrapActors(server, (kind) => {
    if (kind === "room") onCall();
  });
}

/** Has the calls of rooms wait until they are released. */
function stall(server: FederatedServer) {
  let release: () => void = () => undefined;
  let reach: () => void = () => undefined;
  let calls = 0;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const restore = wrapActors(server, async (kind, method) => {
    if (kind !== "room" || method !== "receivePdus") return;
    calls += 1;
    reach();
    await gate;
  });
  return { reached, release, restore, calls: () => calls };
}

/** Has the n-th call of an actor fail, once. */
function breakCall(server: FederatedServer, n: number) {
  let calls = 0;
  const restore = wrapActors(server, () => {
    calls += 1;
    if (calls === n) throw new Error("the actor is gone");
  });
  return { restore, count: () => calls };
}

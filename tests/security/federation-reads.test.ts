/**
 * What other servers may read of rooms: every endpoint by which they do, for every way of not being allowed to.
 * Each case fails without the check that it is about.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { listOf } from "../support/read-history.ts";
import { rulesOf, user } from "../support/room-builder.ts";
import { joinByPeer, send, shareRoom, statusOf } from "../support/shared-room.ts";
import { TestPeer } from "../support/test-peer.ts";
import { type Ask, aboutEvents, askEvent, askNearest, askThrough, get, type Question } from "./federation-questions.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

const encoded = encodeURIComponent;
const inRoom: Record<string, Ask> = { ...aboutEvents, timestamp_to_event: (roomId) => askNearest(roomId, 0) };
const everywhere: Record<string, Ask> = { ...inRoom, event: askEvent };
const table = Object.entries(everywhere);

function askBy(peer: TestPeer, server: FederatedServer, { method, path, body }: Question) {
  return peer.request(server, method, path, body);
}

let messages = 0;

async function say(person: FederatedUser, roomId: string, body: string): Promise<string> {
  messages += 1;
  const path = `v3/rooms/${encoded(roomId)}/send/m.room.message/s${messages}`;
  const reply = await person.put(path, { msgtype: "m.text", body });
  expect(reply.status, reply.text).toBe(200);
  return String(reply.body.event_id);
}

async function act(person: FederatedUser, roomId: string, action: string, body: JsonObject = {}): Promise<void> {
  const reply = await person.post(`v3/rooms/${encoded(roomId)}/${action}`, body);
  expect(reply.status, reply.text).toBe(200);
  await federation.settle();
}

async function set(person: FederatedUser, roomId: string, type: string, content: JsonObject): Promise<string> {
  const reply = await person.put(`v3/rooms/${encoded(roomId)}/state/${type}`, content);
  expect(reply.status, reply.text).toBe(200);
  return String(reply.body.event_id);
}

/** Nothing is answered: neither what is in the room, nor whether there is such a room. */
async function expectNothing(asked: Promise<{ status: number; text: string }>, name: string): Promise<string> {
  const { status, text } = await asked;
  expect(status, `${name}: ${text}`).toBe(name === "event" ? 404 : 403);
  expect(text).toContain(name === "event" ? "M_NOT_FOUND" : "M_FORBIDDEN");
  expect(text).not.toContain("secret");
  return text;
}

describe("a server that is in a room (R71)", () => {
  it.each(table)("may read it: %s", async (_name, ask) => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "no secret");
    const reply = await askBy(room.peer, room.server, ask(room.roomId, eventId));
    expect(reply.status, reply.text).toBe(200);
  });

  it.each(Object.entries(inRoom))("may not read another room through it: %s", async (_name, ask) => {
    const room = await shareRoom(federation);
    const created = await room.alice.post("v3/createRoom", { preset: "private_chat", name: "secret" });
    const eventId = await say(room.alice, String(created.body.room_id), "secret");
    const reply = await askBy(room.peer, room.server, ask(room.roomId, eventId));
    expect(reply.text).not.toContain("secret");
    expect(reply.text).not.toContain(eventId);
    if (!/timestamp|backfill|missing/.test(ask("", "").path)) expect(reply.status).toBe(404);
  });

  it("may not read an event of a room that it is not in", async () => {
    const room = await shareRoom(federation);
    const created = await room.alice.post("v3/createRoom", { preset: "private_chat", name: "secret" });
    const roomId = String(created.body.room_id);
    const eventId = await say(room.alice, roomId, "secret");
    // Even where this server looks for it there.
    const input = { roomId: trusted.roomId(roomId), head: 1, since: 0 };
    await room.server.actors.server(room.peer.name).roomAdvanced(input);
    await expectNothing(askBy(room.peer, room.server, askEvent(roomId, eventId)), "event");
  });
});

/** A room with a secret, and a topic that was one, from before the peer was in it. */
async function roomWithSecret(visibility: string) {
  const server = federation.server("one.test");
  const peer = new TestPeer(federation, "peer.test");
  const alice = await server.user("alice");
  const history = { type: "m.room.history_visibility", state_key: "", content: { history_visibility: visibility } };
  const created = await alice.post("v3/createRoom", { preset: "public_chat", initial_state: [history] });
  const roomId = String(created.body.room_id);
  await federation.advance(1_000);
  await set(alice, roomId, "m.room.topic", { topic: "secret topic" });
  const secretTs = federation.clock.now();
  const secretId = await say(alice, roomId, "secret");
  const topicId = await set(alice, roomId, "m.room.topic", { topic: "public topic" });
  await federation.advance(1_000);
  const built = await joinByPeer({ federation, server, peer, roomId, version: "12" }, user("@bob:peer.test"));
  await federation.settle();
  return { server, peer, alice, roomId, built, secretId, topicId, secretTs };
}

describe("what was said before a server joined (R71)", () => {
  it.each(table)("is not told where only those of then may see it: %s", async (_name, ask) => {
    const room = await roomWithSecret("joined");
    for (const eventId of [room.secretId, room.topicId, await say(room.alice, room.roomId, "later")]) {
      const reply = await askBy(room.peer, room.server, ask(room.roomId, eventId));
      expect(reply.text).not.toContain("secret");
    }
  });

  it.each(table)("is told where history is shared: %s", async (name, ask) => {
    const room = await roomWithSecret("shared");
    const reply = await askBy(room.peer, room.server, ask(room.roomId, room.topicId));
    expect(reply.status, reply.text).toBe(200);
    if (/backfill|missing|^state$/.test(name)) expect(reply.text).toContain("secret");
  });

  it("is given redacted, with its place in the graph", async () => {
    const room = await roomWithSecret("joined");
    const reply = await askBy(room.peer, room.server, inRoom.backfill?.(room.roomId, room.topicId) ?? get(""));
    const events = listOf(reply.body.pdus).map((pdu) => eventFromPdu(pdu, room.built.rules));
    expect(events.slice(0, 2).map(({ eventId }) => eventId)).toEqual([room.topicId, room.secretId]);
    expect(events[1]?.content).toEqual({});
  });

  it("is told of as far as it still holds: the state when the server joined", async () => {
    const room = await roomWithSecret("joined");
    const later = await say(room.alice, room.roomId, "later");
    const reply = await askBy(room.peer, room.server, inRoom.state?.(room.roomId, later) ?? get(""));
    expect(reply.text).toContain("public topic");
  });

  it("is told from an invitation on, where that is what the history says", async () => {
    const server = federation.server("one.test");
    const alice = await server.user("alice");
    const three = federation.server("three.test");
    const carol = await three.user("carol");
    const history = { type: "m.room.history_visibility", state_key: "", content: { history_visibility: "invited" } };
    const created = await alice.post("v3/createRoom", { preset: "private_chat", initial_state: [history] });
    const roomId = String(created.body.room_id);
    await say(alice, roomId, "secret");
    await act(alice, roomId, "invite", { user_id: carol.userId });
    const told = await say(alice, roomId, "for the invited");
    await act(carol, roomId, "join");
    const reply = await askThrough(three, server.name, inRoom.backfill?.(roomId, told) ?? get(""));
    expect(reply.status, reply.text).toBe(200);
    expect(reply.text).toContain("for the invited");
    expect(reply.text).not.toContain("secret");
  });
});

describe("a server that is not in a room (R71, R78)", () => {
  it.each(table)("reads nothing if it never was, as if there were no room: %s", async (name, ask) => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "secret");
    const stranger = new TestPeer(federation, "stranger.test");
    const there = await expectNothing(askBy(stranger, room.server, ask(room.roomId, eventId)), name);
    const nowhere = await expectNothing(askBy(stranger, room.server, ask("!nothing:one.test", eventId)), name);
    expect(nowhere).toBe(there);
  });

  it.each(table)("reads nothing of what comes after it has left, or was banned: %s", async (name, ask) => {
    for (const action of ["kick", "ban"]) {
      federation.close();
      federation = new Federation();
      const room = await shareRoom(federation);
      await act(room.alice, room.roomId, action, { user_id: room.bob });
      const eventId = await say(room.alice, room.roomId, "secret");
      await expectNothing(askBy(room.peer, room.server, ask(room.roomId, eventId)), name);
    }
  });

  // Else the event that put it out, following others that it has not, would never find its place there.
  it.each(table.filter(([name]) => name !== "timestamp_to_event"))(
    "reads what was there until it left: %s",
    async (_name, ask) => {
      const room = await shareRoom(federation);
      await say(room.alice, room.roomId, "no secret");
      const path = `v3/rooms/${encoded(room.roomId)}/kick`;
      expect((await room.alice.post(path, { user_id: room.bob })).status).toBe(200);
      await federation.settle();
      const member = `v3/rooms/${encoded(room.roomId)}/state/m.room.member/${encoded(room.bob)}?format=event`;
      const kick = String((await room.alice.get(member)).body.event_id);
      await say(room.alice, room.roomId, "secret");
      const reply = await askBy(room.peer, room.server, ask(room.roomId, kick));
      expect(reply.status, reply.text).toBe(200);
      expect(reply.text).not.toContain('"secret"');
    },
  );

  it("is given no later events among those of its time, not even redacted", async () => {
    const room = await shareRoom(federation);
    const before = await say(room.alice, room.roomId, "no secret");
    await act(room.alice, room.roomId, "kick", { user_id: room.bob });
    const after = await say(room.alice, room.roomId, "secret");
    const path = `backfill/${encoded(room.roomId)}?limit=100&v=${encoded(before)}&v=${encoded(after)}`;
    const reply = await askBy(room.peer, room.server, get(path));
    expect(reply.status, reply.text).toBe(200);
    const ids = listOf(reply.body.pdus).map((pdu) => eventFromPdu(pdu, rulesOf("12")).eventId);
    expect(ids).toContain(before);
    expect(ids).not.toContain(after);
  });

  it.each(table)("reads nothing after its user's invitation was withdrawn: %s", async (name, ask) => {
    const server = federation.server("one.test");
    const alice = await server.user("alice");
    const three = federation.server("three.test");
    const carol = await three.user("carol");
    const roomId = String((await alice.post("v3/createRoom", { preset: "private_chat" })).body.room_id);
    const eventId = await say(alice, roomId, "secret");
    await act(alice, roomId, "invite", { user_id: carol.userId });
    await act(alice, roomId, "kick", { user_id: carol.userId });
    await expectNothing(askThrough(three, server.name, ask(roomId, eventId)), name);
  });

  it.each(table)("reads nothing while its user is only invited: %s", async (name, ask) => {
    const server = federation.server("one.test");
    const alice = await server.user("alice");
    const three = federation.server("three.test");
    const carol = await three.user("carol");
    const created = await alice.post("v3/createRoom", { preset: "private_chat" });
    const roomId = String(created.body.room_id);
    const eventId = await say(alice, roomId, "secret");
    await act(alice, roomId, "invite", { user_id: carol.userId });
    await expectNothing(askThrough(three, server.name, ask(roomId, eventId)), name);
  });

  it.each(table)(
    "reads nothing where the room's ACL shuts it out, though it is in the room (R5): %s",
    async (name, ask) => {
      const room = await shareRoom(federation);
      const eventId = await say(room.alice, room.roomId, "secret");
      await set(room.alice, room.roomId, "m.room.server_acl", { allow: ["*"], deny: ["peer.test"] });
      await expectNothing(askBy(room.peer, room.server, ask(room.roomId, eventId)), name);
    },
  );

  it("is not told of a public room whose ACL shuts it out (R5)", async () => {
    const room = await shareRoom(federation);
    const hierarchy = get(`hierarchy/${encoded(room.roomId)}`);
    expect((await askBy(room.peer, room.server, hierarchy)).status).toBe(200);
    await set(room.alice, room.roomId, "m.room.server_acl", { allow: ["*"], deny: ["peer.test"] });
    expect((await askBy(room.peer, room.server, hierarchy)).status).toBe(404);
  });

  it.each(table)("reads nothing from a server that is no longer in the room itself: %s", async (name, ask) => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "secret");
    await act(room.alice, room.roomId, "leave");
    await expectNothing(askBy(room.peer, room.server, ask(room.roomId, eventId)), name);
  });

  it.each(table)("is asked who it is: %s", async (_name, ask) => {
    const room = await shareRoom(federation);
    const { method, path, body } = ask(room.roomId, await say(room.alice, room.roomId, "secret"));
    const reply = await room.server.request(method, path, body === null ? {} : { body });
    expect([reply.status, reply.body.errcode]).toEqual([401, "M_UNAUTHORIZED"]);
  });
});

describe("walks (R30)", () => {
  it("visit no more than their budget of a room's events, however many are named", async () => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "hello");
    const sql = room.server.sql("room", room.roomId);
    // A long history that nobody may be given: a thousand rejected events before this one.
    const nid = sql.one<{ nid: number }>("SELECT event_nid AS nid FROM events WHERE event_id = ?", eventId)?.nid ?? 0;
    let reads = 0;
    const names = Array.from({ length: 5_000 }, (_, index) => `$many${index}`);
    sql.run("DELETE FROM event_edges WHERE event_nid = ?", nid);
    for (const name of names) sql.run("INSERT INTO event_edges (event_nid, prev_event_id) VALUES (?, ?)", nid, name);
    const original = sql.one.bind(sql);
    const counted = (query: string, ...values: never[]) => {
      if (query.includes("FROM events e WHERE e.event_id")) reads += 1;
      return original(query, ...values);
    };
    Reflect.set(sql, "one", counted);
    room.server.evict("room", room.roomId);
    for (const name of ["backfill", "get_missing_events"]) {
      reads = 0;
      await askBy(room.peer, room.server, inRoom[name]?.(room.roomId, eventId) ?? get(""));
      expect(reads, name).toBeGreaterThan(500);
      expect(reads, name).toBeLessThan(1_200);
    }
  });
});

describe("getEventByTimestamp, for a server that joined later", () => {
  it("gives the first that it may see", async () => {
    const room = await roomWithSecret("joined");
    const path = `timestamp_to_event/${encoded(room.roomId)}?ts=${room.secretTs}&dir=f`;
    const reply = await askBy(room.peer, room.server, get(path));
    expect(reply.body.event_id).toBe(room.built.heads[0]);
  });
});

describe("what was rejected", () => {
  it.each(["backfill", "get_missing_events", "event", "state_ids", "event_auth"])(
    "is given to nobody: %s",
    async (name) => {
      const room = await shareRoom(federation);
      const bad = room.built.fork().sendState(room.bob, "m.room.name", { name: "secret" });
      await send(room, { pdus: [bad] });
      expect(statusOf(room, bad.eventId)).toBe("rejected");
      const after = room.built.fork();
      const follower = after.append(
        after.make({ sender: room.bob, type: "m.room.message", content: { body: "x" }, prevEvents: [bad.eventId] }),
      );
      await send(room, { pdus: [follower] });
      const of = name === "backfill" || name === "get_missing_events" ? follower.eventId : bad.eventId;
      const reply = await askBy(room.peer, room.server, everywhere[name]?.(room.roomId, of) ?? get(""));
      expect(reply.text).not.toContain("secret");
      if (of === bad.eventId) expect(reply.status).toBe(404);
      else expect(reply.status).toBe(200);
    },
  );
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { type FederatedReply, type FederatedUser, Federation } from "../support/federation.ts";
import { eventAt, type SharedRoom, send, shareRoom } from "../support/shared-room.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

const encoded = encodeURIComponent;

function get({ server, peer }: SharedRoom, path: string): Promise<FederatedReply> {
  return peer.request(server, "GET", `/_matrix/federation/v1/${path}`);
}

function eventsIn(room: SharedRoom, pdus: JsonValue | undefined): MatrixEvent[] {
  return listOf(pdus).map((pdu) => eventFromPdu(pdu, room.built.rules));
}

async function say(person: FederatedUser, roomId: string, body: string): Promise<string> {
  const path = `v3/rooms/${encoded(roomId)}/send/m.room.message/${body.replaceAll(" ", "-")}`;
  const reply = await person.put(path, { msgtype: "m.text", body });
  expect(reply.status, reply.text).toBe(200);
  return String(reply.body.event_id);
}

async function setState(person: FederatedUser, roomId: string, type: string, content: JsonObject, key = "") {
  const reply = await person.put(`v3/rooms/${encoded(roomId)}/state/${type}/${encoded(key)}`, content);
  expect(reply.status, reply.text).toBe(200);
  return String(reply.body.event_id);
}

const bodyOf = (event: MatrixEvent | undefined): JsonValue | undefined => event?.content.body;

describe("getEvent", () => {
  it.each(["1", "6", "10", "11", "12"])(
    "gives an event of a shared room as it was sent, in room version %s",
    async (version) => {
      const room = await shareRoom(federation, version);
      const eventId = await say(room.alice, room.roomId, "hello");
      const reply = await get(room, `event/${encoded(eventId)}`);
      expect(reply.status, reply.text).toBe(200);
      expect(reply.body.origin).toBe("one.test");
      const [event] = eventsIn(room, reply.body.pdus);
      expect(event?.eventId).toBe(eventId);
      expect(bodyOf(event)).toBe("hello");
    },
  );

  it("finds an event of a room that was read last, though this server was never sent anything there", async () => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "hello");
    room.server.sql("server", "peer.test").run("DELETE FROM outbound_rooms");
    room.server.evict("server", "peer.test");
    expect((await get(room, `event/${encoded(eventId)}`)).status).toBe(404);
    await get(room, `state_ids/${encoded(room.roomId)}?event_id=${encoded(eventId)}`);
    expect((await get(room, `event/${encoded(eventId)}`)).status).toBe(200);
  });

  it("gives a redacted event without what was redacted", async () => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "secret");
    const redacted = await room.alice.put(`v3/rooms/${encoded(room.roomId)}/redact/${encoded(eventId)}/r`, {});
    expect(redacted.status).toBe(200);
    const reply = await get(room, `event/${encoded(eventId)}`);
    expect(eventsIn(room, reply.body.pdus)[0]?.eventId).toBe(eventId);
    expect(reply.text).not.toContain("secret");
  });

  it("does not know what nobody has", async () => {
    const room = await shareRoom(federation);
    const reply = await get(room, `event/${encoded("$nothing")}`);
    expect(reply.status).toBe(404);
    expect(reply.body.errcode).toBe("M_NOT_FOUND");
  });
});

describe("getRoomStateIds and getRoomState", () => {
  it.each(["1", "6", "12"])(
    "give the state before an event with its auth chain, in room version %s",
    async (version) => {
      const room = await shareRoom(federation, version);
      const before = await setState(room.alice, room.roomId, "m.room.topic", { topic: "before" });
      const topicId = await setState(room.alice, room.roomId, "m.room.topic", { topic: "after" });
      const path = `${encoded(room.roomId)}?event_id=${encoded(topicId)}`;

      const ids = await get(room, `state_ids/${path}`);
      const state = await get(room, `state/${path}`);

      expect(ids.status, ids.text).toBe(200);
      expect(state.status, state.text).toBe(200);
      expect(ids.body.pdu_ids).toContain(before);
      expect(ids.body.pdu_ids).not.toContain(topicId);
      const events = eventsIn(room, state.body.pdus);
      expect(events.map((event) => event.eventId).sort()).toEqual([...listOfText(ids.body.pdu_ids)].sort());
      const types = events.map((event) => event.type);
      for (const type of ["m.room.create", "m.room.power_levels", "m.room.join_rules"]) expect(types).toContain(type);
      const chain = eventsIn(room, state.body.auth_chain);
      expect(chain.map((event) => event.eventId).sort()).toEqual([...listOfText(ids.body.auth_chain_ids)].sort());
      const known = new Set([...events, ...chain].map((event) => event.eventId));
      for (const event of [...events, ...chain]) for (const id of event.authEvents) expect(known).toContain(id);
      // "The full set of authorisation events that make up the state of the room": the state's own among them.
      const authorizing = new Set([...events, ...chain].flatMap((event) => event.authEvents));
      expect(chain.map((event) => event.eventId).sort()).toEqual([...authorizing].sort());
    },
  );

  it("need an event, which is known, and has a state", async () => {
    const room = await shareRoom(federation);
    const path = `state_ids/${encoded(room.roomId)}`;
    expect((await get(room, path)).body.errcode).toBe("M_MISSING_PARAM");
    expect((await get(room, `${path}?event_id=${encoded("$nothing")}`)).status).toBe(404);
    expect((await get(room, `${path}?event_id=nothing`)).body.errcode).toBe("M_INVALID_PARAM");
  });

  it("come in pages where there is much of it", async () => {
    const room = await shareRoom(federation);
    const wanted: string[] = [];
    for (let index = 0; index < 230; index += 1) {
      wanted.push(await setState(room.alice, room.roomId, "org.example.item", { index }, String(index)));
    }
    const last = await say(room.alice, room.roomId, "done");
    const state = await get(room, `state/${encoded(room.roomId)}?event_id=${encoded(last)}`);
    const ids = eventsIn(room, state.body.pdus).map((event) => String(event.eventId));
    expect(ids).toEqual(expect.arrayContaining(wanted));
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe("getEventAuth", () => {
  it.each(["1", "6", "12"])("gives all that authorizes an event, in room version %s", async (version) => {
    const room = await shareRoom(federation, version);
    const eventId = await say(room.alice, room.roomId, "hello");
    const reply = await get(room, `event_auth/${encoded(room.roomId)}/${encoded(eventId)}`);
    expect(reply.status, reply.text).toBe(200);
    const chain = eventsIn(room, reply.body.auth_chain);
    const ids = chain.map((event) => event.eventId);
    expect(new Set(ids).size).toBe(ids.length);
    const own = eventAt(room, eventId);
    expect(own.authEvents.length).toBeGreaterThan(0);
    for (const event of [own, ...chain]) for (const id of event.authEvents) expect(ids).toContain(id);
  });
});

describe("backfillRoom", () => {
  it("gives the events and those before them, the newest first, up to the limit", async () => {
    const room = await shareRoom(federation);
    const ids: string[] = [];
    for (let index = 0; index < 12; index += 1) ids.push(await say(room.alice, room.roomId, `message ${index}`));
    const reply = await get(room, `backfill/${encoded(room.roomId)}?limit=5&v=${encoded(ids[9] ?? "")}`);
    expect(reply.status, reply.text).toBe(200);
    const given = eventsIn(room, reply.body.pdus).map((event) => event.eventId);
    expect(given).toEqual([ids[9], ids[8], ids[7], ids[6], ids[5]]);
  });

  it("gives the whole room to its beginning, and at most 100 events", async () => {
    const room = await shareRoom(federation);
    const first = await say(room.alice, room.roomId, "first");
    const whole = await get(room, `backfill/${encoded(room.roomId)}?limit=1000&v=${encoded(first)}`);
    expect(eventsIn(room, whole.body.pdus).at(-1)?.type).toBe("m.room.create");
    let last = first;
    for (let index = 0; index < 105; index += 1) last = await say(room.alice, room.roomId, `message ${index}`);
    const many = await get(room, `backfill/${encoded(room.roomId)}?limit=1000&v=${encoded(last)}`);
    expect(listOf(many.body.pdus)).toHaveLength(100);
  });

  it("gives an event of two branches once, and needs its parameters", async () => {
    const room = await shareRoom(federation);
    const left = room.built.fork().message(room.bob, "left");
    const right = room.built.fork().message(room.bob, "right");
    await send(room, { pdus: [left, right] });
    const joined = await say(room.alice, room.roomId, "joined");
    const path = `backfill/${encoded(room.roomId)}`;
    const reply = await get(room, `${path}?limit=50&v=${encoded(joined)}&v=${encoded(left.eventId)}`);
    const ids = eventsIn(room, reply.body.pdus).map((event) => event.eventId);
    expect(ids).toEqual(expect.arrayContaining([left.eventId, right.eventId, joined]));
    expect(new Set(ids).size).toBe(ids.length);
    expect((await get(room, `${path}?limit=5`)).body.errcode).toBe("M_MISSING_PARAM");
    expect((await get(room, `${path}?v=${encoded(joined)}`)).body.errcode).toBe("M_MISSING_PARAM");
  });
});

describe("getMissingPreviousEvents", () => {
  const ask = ({ server, peer, roomId }: SharedRoom, body: JsonObject) =>
    peer.request(server, "POST", `/_matrix/federation/v1/get_missing_events/${encoded(roomId)}`, body);

  it("gives what lies between, oldest first, at most 20, and 10 unless asked", async () => {
    const room = await shareRoom(federation);
    const ids: string[] = [];
    for (let index = 0; index < 30; index += 1) ids.push(await say(room.alice, room.roomId, `message ${index}`));
    const ends = { earliest_events: [ids[2] ?? ""], latest_events: [ids[6] ?? ""] };
    const between = await ask(room, ends);
    expect(between.status, between.text).toBe(200);
    expect(eventsIn(room, between.body.events).map((event) => event.eventId)).toEqual(ids.slice(3, 6));
    const wide = { earliest_events: [ids[0] ?? ""], latest_events: [ids[29] ?? ""] };
    const few = eventsIn(room, (await ask(room, wide)).body.events).map((event) => event.eventId);
    expect(few).toEqual(ids.slice(19, 29));
    const many = await ask(room, { ...wide, limit: 1_000 });
    expect(eventsIn(room, many.body.events).map((event) => event.eventId)).toEqual(ids.slice(9, 29));
  });

  it("goes no deeper than is asked for", async () => {
    const room = await shareRoom(federation);
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) ids.push(await say(room.alice, room.roomId, `message ${index}`));
    const { depth } = eventAt(room, ids[3] ?? "");
    const body = { earliest_events: [], latest_events: [ids[4] ?? ""], min_depth: depth };
    expect(eventsIn(room, (await ask(room, body)).body.events).map((event) => event.eventId)).toEqual([ids[3]]);
  });

  it("does not go back from an event that the server says it has", async () => {
    const room = await shareRoom(federation);
    const ids: string[] = [];
    for (let index = 0; index < 3; index += 1) ids.push(await say(room.alice, room.roomId, `message ${index}`));
    const last = ids[2] ?? "";
    expect((await ask(room, { earliest_events: [last], latest_events: [last] })).body).toEqual({ events: [] });
  });

  it("looks at no more than some of many ids", async () => {
    const room = await shareRoom(federation);
    const eventId = await say(room.alice, room.roomId, "hello");
    const many = Array.from({ length: 10_000 }, (_, index) => `$nothing${index}`);
    const reply = await ask(room, { earliest_events: many, latest_events: [eventId, ...many] });
    expect(reply.status).toBe(200);
    expect(listOf(reply.body.events).length).toBeGreaterThan(0);
  });
});

describe("getEventByTimestamp", () => {
  it("gives the nearest event in either direction", async () => {
    const room = await shareRoom(federation);
    const ids: string[] = [];
    const times: number[] = [];
    for (let index = 0; index < 40; index += 1) {
      await federation.advance(60_000);
      times.push(federation.clock.now());
      ids.push(await say(room.alice, room.roomId, `message ${index}`));
    }
    const ask = (ts: number, dir: string) =>
      get(room, `timestamp_to_event/${encoded(room.roomId)}?ts=${ts}&dir=${dir}`);
    for (const index of [0, 7, 20, 39]) {
      const ts = times[index] ?? 0;
      expect((await ask(ts, "f")).body).toEqual({ event_id: ids[index], origin_server_ts: ts });
      expect((await ask(ts + 5, "b")).body).toEqual({ event_id: ids[index], origin_server_ts: ts });
      expect((await ask(ts - 5, "f")).body).toEqual({ event_id: ids[index], origin_server_ts: ts });
    }
    expect((await ask((times[39] ?? 0) + 1, "f")).status).toBe(404);
    expect((await ask(0, "b")).status).toBe(404);
    expect((await ask(5, "x")).status).toBe(400);
  });
});

function listOfText(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}

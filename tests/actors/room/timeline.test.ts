import { beforeAll, describe, expect, it } from "vitest";
import { type EventId, trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { MessagesInput } from "../../../shared/rpc/room.ts";
import { at, bodiesOf, contextInput, idsOf, listAt, messagesInput, positionOf } from "./sync-client.ts";
import { alice, bob, carol, createWorld, membership, message, refusalOf, state, type TestRoom } from "./world.ts";

const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `m${from + index}`);

/** A room with the messages m1 … m20 after its making. */
async function busyRoom(): Promise<{ room: TestRoom; ids: EventId[]; head: number }> {
  const world = createWorld();
  const room = await world.create({ preset: "public_chat" });
  await room.rpc.changeMembership(membership("join", bob));
  const ids: EventId[] = [];
  for (const body of range(1, 20)) ids.push((await room.rpc.sendEvent(message(alice, body))).eventId);
  return { room, ids, head: room.context.store.room.get().streamPosition };
}

const messages = (room: TestRoom, changes: Partial<MessagesInput>): Promise<JsonObject> =>
  room.rpc.getMessages(messagesInput(alice, changes));

describe("isAfter", () => {
  it("tells which of two events comes later, where the requester can see it", async () => {
    const { room, ids } = await busyRoom();
    const [first, second] = [ids[3] ?? trusted.eventId("$a"), ids[4] ?? trusted.eventId("$b")];
    const isAfter = (eventId: EventId, other: EventId | null) => room.rpc.isAfter(bob, eventId, other);
    expect(await isAfter(second, first)).toBe(true);
    expect(await isAfter(first, second)).toBe(false);
    expect(await isAfter(first, first)).toBe(false);
    expect(await isAfter(first, null)).toBe(true);
    expect(await isAfter(first, trusted.eventId("$unknown"))).toBe(true);
    expect(await refusalOf(room.rpc.isAfter(carol, second, first))).toEqual([404, "M_NOT_FOUND"]);
  });
});

describe("getRoomEvents", () => {
  let room: TestRoom;
  let head: number;
  beforeAll(async () => {
    ({ room, head } = await busyRoom());
  });

  it("pages back from the newest event to the first, leaving `end` out only there", async () => {
    const seen: string[] = [];
    let from: number | null = null;
    let pages = 0;
    do {
      const page: JsonObject = await messages(room, { from, limit: 7 });
      seen.unshift(...idsOf(listAt(page, "chunk")).toReversed());
      from = positionOf(page.end);
      pages += 1;
    } while (from !== null);
    const stored = room.sql.all<{ event_id: string }>("SELECT event_id FROM events ORDER BY stream_position");
    expect(seen).toEqual(stored.map((row) => row.event_id));
    expect(pages).toBe(Math.ceil(stored.length / 7));
  });

  it("pages forward from the first event to the newest", async () => {
    const first = await messages(room, { dir: "f", limit: 3 });
    expect(bodiesOf(listAt(first, "chunk"))[0]).toBe("m.room.create|");
    expect(first.start).toBe("p0");
    const last = await messages(room, { dir: "f", from: head - 3, limit: 5 });
    expect(bodiesOf(listAt(last, "chunk"))).toEqual(range(18, 20));
    expect(last).not.toHaveProperty("end");
  });

  it("takes a token as a boundary: at or before it lies behind, the rest ahead", async () => {
    const back = await messages(room, { from: head - 5, limit: 2 });
    expect(bodiesOf(listAt(back, "chunk"))).toEqual(["m15", "m14"]);
    expect(back).toMatchObject({ start: `p${head - 5}`, end: `p${head - 7}` });
    const ahead = await messages(room, { dir: "f", from: head - 5, limit: 2 });
    expect(bodiesOf(listAt(ahead, "chunk"))).toEqual(["m16", "m17"]);
    expect(ahead.end).toBe(`p${head - 3}`);
  });

  it("stops at `to` and says that there is more", async () => {
    const back = await messages(room, { from: head, to: head - 3, limit: 10 });
    expect(bodiesOf(listAt(back, "chunk"))).toEqual(["m20", "m19", "m18"]);
    expect(back.end).toBe(`p${head - 3}`);
    const ahead = await messages(room, { dir: "f", from: head - 5, to: head - 3, limit: 10 });
    expect(bodiesOf(listAt(ahead, "chunk"))).toEqual(["m16", "m17"]);
    expect(ahead.end).toBe(`p${head - 3}`);
  });

  it("gives at least one event and at most a thousand", async () => {
    expect(listAt(await messages(room, { limit: 0 }), "chunk")).toHaveLength(1);
    expect(listAt(await messages(room, { limit: 5_000 }), "chunk").length).toBeLessThanOrEqual(1_000);
  });

  it("leaves out what ignored users have sent, but for state", async () => {
    const busy = await busyRoom();
    const { rpc } = busy.room;
    const { eventId } = await rpc.sendEvent(message(bob, "unwanted"));
    const page = await messages(busy.room, { limit: 100, ignoredUsers: [bob] });
    expect(idsOf(listAt(page, "chunk"))).not.toContain(eventId);
    expect(bodiesOf(listAt(page, "chunk"))).toContain(`m.room.member|${bob}`);
    const last = await rpc.sendEvent(message(alice, "last"));
    const around = await rpc.getContext(contextInput(alice, last.eventId, { limit: 4, ignoredUsers: [bob] }));
    expect(idsOf(listAt(around, "events_before"))).not.toContain(eventId);
  });

  it("applies the filter", async () => {
    const filtered = await messages(room, {
      filter: { types: ["m.room.m*"], not_types: ["m.room.message"] },
      limit: 50,
    });
    expect(bodiesOf(listAt(filtered, "chunk"))).toEqual([`m.room.member|${bob}`, `m.room.member|${alice}`]);
    const ofBob = await messages(room, { filter: { senders: [bob] }, limit: 50 });
    expect(bodiesOf(listAt(ofBob, "chunk"))).toEqual([`m.room.member|${bob}`]);
    expect(await refusalOf(messages(room, { filter: { types: "m.room.message" } }))).toEqual([400, "M_BAD_JSON"]);
  });

  it("adds the senders' member events when members are loaded lazily", async () => {
    const page = await messages(room, { limit: 2, filter: { lazy_load_members: true } });
    expect(bodiesOf(listAt(page, "state"))).toEqual([`m.room.member|${alice}`]);
    expect(await messages(room, { limit: 2 })).not.toHaveProperty("state");
  });

  it("gives nothing of what came after the user left, in either direction", async () => {
    const { room: own } = await busyRoom();
    await own.rpc.changeMembership(membership("leave", bob));
    const leaving = own.context.store.room.get().streamPosition;
    await own.rpc.sendEvent(message(alice, "later"));
    const back = await own.rpc.getMessages(messagesInput(bob, { limit: 2 }));
    expect(bodiesOf(listAt(back, "chunk"))).toEqual([`m.room.member|${bob}`, "m20"]);
    const ahead = await own.rpc.getMessages(messagesInput(bob, { dir: "f", from: leaving - 1, limit: 5 }));
    expect(bodiesOf(listAt(ahead, "chunk"))).toEqual([`m.room.member|${bob}`]);
    expect(ahead).not.toHaveProperty("end");
    const beyond = await own.rpc.getMessages(messagesInput(bob, { dir: "f", from: leaving, limit: 5 }));
    expect(listAt(beyond, "chunk")).toEqual([]);
  });

  it("ends a page whose work is done without an event, but not the history", async () => {
    const world = createWorld();
    const own = await world.create({ preset: "public_chat" });
    await own.rpc.sendEvent({ ...message(alice, "needle"), type: "m.needle" });
    for (let sent = 0; sent < 3_050; sent += 50) {
      await Promise.all(
        Array.from({ length: 50 }, (_, index) => own.rpc.sendEvent(message(alice, `hay ${sent + index}`))),
      );
    }
    const filter = { types: ["m.needle"] };
    const first = await own.rpc.getMessages(messagesInput(alice, { filter }));
    expect(listAt(first, "chunk")).toEqual([]);
    const from = positionOf(first.end);
    expect(from).not.toBeNull();
    const second = await own.rpc.getMessages(messagesInput(alice, { filter, from }));
    expect(bodiesOf(listAt(second, "chunk"))).toEqual(["needle"]);
    expect(second).not.toHaveProperty("end");
  });
});

describe("getEventContext", () => {
  it("gives the events around, the state after the last, and tokens to go on with", async () => {
    const { room, ids, head } = await busyRoom();
    const eventId = ids[9] ?? trusted.eventId("$");
    const ask = (limit: number, filter: JsonObject | null = null): Promise<JsonObject> =>
      room.rpc.getContext(contextInput(alice, eventId, { limit, filter }));
    const context = await ask(5);
    expect(bodiesOf(listAt(context, "events_before"))).toEqual(["m9", "m8"]);
    expect(bodiesOf(listAt(context, "events_after"))).toEqual(["m11", "m12", "m13"]);
    expect(context).toMatchObject({ event: { event_id: eventId }, start: `p${head - 13}`, end: `p${head - 7}` });
    expect(listAt(context, "state").map((event) => event.type)).toContain("m.room.create");
    expect(bodiesOf(listAt(await messages(room, { from: positionOf(context.start), limit: 1 }), "chunk"))).toEqual([
      "m7",
    ]);
    const after = { dir: "f" as const, from: positionOf(context.end), limit: 1 };
    expect(bodiesOf(listAt(await messages(room, after), "chunk"))).toEqual(["m14"]);
    expect(await ask(0)).toMatchObject({
      events_before: [],
      events_after: [],
      start: `p${head - 11}`,
      end: `p${head - 10}`,
    });
    const lazy = await ask(5, { lazy_load_members: true, types: ["m.room.me*"] });
    expect(bodiesOf(listAt(lazy, "state"))).toEqual([`m.room.member|${alice}`]);
  });

  it("gives the state as it was at the last event returned", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat", topic: "old" });
    const { eventId } = await room.rpc.sendEvent(message(alice, "then"));
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "new" }));
    const topicOf = (context: JsonObject): unknown =>
      listAt(context, "state").find((event) => event.type === "m.room.topic")?.content;
    expect(topicOf(await room.rpc.getContext(contextInput(alice, eventId, { limit: 0 })))).toMatchObject({
      topic: "old",
    });
    expect(topicOf(await room.rpc.getContext(contextInput(alice, eventId, { limit: 4 })))).toMatchObject({
      topic: "new",
    });
  });

  it("knows nothing of events that the user may not see", async () => {
    const { room, ids } = await busyRoom();
    const eventId = ids[0] ?? trusted.eventId("$");
    expect(await refusalOf(room.rpc.getContext(contextInput(carol, eventId)))).toEqual([404, "M_NOT_FOUND"]);
    const unknown = trusted.eventId("$unknown");
    expect(await refusalOf(room.rpc.getContext(contextInput(alice, unknown)))).toEqual([404, "M_NOT_FOUND"]);
  });
});

describe("getOneRoomEvent", () => {
  it("gives an event with its room", async () => {
    const { room, ids } = await busyRoom();
    const eventId = ids[0] ?? trusted.eventId("$");
    const event = await room.rpc.getEvent(bob, null, eventId);
    expect(event).toMatchObject({ event_id: eventId, room_id: room.roomId, sender: alice, type: "m.room.message" });
    expect(Object.keys(event).sort()).toEqual([
      "content",
      "event_id",
      "origin_server_ts",
      "room_id",
      "sender",
      "type",
      "unsigned",
    ]);
    expect(at(event, "content", "body")).toBe("m1");
  });
});

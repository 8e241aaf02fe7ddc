import { describe, expect, it } from "vitest";
import { maxTypingMs } from "../../../actors/room/ephemeral.ts";
import { onRoomAlarm } from "../../../actors/room/maintenance.ts";
import { type EventId, trusted, type UserId } from "../../../shared/ids.ts";
import { isObject, type JsonObject } from "../../../shared/json.ts";
import { at, ephemeralOf, listAt, sync } from "./sync-client.ts";
import { alice, bob, carol, createWorld, membership, message, refusalOf, type TestRoom, type World } from "./world.ts";

async function roomOfThree(): Promise<{ world: World; room: TestRoom; head: () => number }> {
  const world = createWorld();
  const room = await world.create({ preset: "public_chat" });
  for (const userId of [bob, carol]) await room.rpc.changeMembership(membership("join", userId));
  await world.settle();
  return { world, room, head: () => room.context.store.room.get().streamPosition };
}

async function typingSince(room: TestRoom, since: number | null): Promise<unknown> {
  const events = ephemeralOf(await sync(room, alice, since));
  return at(events.find((event) => event.type === "m.typing")?.content, "user_ids");
}

const send = async (room: TestRoom, sender: UserId, body: string, relation?: JsonObject): Promise<EventId> => {
  const input = message(sender, body);
  const content = relation === undefined ? input.content : { ...input.content, "m.relates_to": relation };
  return (await room.rpc.sendEvent({ ...input, content })).eventId;
};

describe("setTyping", () => {
  it("tells everybody who begins and who stops, and nothing in between", async () => {
    const { world, room, head } = await roomOfThree();
    const before = head();
    await room.rpc.setTyping({ userId: bob, typing: true, timeoutMs: 30_000 });
    expect(head()).toBe(before + 1);
    expect(await typingSince(room, before)).toEqual([bob]);
    world.clock.advance(10_000);
    await room.rpc.setTyping({ userId: bob, typing: true, timeoutMs: 30_000 });
    expect(head()).toBe(before + 1);
    await room.rpc.setTyping({ userId: bob, typing: false, timeoutMs: 0 });
    await room.rpc.setTyping({ userId: bob, typing: false, timeoutMs: 0 });
    expect(head()).toBe(before + 2);
    expect(await typingSince(room, before + 1)).toEqual([]);
    expect(await typingSince(room, before + 2)).toBeNull();
    expect(await typingSince(room, null)).toBeNull();
  });

  it("ends by the alarm when its time is over, at the latest after two minutes", async () => {
    const { world, room, head } = await roomOfThree();
    const begun = world.clock.now();
    await room.rpc.setTyping({ userId: bob, typing: true, timeoutMs: 30_000 });
    room.alarmAt = null;
    await room.rpc.setTyping({ userId: carol, typing: true, timeoutMs: 10 * maxTypingMs });
    expect(room.alarmAt).toBeLessThanOrEqual(begun + 30_000);
    room.evict();
    world.clock.advance(30_000);
    const before = head();
    // Also before the alarm has gone off, nobody is shown for longer than they wanted.
    expect(await typingSince(room, null)).toEqual([carol]);
    await onRoomAlarm(room.context);
    expect(await typingSince(room, before)).toEqual([carol]);
    world.clock.advance(maxTypingMs - 30_000);
    await onRoomAlarm(room.context);
    expect(await typingSince(room, before)).toEqual([]);
    expect(room.context.store.room.get().typing).toEqual({});
  });

  it("ends when the user leaves", async () => {
    const { room, head } = await roomOfThree();
    await room.rpc.setTyping({ userId: bob, typing: true, timeoutMs: 30_000 });
    const before = head();
    await room.rpc.changeMembership(membership("leave", bob));
    expect(await typingSince(room, before)).toEqual([]);
  });

  it("is for joined users", async () => {
    const { room } = await roomOfThree();
    await room.rpc.changeMembership(membership("leave", bob));
    const typing = { typing: true, timeoutMs: 1_000 };
    expect(await refusalOf(room.rpc.setTyping({ userId: bob, ...typing }))).toEqual([403, "M_FORBIDDEN"]);
  });
});

describe("postReceipt", () => {
  const receiptsSince = async (room: TestRoom, reader: UserId, since: number | null): Promise<JsonObject[]> =>
    ephemeralOf(await sync(room, reader, since))
      .filter((event) => event.type === "m.receipt")
      .map((event) => (isObject(event.content) ? event.content : {}));

  it("tells all how far a user has read, never backwards, and nothing that is not new", async () => {
    const { world, room, head } = await roomOfThree();
    const first = await send(room, alice, "one");
    const second = await send(room, alice, "two");
    const before = head();
    const read = { userId: bob, receiptType: "m.read" as const, threadId: null };
    await room.rpc.sendReceipt({ ...read, eventId: second });
    const ts = world.clock.now();
    world.clock.advance(1_000);
    await room.rpc.sendReceipt({ ...read, eventId: second });
    await room.rpc.sendReceipt({ ...read, eventId: first });
    expect(head()).toBe(before + 1);
    const expected = [{ [second]: { "m.read": { [bob]: { ts } } } }];
    expect(await receiptsSince(room, alice, before)).toEqual(expected);
    expect(await receiptsSince(room, carol, null)).toEqual(expected);
    expect(await receiptsSince(room, alice, head())).toEqual([]);
  });

  it("shows private receipts to their owner alone", async () => {
    const { room, head } = await roomOfThree();
    const eventId = await send(room, alice, "one");
    const before = head();
    await room.rpc.sendReceipt({ userId: bob, receiptType: "m.read.private", eventId, threadId: null });
    expect(await receiptsSince(room, bob, before)).toMatchObject([{ [eventId]: { "m.read.private": { [bob]: {} } } }]);
    expect(await receiptsSince(room, alice, before)).toEqual([]);
    expect(await receiptsSince(room, alice, null)).toEqual([]);
    expect(await sync(room, alice, before)).toMatchObject({ place: null, readPosition: before + 1 });
  });

  it("keeps threads apart, each in an event of its own", async () => {
    const { room, head } = await roomOfThree();
    const root = await send(room, alice, "root");
    const inThread = await send(room, alice, "in thread", { rel_type: "m.thread", event_id: root });
    const reaction = await send(room, alice, "reaction", { rel_type: "m.reference", event_id: inThread });
    const before = head();
    const read = { userId: bob, receiptType: "m.read" as const };
    await room.rpc.sendReceipt({ ...read, eventId: root, threadId: null });
    await room.rpc.sendReceipt({ ...read, eventId: root, threadId: "main" });
    await room.rpc.sendReceipt({ ...read, eventId: reaction, threadId: root });
    const told = await receiptsSince(room, alice, before);
    expect(told).toHaveLength(3);
    const threads = told.map((content) => {
      const [eventId = ""] = Object.keys(content);
      return [eventId, at(content, eventId, "m.read", bob, "thread_id")];
    });
    expect(threads).toEqual(
      expect.arrayContaining([
        [root, null],
        [root, "main"],
        [reaction, root],
      ]),
    );
  });

  it("refuses a thread that the event is not of", async () => {
    const { room } = await roomOfThree();
    const root = await send(room, alice, "root");
    const inThread = await send(room, alice, "in thread", { rel_type: "m.thread", event_id: root });
    const other = await send(room, alice, "other");
    const ask = (eventId: EventId, threadId: string): Promise<[number, string] | null> =>
      refusalOf(room.rpc.sendReceipt({ userId: bob, receiptType: "m.read", eventId, threadId }));
    expect(await ask(inThread, "main")).toEqual([400, "M_INVALID_PARAM"]);
    expect(await ask(other, root)).toEqual([400, "M_INVALID_PARAM"]);
    expect(await ask(other, "")).toEqual([400, "M_INVALID_PARAM"]);
    expect(await ask(other, "$nonsense")).toEqual([400, "M_INVALID_PARAM"]);
    expect(await ask(root, root)).toBeNull();
    expect(await ask(other, "main")).toBeNull();
  });

  it("is for joined users and events that they can see", async () => {
    const { room } = await roomOfThree();
    const eventId = await send(room, alice, "one");
    const read = { receiptType: "m.read" as const, threadId: null };
    const unknown = trusted.eventId("$unknown");
    expect(await refusalOf(room.rpc.sendReceipt({ ...read, userId: bob, eventId: unknown }))).toEqual([
      404,
      "M_NOT_FOUND",
    ]);
    await room.rpc.changeMembership(membership("leave", bob));
    expect(await refusalOf(room.rpc.sendReceipt({ ...read, userId: bob, eventId }))).toEqual([403, "M_FORBIDDEN"]);
  });

  it("leaves out what the filter does not want", async () => {
    const { room, head } = await roomOfThree();
    const eventId = await send(room, alice, "one");
    const before = head();
    await room.rpc.sendReceipt({ userId: bob, receiptType: "m.read", eventId, threadId: null });
    await room.rpc.setTyping({ userId: bob, typing: true, timeoutMs: 1_000 });
    const answer = await sync(room, alice, before, { filter: { ephemeral: { not_types: ["m.receipt"] } } });
    expect(listAt(answer.section, "ephemeral", "events").map((event) => event.type)).toEqual(["m.typing"]);
  });
});

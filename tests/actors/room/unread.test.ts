import { describe, expect, it } from "vitest";
import { type EventId, trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { RoomSyncInput } from "../../../shared/rpc/room.ts";
import { at, sync } from "./sync-client.ts";
import { alice, bob, carol, createWorld, membership, message, state, type TestRoom } from "./world.ts";

async function roomOfThree(): Promise<TestRoom> {
  const room = await createWorld().create({ preset: "public_chat" });
  for (const userId of [bob, carol]) await room.rpc.changeMembership(membership("join", userId));
  return room;
}

async function send(room: TestRoom, sender: UserId, content: JsonObject = {}): Promise<EventId> {
  const input = message(sender, "hello");
  return (await room.rpc.sendEvent({ ...input, content: { ...input.content, ...content } })).eventId;
}

const mention: JsonObject = { "m.mentions": { user_ids: [bob] } };
const inThread = (root: string): JsonObject => ({ "m.relates_to": { rel_type: "m.thread", event_id: root } });
const related = (eventId: string): JsonObject => ({ "m.relates_to": { rel_type: "m.reference", event_id: eventId } });

/** `[notifications, highlights]` */
async function unread(room: TestRoom, changes: Partial<RoomSyncInput> = {}): Promise<unknown> {
  const { section } = await sync(room, bob, null, changes);
  return countsAt(section, "unread_notifications");
}

function countsAt(section: JsonObject, ...path: string[]): unknown {
  return [at(section, ...path, "notification_count"), at(section, ...path, "highlight_count")];
}

async function byThread(room: TestRoom, root: string): Promise<unknown> {
  const filter = { timeline: { unread_thread_notifications: true } };
  const { section } = await sync(room, bob, null, { filter });
  return {
    main: countsAt(section, "unread_notifications"),
    thread: countsAt(section, "unread_thread_notifications", root),
  };
}

const read = (room: TestRoom, eventId: EventId, threadId: string | null = null): Promise<null> =>
  room.rpc.sendReceipt({ userId: bob, receiptType: "m.read", eventId, threadId });

describe("unread notifications", () => {
  it("counts what others have sent since the user joined, by the push rules", async () => {
    const room = await createWorld().create({ preset: "public_chat" });
    await send(room, alice);
    await room.rpc.changeMembership(membership("join", bob));
    expect(await unread(room)).toEqual([0, 0]);
    await send(room, alice);
    await send(room, alice, mention);
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "quiet" }));
    await send(room, alice, { msgtype: "m.notice" });
    expect(await unread(room)).toEqual([2, 1]);
    room.evict();
    expect(await unread(room)).toEqual([2, 1]);
  });

  it("counts on from what it has counted, and anew when receipts or rules change", async () => {
    const room = await roomOfThree();
    const first = await send(room, alice);
    expect(await unread(room)).toEqual([1, 0]);
    const second = await send(room, alice, mention);
    expect(await unread(room)).toEqual([2, 1]);
    await read(room, first);
    expect(await unread(room)).toEqual([1, 1]);
    expect(await unread(room, { pushRules: { global: {} } })).toEqual([0, 0]);
    expect(await unread(room, { ignoredUsers: [alice] })).toEqual([0, 0]);
    await room.rpc.sendReceipt({ userId: bob, receiptType: "m.read.private", eventId: second, threadId: null });
    expect(await unread(room)).toEqual([0, 0]);
  });

  it("takes the receipt that is further ahead, be it private or not", async () => {
    const room = await roomOfThree();
    const first = await send(room, alice);
    const second = await send(room, alice);
    await send(room, alice);
    await room.rpc.sendReceipt({ userId: bob, receiptType: "m.read.private", eventId: second, threadId: null });
    await read(room, first);
    expect(await unread(room)).toEqual([1, 0]);
  });

  it("takes an event of one's own for a receipt, but not a state event", async () => {
    const room = await roomOfThree();
    await send(room, alice);
    await room.rpc.updateMemberProfile(bob, { displayname: "Bobby" }, 1);
    expect(await unread(room)).toEqual([1, 0]);
    await send(room, bob);
    expect(await unread(room)).toEqual([0, 0]);
    await send(room, alice);
    expect(await unread(room)).toEqual([1, 0]);
  });

  it("does not count what was redacted", async () => {
    const room = await roomOfThree();
    const eventId = await send(room, alice, mention);
    await send(room, alice);
    expect(await unread(room)).toEqual([2, 1]);
    await room.rpc.sendEvent({ ...message(alice, ""), type: "m.room.redaction", content: {}, redacts: eventId });
    expect(await unread(room)).toEqual([1, 0]);
  });

  it("counts each thread by itself where that is wanted, all together where it is not", async () => {
    const room = await roomOfThree();
    const root = await send(room, alice);
    const first = await send(room, alice, inThread(root));
    await send(room, carol, { ...inThread(root), ...mention });
    await send(room, alice, related(first));
    expect(await unread(room)).toEqual([4, 1]);
    expect(await byThread(room, root)).toEqual({ main: [1, 0], thread: [3, 1] });
    await read(room, first, root);
    expect(await byThread(room, root)).toEqual({ main: [1, 0], thread: [2, 1] });
    await read(room, root, "main");
    expect(await byThread(room, root)).toEqual({ main: [0, 0], thread: [2, 1] });
    await send(room, bob, inThread(root));
    expect(await byThread(room, root)).toEqual({ main: [0, 0], thread: [null, null] });
  });

  it("clears threads, too, with an unthreaded receipt", async () => {
    const room = await roomOfThree();
    const root = await send(room, alice);
    const last = await send(room, alice, inThread(root));
    await read(room, last);
    expect(await byThread(room, root)).toEqual({ main: [0, 0], thread: [null, null] });
  });

  it("tells a client whose receipt came from another device, even if nothing else is new", async () => {
    const room = await roomOfThree();
    const eventId = await send(room, alice);
    const { readPosition } = await sync(room, bob, null);
    await room.rpc.sendReceipt({ userId: bob, receiptType: "m.read.private", eventId, threadId: null });
    const filter = { ephemeral: { not_types: ["*"] } };
    const answer = await sync(room, bob, readPosition, { filter, deviceId: trusted.deviceId("other") });
    expect(answer.place).toBe("join");
    expect(countsAt(answer.section, "unread_notifications")).toEqual([0, 0]);
  });

  it("begins anew when the user comes back", async () => {
    const room = await roomOfThree();
    await send(room, alice);
    await room.rpc.changeMembership(membership("leave", bob));
    await send(room, alice);
    await room.rpc.changeMembership(membership("join", bob));
    expect(await unread(room)).toEqual([0, 0]);
    await send(room, alice);
    expect(await unread(room)).toEqual([1, 0]);
  });
});

/** Typing and receipts of users of other servers. Each server speaks only for its own users, and only for joined ones. */
import { type EventId, type ServerName, serverNameOf, type UserId } from "../../shared/ids.ts";
import type { RemoteReceipt, RemoteTyping, RoomForInbox } from "../../shared/rpc/room-peers.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { stillTyping, storeTyping } from "./ephemeral.ts";
import { isPartial } from "./partial-state.ts";
import { isResident } from "./residency.ts";
import { isShutOut } from "./server-acl.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";
import { isInThread } from "./threads.ts";
import { oweWakes } from "./wakes.ts";

/** How long a remote user is shown as typing without a further word; servers repeat theirs while it lasts. */
const remoteTypingMs = 60_000;
/** Users who type in one room at a time, at most: all of them stand in one row. */
const maxTyping = 500;
/** Receipts that are held for events on their way, at most. */
const maxHeld = 500;

/**
 * Receipts for events that are not here yet, in order of arrival, by the living instance of a room: who reads an event may
 * be quicker than its sender's server. One that is lost is made up for by the user's next.
 */
const held = new WeakMap<RoomContext, Map<EventId, RemoteReceipt[]>>();

/**
 * Notes typing and receipts as another server tells them. What it may not say is left out without a word. Receipts for
 * events, or of members, that are not known yet are given back, to be told again.
 *
 * "if the sending server is denied access to the room identified by `room_id`, the EDU MUST be ignored"
 * @see https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls
 */
export async function receiveEphemeral(
  room: RoomContext,
  input: Parameters<RoomForInbox["receiveEphemeral"]>[0],
): Promise<RemoteReceipt[]> {
  const { origin } = input;
  // Most of what is refused is refused without a commit.
  if (!mayTell(room, room.store, origin)) return [];
  const speaksFor = ({ userId }: { userId: UserId }): boolean => maySpeakFor(room, origin, userId);
  const typing = input.typing.filter(speaksFor);
  const receipts = input.receipts.filter(speaksFor);
  const later = input.receipts.filter(({ userId }) => maySpeakForLater(room, origin, userId));
  if (typing.length === 0 && receipts.length === 0) return later;
  return await commit(room, (tx) => {
    if (!mayTell(room, tx, origin)) return [];
    noteTyping(room, tx, typing.filter(speaksFor));
    const news = receipts.filter((receipt) => speaksFor(receipt) && noteReceipt(room, tx, receipt));
    if (news.length > 0) oweWakes(room, { membershipChanges: [] });
    const unplaced = receipts.filter((receipt) => speaksFor(receipt) && tx.events.byId(receipt.eventId) === null);
    return [...unplaced, ...later];
  });
}

function mayTell(room: RoomContext, store: RoomRead, origin: ServerName): boolean {
  return isResident(room, store) && !isShutOut(room, store, origin);
}

/** "Receiving servers should verify that the user is in the room, and is a user belonging to the sending server." */
function maySpeakFor(room: RoomContext, origin: ServerName, userId: UserId): boolean {
  return serverNameOf(userId) === origin && room.store.memberships.isJoined(userId);
}

/** While not all members are known, whoever is not may be one of them. */
function maySpeakForLater(room: RoomContext, origin: ServerName, userId: UserId): boolean {
  const { store } = room;
  return serverNameOf(userId) === origin && isPartial(store) && store.memberships.find(userId) === null;
}

function noteTyping(room: RoomContext, tx: RoomTransaction, changes: readonly RemoteTyping[]): void {
  if (changes.length === 0) return;
  const now = room.clock.now();
  const facts = tx.room.get();
  const typing = stillTyping(facts, now);
  for (const { userId, isTyping } of changes) {
    if (!isTyping) typing.delete(userId);
    else if (typing.has(userId) || typing.size < maxTyping) typing.set(userId, now + remoteTypingMs);
  }
  storeTyping(room, tx, facts, typing);
}

/** @returns whether it says anything new. */
function noteReceipt(room: RoomContext, tx: RoomTransaction, receipt: RemoteReceipt): boolean {
  const { userId, eventId, threadId } = receipt;
  const record = tx.events.byId(eventId);
  if (record === null) hold(room, receipt);
  if (record === null || record.streamPosition === null) return false;
  // Only threads that exist: a receipt is stored for each.
  if (threadId !== null && !isInThread(room, record, threadId)) return false;
  const before = tx.receipts.find(userId, "m.read", threadId);
  if (before !== null && before.eventPosition >= record.streamPosition) return false;
  tx.receipts.put({
    userId,
    receiptType: "m.read",
    threadId,
    eventId,
    eventPosition: record.streamPosition,
    ts: receipt.ts,
    streamPosition: tx.room.takePosition(),
  });
  return true;
}

function hold(room: RoomContext, receipt: RemoteReceipt): void {
  const ofRoom = held.get(room) ?? new Map<EventId, RemoteReceipt[]>();
  held.set(room, ofRoom);
  const count = ofRoom.values().reduce((sum, receipts) => sum + receipts.length, 0);
  const [oldest] = ofRoom.keys();
  if (count >= maxHeld && oldest !== undefined) ofRoom.delete(oldest);
  ofRoom.set(receipt.eventId, [...(ofRoom.get(receipt.eventId) ?? []), receipt]);
}

/** Notes the receipts that were held for events which are here now. */
export async function applyHeldReceipts(room: RoomContext, eventIds: readonly EventId[]): Promise<void> {
  const ofRoom = held.get(room);
  const receipts = eventIds.flatMap((eventId) => ofRoom?.get(eventId) ?? []);
  for (const eventId of eventIds) ofRoom?.delete(eventId);
  for (const [origin, ofServer] of Map.groupBy(receipts, ({ userId }) => serverNameOf(userId))) {
    await receiveEphemeral(room, { origin, typing: [], receipts: ofServer });
  }
}

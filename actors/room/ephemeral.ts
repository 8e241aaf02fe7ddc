/** Typing and receipts: what happens in the room beside its events. Each change takes a position of the room's stream. */
import { errors } from "../../shared/errors.ts";
import type { EventId, UserId } from "../../shared/ids.ts";
import { define, type JsonObject } from "../../shared/json.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { noteTyping, typingForServers } from "./outbound-ephemeral.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { ReceiptRecord, ReceiptType } from "./store/receipts.ts";
import type { RoomFacts } from "./store/room.ts";
import { isInThread } from "./threads.ts";
import { requireVisible } from "./timeline.ts";
import { RoomViewer } from "./visibility.ts";
import { oweWakes } from "./wakes.ts";

/** Longest time for which a user is shown as typing without saying so again. */
export const maxTypingMs = 120_000;
/** Receipts in one answer, at most; the newest. */
const maxReceipts = 5_000;

/**
 * Notes that a user types, or has stopped. Whoever types on is told to nobody: only a change of the list is news.
 *
 * @throws MatrixError M_FORBIDDEN unless the user is joined
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid
 */
export async function setTyping(
  room: RoomContext,
  input: { userId: UserId; typing: boolean; timeoutMs: number },
): Promise<null> {
  assertJoined(room, input.userId);
  return commit(room, (tx) => {
    assertJoined(room, input.userId);
    const now = room.clock.now();
    const facts = tx.room.get();
    const typing = stillTyping(facts, now);
    typing.delete(input.userId);
    if (input.typing && input.timeoutMs > 0) typing.set(input.userId, now + Math.min(input.timeoutMs, maxTypingMs));
    storeTyping(room, tx, facts, typing);
    return null;
  });
}

/** Ends the typing of those whose time is over. To be called by the alarm. */
export function expireTyping(room: RoomContext): void {
  room.store.transaction((tx) => {
    const facts = tx.room.get();
    if (Object.keys(facts.typing).length > 0) {
      storeTyping(room, tx, facts, stillTyping(facts, room.clock.now()));
    }
  });
}

/** Stores who types until when, in place of what was stored before; only a change of the list takes a position. */
export function storeTyping(
  room: RoomContext,
  tx: RoomTransaction,
  facts: RoomFacts,
  typing: ReadonlyMap<string, number>,
): void {
  const before = Object.keys(facts.typing);
  if (before.length === 0 && typing.size === 0) return;
  const isNews = before.length !== typing.size || before.some((userId) => !typing.has(userId));
  const json: JsonObject = {};
  for (const [userId, untilMs] of typing) define(json, userId, untilMs);
  const typingNow = new Set(typing.keys());
  const forServers = typingForServers(room, before, typingNow);
  const streamPosition = isNews || forServers.size > 0 ? tx.room.takePosition() : facts.streamPosition;
  tx.room.setTyping(json, isNews ? streamPosition : facts.typingPosition);
  if (typing.size > 0) room.alarm.ensure(Math.min(...typing.values()));
  if (forServers.size > 0) noteTyping(room, forServers, { streamPosition, typing: typingNow });
  if (isNews || forServers.size > 0) {
    oweWakes(room, { membershipChanges: [], isForUsers: isNews, isForServers: forServers.size > 0 });
  }
}

/** User id → ms since epoch when they cease to type; only those whose time is not over. */
export function stillTyping(facts: RoomFacts, now: number): Map<string, number> {
  const typing = new Map<string, number>();
  for (const [userId, untilMs] of Object.entries(facts.typing)) {
    if (typeof untilMs === "number" && untilMs > now) typing.set(userId, untilMs);
  }
  return typing;
}

/**
 * Notes how far a user has read. A receipt never moves backwards, and one that says nothing new is not stored.
 *
 * @param input `threadId`: `main`, a thread root's event id, or null for an unthreaded receipt.
 * @throws MatrixError M_FORBIDDEN unless the user is joined; M_NOT_FOUND for an event that they cannot see;
 *   M_INVALID_PARAM when the event is not of the thread
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid
 */
export async function sendReceipt(
  room: RoomContext,
  input: { userId: UserId; receiptType: ReceiptType; eventId: EventId; threadId: string | null },
): Promise<null> {
  const { userId, receiptType, eventId, threadId } = input;
  assertJoined(room, userId);
  if (threadId === "") throw errors.invalidParam("thread_id must not be empty");
  return commit(room, (tx) => {
    assertJoined(room, userId);
    const record = requireVisible(new RoomViewer(room, { userId, deviceId: null }), eventId);
    if (threadId !== null && !isInThread(room, record, threadId)) {
      throw errors.invalidParam("The event does not belong to the thread that thread_id names");
    }
    const eventPosition = record.streamPosition ?? 0;
    const before = tx.receipts.find(userId, receiptType, threadId);
    if (before !== null && before.eventPosition >= eventPosition) return null;
    const streamPosition = tx.room.takePosition();
    const ts = room.clock.now();
    tx.receipts.put({ userId, receiptType, threadId, eventId, eventPosition, ts, streamPosition });
    // A private receipt is news to its owner only, but the owner's other devices are woken as everybody else is.
    oweWakes(room, { membershipChanges: [], isForServers: receiptType === "m.read" });
    return null;
  });
}

/** @throws MatrixError M_FORBIDDEN, also for a room that does not exist */
function assertJoined(room: RoomContext, userId: UserId): void {
  if (!room.store.memberships.isJoined(userId)) throw errors.forbidden("You are not joined to this room");
}

/**
 * What changed after a position, as ephemeral events: `m.typing` and one `m.receipt` for each thread.
 *
 * @param since null: everything, as for whom the room is new.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mtyping
 * @see https://spec.matrix.org/v1.19/client-server-api/#mreceipt
 */
export function ephemeralEvents(room: RoomContext, userId: UserId, since: number | null): JsonObject[] {
  const facts = room.store.room.get();
  const typing = [...stillTyping(facts, room.clock.now()).keys()];
  const events: JsonObject[] = [];
  if (since === null ? typing.length > 0 : facts.typingPosition > since) {
    events.push({ type: "m.typing", content: { user_ids: typing } });
  }
  const after = since ?? Number.MIN_SAFE_INTEGER;
  const byThread = Map.groupBy(
    room.store.receipts.changedSince(after, userId, maxReceipts),
    (receipt) => receipt.threadId,
  );
  for (const receipts of byThread.values()) events.push({ type: "m.receipt", content: receiptContent(receipts) });
  return events;
}

/** event id → receipt type → user id → receipt. All of one thread, so that no user stands twice at one place. */
function receiptContent(receipts: readonly ReceiptRecord[]): JsonObject {
  const content: JsonObject = {};
  for (const [eventId, ofEvent] of Map.groupBy(receipts, (receipt) => receipt.eventId)) {
    const types: JsonObject = {};
    for (const [receiptType, ofType] of Map.groupBy(ofEvent, (receipt) => receipt.receiptType)) {
      const users: JsonObject = {};
      for (const { userId, ts, threadId } of ofType) {
        define(users, userId, threadId === null ? { ts } : { ts, thread_id: threadId });
      }
      define(types, receiptType, users);
    }
    define(content, eventId, types);
  }
  return content;
}

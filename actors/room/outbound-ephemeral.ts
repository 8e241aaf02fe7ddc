/** What other servers are told beside the events: what this server's users have read, and that they type. */
import { serverNameOf, trusted, type UserId } from "../../shared/ids.ts";
import { define, type JsonObject } from "../../shared/json.ts";
import type { RoomContext } from "./context.ts";
import type { ReceiptRecord } from "./store/receipts.ts";

/** Receipts of one batch, at most. */
const maxReceipts = 300;
/** Users in one EDU, at most: it stays well below 64 KiB. */
const maxUsersOfEdu = 100;
/** How long it is worth while to say that somebody has begun, or ceased, to type. */
const typingNewsLifetimeMs = 30_000;
/** Servers forget who types after about a minute: whoever types on is named again by then. */
const typingRepeatMs = 40_000;

interface Range {
  readonly since: number;
  readonly through: number;
  readonly maxEdus: number;
}

/**
 * The receipts of this server's users that changed in a range of the stream, oldest first, as `m.receipt` EDUs: in each of
 * them a user stands once.
 *
 * @returns also the position up to which they are all of them: the range's end, unless there are too many.
 * @see https://spec.matrix.org/v1.19/server-server-api/#receipts
 */
export function receiptEdus(room: RoomContext, range: Range): { edus: JsonObject[]; through: number } {
  const groups: Map<UserId, ReceiptRecord>[] = [];
  const receipts = room.store.receipts.ofLocalUsers(range.since, range.through, maxReceipts + 1);
  let through = range.through;
  for (const [index, receipt] of receipts.entries()) {
    let group = groups.find((users) => !users.has(receipt.userId) && users.size < maxUsersOfEdu);
    if (index === maxReceipts || (group === undefined && groups.length >= range.maxEdus)) {
      through = receipt.streamPosition - 1;
      break;
    }
    if (group === undefined) {
      group = new Map();
      groups.push(group);
    }
    group.set(receipt.userId, receipt);
  }
  return { edus: groups.map((users) => receiptEdu(room, [...users.values()])), through };
}

function receiptEdu(room: RoomContext, receipts: readonly ReceiptRecord[]): JsonObject {
  const users: JsonObject = {};
  for (const { userId, eventId, ts, threadId } of receipts) {
    const data: JsonObject = threadId === null ? { ts } : { ts, thread_id: threadId };
    define(users, userId, { event_ids: [eventId], data });
  }
  return { edu_type: "m.receipt", content: { [room.roomId]: { "m.read": users } } };
}

/** What a user of this server was last told to do. */
interface TypingNews {
  readonly isTyping: boolean;
  readonly streamPosition: number;
  /** ms since epoch */
  readonly ts: number;
}

/** By the living instance of a room; what is lost with it is forgotten by the other servers within a minute. */
const news = new WeakMap<RoomContext, Map<UserId, TypingNews>>();

/**
 * Which of this server's users other servers must be told of: those who began or ceased to type, and those who have typed
 * for so long that the other servers are about to forget them.
 *
 * @param before who typed; `now`: who types.
 */
export function typingForServers(room: RoomContext, before: Iterable<string>, now: ReadonlySet<string>): Set<UserId> {
  const users = new Set<UserId>();
  if (!room.config.federation || !room.store.servers.isAnyIn()) return users;
  const typedBefore = new Set(before);
  const repeatedBefore = room.clock.now() - typingRepeatMs;
  for (const name of typedBefore.union(now)) {
    const userId = trusted.userId(name);
    if (serverNameOf(userId) !== room.config.serverName) continue;
    const isKnown = (news.get(room)?.get(userId)?.ts ?? Number.NEGATIVE_INFINITY) > repeatedBefore;
    if (typedBefore.has(name) !== now.has(name) || !isKnown) users.add(userId);
  }
  return users;
}

/** Remembers for the other servers that users have begun to type, still type, or have ceased to. */
export function noteTyping(
  room: RoomContext,
  users: ReadonlySet<UserId>,
  at: { streamPosition: number; typing: ReadonlySet<string> },
): void {
  const ts = room.clock.now();
  const known = news.get(room) ?? new Map<UserId, TypingNews>();
  news.set(room, known);
  for (const [userId, old] of known) if (old.ts <= ts - typingRepeatMs) known.delete(userId);
  for (const userId of users) {
    known.set(userId, { isTyping: at.typing.has(userId), streamPosition: at.streamPosition, ts });
  }
}

/**
 * Who of this server's users has begun or ceased to type in a range of the stream, unless that is too long ago to be of use.
 * @see https://spec.matrix.org/v1.19/server-server-api/#typing-notifications
 */
export function typingEdus(room: RoomContext, { since, through, maxEdus }: Range): JsonObject[] {
  const oldestTs = room.clock.now() - typingNewsLifetimeMs;
  return [...(news.get(room) ?? [])]
    .filter(([, { streamPosition, ts }]) => streamPosition > since && streamPosition <= through && ts >= oldestTs)
    .slice(0, maxEdus)
    .map(([userId, { isTyping }]) => ({
      edu_type: "m.typing",
      content: { room_id: room.roomId, user_id: userId, typing: isTyping },
    }));
}

/**
 * EDUs of another server. Each speaks only for its own users; one that is malformed, or that its server may not send, is
 * left out and holds up nothing.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#edus
 */
import { assertNever, MatrixError } from "../../shared/errors.ts";
import {
  type EventId,
  parseEventId,
  parseRoomId,
  parseUserId,
  type RoomId,
  serverNameOf,
  type UserId,
} from "../../shared/ids.ts";
import {
  define,
  field,
  isObject,
  type JsonObject,
  type JsonValue,
  objectField,
  stringField,
} from "../../shared/json.ts";
import { numberValue } from "../../shared/matrix/exact-numbers.ts";
import { inParallel } from "../../shared/parallel.ts";
import type { RemoteReceipt, RemoteTyping } from "../../shared/rpc/room-peers.ts";
import type { UserForUsers } from "../../shared/rpc/user.ts";
import type { ServerContext } from "./context.ts";
import { keepReceipts, tellRoom } from "./receipts.ts";

/** Kinds of EDUs that this server knows; `notYet`: by name only. */
type EduKind = "typing" | "receipt" | "directToDevice" | "notYet" | "unknown";

const kinds: ReadonlyMap<string, EduKind> = new Map([
  ["m.typing", "typing"],
  ["m.receipt", "receipt"],
  ["m.direct_to_device", "directToDevice"],
  ["m.presence", "notYet"],
  ["m.device_list_update", "notYet"],
  ["m.signing_key_update", "notYet"],
  // What older servers call the same.
  ["org.matrix.signing_key_update", "notYet"],
]);

/** Receipts of one transaction, at most. */
const maxReceipts = 5_000;
/** Rooms and users that the EDUs of one transaction reach, at most. */
const maxReached = 1_000;
/** Actors that are told at the same time. */
const maxAtOnce = 10;
/** "of maximum length 32 codepoints" */
const maxMessageId = 32;
/** Longest type of a message to a device, in characters. */
const maxTypeLength = 255;

/** What a transaction's EDUs say of a room. */
interface RoomNews {
  readonly typing: RemoteTyping[];
  readonly receipts: RemoteReceipt[];
}

/** A message to devices of a local user. */
type Deposit = Parameters<UserForUsers["depositToDevice"]>[0];

/** What the EDUs of a transaction come to. */
interface Collected {
  readonly rooms: Map<RoomId, RoomNews>;
  /** In the order in which they were sent. */
  readonly deposits: Map<UserId, Deposit[]>;
  receipts: number;
}

/**
 * Hands EDUs to those whom they are for.
 *
 * @throws Error when a message to a device could not be stored: the transaction must be sent again, because such a message
 *   is sent only once.
 */
export async function receiveEdus(server: ServerContext, edus: readonly JsonObject[]): Promise<void> {
  const collected: Collected = { rooms: new Map(), deposits: new Map(), receipts: 0 };
  for (const edu of edus) collect(server, edu, collected);
  const { rooms, deposits } = collected;
  await inParallel([...rooms], maxAtOnce, async ([roomId, news]) => {
    keepReceipts(server, roomId, { receipts: await tellRoom(server, roomId, news), tries: 1 });
  });
  await inParallel([...deposits], maxAtOnce, ([target, messages]) => tellUser(server, target, messages));
}

function collect(server: ServerContext, edu: JsonObject, collected: Collected): void {
  const type = stringField(edu, "edu_type") ?? "";
  const content = objectField(edu, "content") ?? {};
  const kind = kinds.get(type) ?? "unknown";
  switch (kind) {
    case "typing":
      collectTyping(server, content, collected);
      break;
    case "receipt":
      collectReceipts(server, content, collected);
      break;
    case "directToDevice":
      collectDeposits(server, content, collected);
      break;
    case "notYet":
      refuse(server, type);
      break;
    case "unknown":
      // Names that a server makes up are counted together.
      refuse(server, "unknown");
      break;
    default:
      assertNever(kind);
  }
}

/** Counts what this server has no use for, and says so once. */
function refuse(server: ServerContext, type: string): void {
  const { refusedEdus } = server.memory.inbox;
  const count = (refusedEdus.get(type) ?? 0) + 1;
  refusedEdus.set(type, count);
  if (count === 1) server.log.info("edu refused", { origin: server.serverName, edu_type: type });
}

/** The user that an EDU speaks for; null where it may not. */
function ownUser(server: ServerContext, value: JsonValue | undefined): UserId | null {
  const userId = typeof value === "string" ? parseUserId(value) : null;
  return userId !== null && serverNameOf(userId) === server.serverName ? userId : null;
}

function newsOf(collected: Collected, roomId: RoomId): RoomNews | null {
  const known = collected.rooms.get(roomId);
  if (known !== undefined) return known;
  if (collected.rooms.size >= maxReached) return null;
  const news = { typing: [], receipts: [] };
  collected.rooms.set(roomId, news);
  return news;
}

/** @see https://spec.matrix.org/v1.19/server-server-api/#typing-notifications */
function collectTyping(server: ServerContext, content: JsonObject, collected: Collected): void {
  const roomId = parseRoomId(stringField(content, "room_id") ?? "");
  const userId = ownUser(server, field(content, "user_id"));
  const isTyping = field(content, "typing");
  if (roomId === null || userId === null || typeof isTyping !== "boolean") return;
  newsOf(collected, roomId)?.typing.push({ userId, isTyping });
}

/** @see https://spec.matrix.org/v1.19/server-server-api/#receipts */
function collectReceipts(server: ServerContext, content: JsonObject, collected: Collected): void {
  for (const [room, types] of Object.entries(content)) {
    const roomId = parseRoomId(room);
    // No other type of receipt is sent between servers.
    const receipts = isObject(types) ? objectField(types, "m.read") : null;
    if (roomId === null || receipts === null) continue;
    for (const [user, entry] of Object.entries(receipts)) {
      if (collected.receipts >= maxReceipts) return;
      const userId = ownUser(server, user);
      const receipt = userId === null || !isObject(entry) ? null : receiptOf(server, userId, entry);
      if (receipt === null) continue;
      collected.receipts += 1;
      newsOf(collected, roomId)?.receipts.push(receipt);
    }
  }
}

function receiptOf(server: ServerContext, userId: UserId, entry: JsonObject): RemoteReceipt | null {
  const eventIds = field(entry, "event_ids");
  const data = objectField(entry, "data") ?? {};
  const threadId = field(data, "thread_id") ?? null;
  const ts = numberValue(field(data, "ts"));
  const eventId = Array.isArray(eventIds) ? eventIdOf(eventIds[0]) : null;
  if (eventId === null || (threadId !== null && typeof threadId !== "string")) return null;
  if (threadId !== null && threadId !== "main" && parseEventId(threadId) === null) return null;
  const isTime = ts !== null && Number.isSafeInteger(ts) && ts >= 0;
  return { userId, eventId, threadId, ts: isTime ? ts : server.clock.now() };
}

function eventIdOf(value: JsonValue | undefined): EventId | null {
  return typeof value === "string" ? parseEventId(value) : null;
}

/** @see https://spec.matrix.org/v1.19/server-server-api/#send-to-device-messaging */
function collectDeposits(server: ServerContext, content: JsonObject, collected: Collected): void {
  const sender = ownUser(server, field(content, "sender"));
  const type = stringField(content, "type");
  const messageId = stringField(content, "message_id");
  const targets = objectField(content, "messages");
  if (sender === null || type === null || messageId === null || targets === null) return;
  if (type.length > maxTypeLength || messageId.length > maxMessageId * 2 || [...messageId].length > maxMessageId)
    return;
  for (const [user, devices] of Object.entries(targets)) {
    const target = parseUserId(user);
    if (target === null || serverNameOf(target) !== server.config.serverName || !isObject(devices)) continue;
    const messages: Record<string, JsonObject> = {};
    for (const [deviceId, message] of Object.entries(devices)) {
      if (isObject(message)) define(messages, deviceId, message);
    }
    const before = collected.deposits.get(target) ?? [];
    if (before.length === 0 && collected.deposits.size >= maxReached) {
      server.log.warn("to-device messages dropped: too many users", { origin: server.serverName });
      return;
    }
    collected.deposits.set(target, [...before, { sender, messageId, type, messages }]);
  }
}

async function tellUser(server: ServerContext, target: UserId, messages: readonly Deposit[]): Promise<void> {
  for (const message of messages) {
    try {
      await server.actors.user(target).depositToDevice(message);
    } catch (thrown) {
      if (!(thrown instanceof MatrixError)) throw thrown;
      const { serverName: origin, log } = server;
      log.info("to-device message refused", { origin, user_id: target, errcode: thrown.errcode });
    }
  }
}

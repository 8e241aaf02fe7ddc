import { errors } from "../../shared/errors.ts";
import { type EventId, parseEventId, parseUserId, type RoomId, type UserId } from "../../shared/ids.ts";
import { type JsonObject, objectField, stringField } from "../../shared/json.ts";
import { defaultPushRules } from "../../shared/matrix/push/default-rules.ts";
import type { UserContext } from "./context.ts";
import type { UserReader } from "./store/index.ts";
import { wakeWaiters } from "./waiters.ts";

/** Types that the server manages: they have endpoints of their own. */
const managedTypes: readonly string[] = ["m.fully_read", "m.push_rules"];
/** Longest type, in bytes: these are events to clients. */
const maxTypeBytes = 255;
/** How often a marker is compared anew that another device has moved meanwhile. */
const maxRounds = 5;
/** Largest content of one type, in bytes of its JSON: a row of the database may have 2 MB, and a body is no measure of it. */
const maxContentBytes = 1_048_576;
/** All account data of a user: a first `/sync` brings all of it, and what one actor answers may have 32 MiB. */
const maxTotalBytes = 10_485_760;

/**
 * Account data of one type. Push rules that the user never changed are the default ones.
 *
 * @param roomId null: the global account data.
 * @throws MatrixError M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype
 */
export function getAccountData(user: UserContext, roomId: RoomId | null, type: string): JsonObject {
  if (roomId === null && type === "m.push_rules") return getPushRules(user);
  const content = user.store.accountData.find(roomId ?? "", type);
  if (content === null) throw errors.notFound("No account data of this type");
  return content;
}

/**
 * @param roomId null: the global account data.
 * @throws MatrixError 405 M_BAD_JSON for types that the server manages; M_INVALID_PARAM; M_TOO_LARGE
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype
 */
export function setAccountData(user: UserContext, roomId: RoomId | null, type: string, content: JsonObject): void {
  if (managedTypes.includes(type)) throw errors.managedByServer(`Cannot set ${type} through this API`);
  if (type === "" || new TextEncoder().encode(type).length > maxTypeBytes) {
    throw errors.invalidParam(`The type must have 1 to ${maxTypeBytes} bytes`);
  }
  changeAccountData(user, roomId ?? "", type, () => content);
}

/**
 * Moves the user's fully read marker, and never back: a device that was away may say late what it had read. "The event
 * MUST belong to the room."
 *
 * @throws MatrixError M_NOT_FOUND when it does not, or is not visible; M_UNKNOWN (409) where others keep moving it
 * @see https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers
 */
export async function moveFullyRead(user: UserContext, roomId: RoomId, eventId: EventId): Promise<void> {
  for (let round = 0; round < maxRounds; round += 1) {
    const before = fullyReadOf(user, roomId);
    if (!(await user.actors.room(roomId).isAfter(user.userId, eventId, before))) return;
    if (fullyReadOf(user, roomId) !== before) continue;
    changeAccountData(user, roomId, "m.fully_read", () => ({ event_id: eventId }));
    return;
  }
  throw errors.conflict("Other devices are moving the marker");
}

function fullyReadOf(user: UserContext, roomId: RoomId): EventId | null {
  const content = user.store.accountData.find(roomId, "m.fully_read") ?? {};
  return parseEventId(stringField(content, "event_id") ?? "");
}

/**
 * Stores what `change` makes of the account data of one type, in one transaction, and tells the user's clients.
 *
 * @param change is given what can be read; null: nothing changes.
 * @throws MatrixError M_TOO_LARGE
 */
export function changeAccountData(
  user: UserContext,
  roomId: RoomId | "",
  type: string,
  change: (stored: UserReader["accountData"]) => JsonObject | null,
): void {
  const bytes = user.store.transaction((tx) => {
    const content = change(tx.accountData);
    if (content === null) return null;
    // `1e20` is five times as long once it is written out: what counts is what will be stored.
    if (new TextEncoder().encode(JSON.stringify(content)).length > maxContentBytes) {
      throw errors.tooLarge(`The account data of one type may have at most ${maxContentBytes} bytes`);
    }
    const before = tx.accountData.bytesOf(roomId, type);
    const total = user.memory.accountDataBytes ?? tx.accountData.totalBytes();
    tx.accountData.set({ roomId, type, content, position: tx.streams.next() });
    const after = total - before + tx.accountData.bytesOf(roomId, type);
    if (after > maxTotalBytes && after > total) {
      throw errors.tooLarge(`All account data together may have at most ${maxTotalBytes} bytes`);
    }
    return after;
  });
  if (bytes === null) return;
  // Remembered only now: what was counted in a transaction that was rolled back would be wrong.
  user.memory.accountDataBytes = bytes;
  wakeWaiters(user);
}

/**
 * The content of `m.push_rules`: the user's, or the default rules.
 * @see https://spec.matrix.org/v1.19/client-server-api/#predefined-rules
 */
export function getPushRules(user: UserContext): JsonObject {
  return user.store.accountData.find("", "m.push_rules") ?? { global: defaultPushRules(user.userId) };
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#mignored_user_list */
export function getIgnoredUsers(user: UserContext): UserId[] {
  const content = user.store.accountData.find("", "m.ignored_user_list") ?? {};
  return Object.keys(objectField(content, "ignored_users") ?? {})
    .map(parseUserId)
    .filter((userId) => userId !== null)
    .filter((userId) => userId !== user.userId);
}

import { errors } from "../../shared/errors.ts";
import { type EventId, parseUserId, type RoomId, type UserId } from "../../shared/ids.ts";
import { type JsonObject, objectField } from "../../shared/json.ts";
import { defaultPushRules } from "../../shared/matrix/push/default-rules.ts";
import type { UserContext } from "./context.ts";
import { wakeWaiters } from "./waiters.ts";

/** Types that the server manages: they have endpoints of their own. */
const managedTypes: readonly string[] = ["m.fully_read", "m.push_rules"];
/** Longest type, in bytes: these are events to clients. */
const maxTypeBytes = 255;

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
 * @throws MatrixError 405 M_BAD_JSON for types that the server manages; M_INVALID_PARAM
 * @see https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype
 */
export function setAccountData(user: UserContext, roomId: RoomId | null, type: string, content: JsonObject): void {
  if (managedTypes.includes(type)) throw errors.managedByServer(`Cannot set ${type} through this API`);
  if (type === "" || new TextEncoder().encode(type).length > maxTypeBytes) {
    throw errors.invalidParam(`The type must have 1 to ${maxTypeBytes} bytes`);
  }
  store(user, roomId ?? "", type, content);
}

/**
 * Moves the user's fully read marker.
 * @see https://spec.matrix.org/v1.19/client-server-api/#fully-read-markers
 */
export function setFullyRead(user: UserContext, roomId: RoomId, eventId: EventId): void {
  store(user, roomId, "m.fully_read", { event_id: eventId });
}

function store(user: UserContext, roomId: RoomId | "", type: string, content: JsonObject): void {
  user.store.transaction((tx) => {
    tx.accountData.set({ roomId, type, content, position: tx.streams.next() });
  });
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

import type { RoomId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { getPushRules } from "../account-data.ts";
import type { UserContext } from "../context.ts";
import { filterAccountData, type RequestFilter } from "./filter.ts";

/** Global account data that changed after the token; all of it, push rules included, for a first answer. */
export function globalAccountData(user: UserContext, since: number | null, filter: RequestFilter): JsonObject[] {
  const events = user.store.accountData.since("", since ?? 0);
  const hasPushRules = events.some((event) => event.type === "m.push_rules");
  if (since === null && !hasPushRules) events.push({ type: "m.push_rules", content: getPushRules(user) });
  return filterAccountData(filter.accountData, events);
}

/** A room's account data that changed after the token; all of it when the client is new to the room. */
export function roomAccountData(
  user: UserContext,
  roomId: RoomId,
  request: { since: number | null; filter: RequestFilter },
): JsonObject[] {
  const events = user.store.accountData.since(roomId, request.since ?? 0);
  return filterAccountData(request.filter.room.accountData, events);
}

import type { RoomId } from "../../shared/ids.ts";
import { field, type JsonObject, objectField, withFields } from "../../shared/json.ts";
import type { UserContext } from "./context.ts";
import { wakeWaiters } from "./waiters.ts";

/**
 * Sets or removes one tag of a room, in one transaction: tags that another device sets meanwhile stay.
 *
 * @param content what the tag says, e.g. `order`; null removes the tag.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-tagging
 */
export function setRoomTag(user: UserContext, roomId: RoomId, tag: string, content: JsonObject | null): void {
  const isChanged = user.store.transaction((tx) => {
    const tags = objectField(tx.accountData.find(roomId, "m.tag") ?? {}, "tags") ?? {};
    if (content === null && field(tags, tag) === undefined) return false;
    const changed = { tags: withFields(tags, { [tag]: content ?? undefined }) };
    tx.accountData.set({ roomId, type: "m.tag", content: changed, position: tx.streams.next() });
    return true;
  });
  if (isChanged) wakeWaiters(user);
}

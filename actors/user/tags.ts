import type { RoomId } from "../../shared/ids.ts";
import { field, type JsonObject, objectField, withFields } from "../../shared/json.ts";
import { changeAccountData } from "./account-data.ts";
import type { UserContext } from "./context.ts";

/**
 * Sets or removes one tag of a room, in one transaction: tags that another device sets meanwhile stay.
 *
 * @param content what the tag says, e.g. `order`; null removes the tag.
 * @throws MatrixError M_TOO_LARGE when all tags of the room together would be
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-tagging
 */
export function setRoomTag(user: UserContext, roomId: RoomId, tag: string, content: JsonObject | null): void {
  changeAccountData(user, roomId, "m.tag", (stored) => {
    const tags = objectField(stored.find(roomId, "m.tag") ?? {}, "tags") ?? {};
    if (content === null && field(tags, tag) === undefined) return null;
    return { tags: withFields(tags, { [tag]: content ?? undefined }) };
  });
}

import type { Services } from "../../../shared/endpoint.ts";
import { MatrixError } from "../../../shared/errors.ts";
import type { RoomAlias, RoomId } from "../../../shared/ids.ts";
import { field, type JsonObject, objectField, withFields } from "../../../shared/json.ts";
import type { UserAuth } from "../../../shared/rpc/user.ts";

/**
 * Takes an alias that was removed out of the room's `m.room.canonical_alias`, in the requester's name: "Servers may choose
 * to update the alt_aliases for the m.room.canonical_alias state event in the room when an alias is removed." Where the
 * requester may not change the event, it stays: removing the alias has succeeded all the same.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias
 */
export async function retractCanonicalAlias(
  { actors, log }: Services,
  requester: UserAuth,
  { alias, roomId }: { readonly alias: RoomAlias; readonly roomId: RoomId },
): Promise<void> {
  const room = actors.room(roomId);
  const { userId: sender, deviceId } = requester;
  try {
    const { event } = await room.getStateEvent(sender, "m.room.canonical_alias", "");
    const content = withoutAlias(objectField(event, "content") ?? {}, alias);
    if (content === null) return;
    const update = { type: "m.room.canonical_alias", stateKey: "", content };
    await room.sendEvent({ sender, deviceId, txnId: null, redacts: null, ...update });
  } catch (thrown) {
    if (!(thrown instanceof MatrixError) || thrown.status >= 500) throw thrown;
    log.info("canonical alias stays", { room_id: roomId, errcode: thrown.errcode });
  }
}

/** The event's content without the alias; null when it does not name it. A list that becomes empty goes. */
function withoutAlias(content: JsonObject, alias: RoomAlias): JsonObject | null {
  const alternatives = field(content, "alt_aliases");
  const listed = Array.isArray(alternatives) ? alternatives : [];
  const left = listed.filter((listedAlias) => listedAlias !== alias);
  const isMain = field(content, "alias") === alias;
  if (!isMain && left.length === listed.length) return null;
  return withFields(content, {
    ...(isMain ? { alias: undefined } : {}),
    ...(left.length === listed.length ? {} : { alt_aliases: left.length === 0 ? undefined : left }),
  });
}

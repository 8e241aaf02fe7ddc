import type { Services } from "../../../shared/endpoint.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { parseRoomAlias, type RoomAlias, type RoomId, serverNameOf, type UserId } from "../../../shared/ids.ts";
import { field, type JsonObject, objectField, withFields } from "../../../shared/json.ts";
import { aliasesIn } from "../../../shared/matrix/content/canonical-alias.ts";
import { inParallel } from "../../../shared/parallel.ts";
import type { UserAuth } from "../../../shared/rpc/user.ts";
import { findAlias } from "./room-alias.ts";

/** Aliases of other servers that one event may add to a room's names, and servers that are asked at the same time. */
const maxAsked = 20;
const maxParallelAsked = 5;

/**
 * Of the aliases of other servers that an `m.room.canonical_alias` would add, those that lead to the room, as their servers
 * say. Nobody is asked for who may not read the room.
 *
 * @throws MatrixError M_INVALID_PARAM for too many
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomcanonical_alias
 */
export async function findAliasesElsewhere(
  services: Services,
  { requester, roomId, content }: { requester: UserId; roomId: RoomId; content: JsonObject },
): Promise<RoomAlias[]> {
  const named = new Set(aliasesIn(content).map((value) => (typeof value === "string" ? parseRoomAlias(value) : null)));
  const remote = [...named].filter((alias) => alias !== null && serverNameOf(alias) !== services.config.serverName);
  if (remote.length === 0) return [];
  const current = await currentNames(services, requester, roomId);
  if (current === null) return [];
  const added = remote.filter((alias) => alias !== null).filter((alias) => !current.includes(alias));
  if (added.length > maxAsked) {
    throw errors.invalidParam(`At most ${maxAsked} aliases of other servers can be added at a time`);
  }
  const found = await inParallel(added, maxParallelAsked, (alias) => leadsTo(services, alias, roomId));
  return added.filter((_, index) => found[index] === true);
}

/** What the room is called now; null for who may not read it. */
async function currentNames({ actors }: Services, requester: UserId, roomId: RoomId): Promise<unknown[] | null> {
  try {
    const { event } = await actors.room(roomId).getStateEvent(requester, "m.room.canonical_alias", "");
    return aliasesIn(objectField(event, "content") ?? {});
  } catch (thrown) {
    if (thrown instanceof MatrixError && thrown.status === 404) return [];
    if (thrown instanceof MatrixError && thrown.status === 403) return null;
    throw thrown;
  }
}

async function leadsTo(services: Services, alias: RoomAlias, roomId: RoomId): Promise<boolean> {
  try {
    return (await findAlias(services, alias)).room_id === roomId;
  } catch (thrown) {
    // No such alias, or a server that cannot be asked: the alias is not known to lead here.
    if (thrown instanceof MatrixError) return false;
    throw thrown;
  }
}

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

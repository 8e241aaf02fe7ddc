/** The requester's own membership: changed by the room, or by way of other servers where this one is not in it. */
import * as v from "valibot";
import type { Services } from "../../../shared/endpoint.ts";
import { parseServerName, type RoomId, type ServerName, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { RemoteMembership } from "../../../shared/rpc/egress-membership.ts";
import { queryList } from "../../../shared/validate.ts";

/** Servers that may know the room, by the name of today and the one before version 1.12. */
export const viaQuery = v.object({ via: v.optional(queryList), server_name: v.optional(queryList) });

/** Servers that a client may name. */
const maxVia = 20;

/** What the requester wants to be in a room. */
export interface OwnMembershipChange {
  readonly action: "join" | "knock" | "leave";
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly reason: string | null;
  /** Further content of the member event, as the client gave it. */
  readonly content: JsonObject;
  /** Servers that are said to know the room. */
  readonly servers: readonly ServerName[];
}

/** The servers that a client names. What is no server name is left out. */
export function serversOf({ via, server_name }: v.InferOutput<typeof viaQuery>): ServerName[] {
  const names = [...(via ?? []), ...(server_name ?? [])].slice(0, maxVia);
  return names.map(parseServerName).filter((name) => name !== null);
}

/**
 * @throws MatrixError M_FORBIDDEN and what else the room, or a server in it, says; M_NOT_FOUND when no server is known that is
 *   in the room; M_UNKNOWN (502) when none could help
 */
export async function changeOwnMembership({ actors, egress }: Services, change: OwnMembershipChange): Promise<void> {
  const { action, userId, roomId, reason, content } = change;
  const input = { action, requester: userId, target: userId, reason, content };
  const here = await actors.room(roomId).changeMembership(input);
  if (here.eventId !== null) return;
  // Who invited is most likely to know of it.
  const known = [...new Set([...here.servers, ...change.servers])];
  const guessed = here.formerServers.length > 0 ? [...here.formerServers] : serverOf(roomId);
  const servers = known.length > 0 ? known : guessed;
  const remote: RemoteMembership = { roomId, userId, reason, content, servers };
  // The room sees it through, also when the client does not wait for it.
  if (action === "join") await actors.room(roomId).joinByOthers(remote);
  else if (action === "knock") await egress.knockRoom(remote);
  else await egress.leaveRoom(remote);
}

/**
 * Until room version 12, the server on which the room was made. Nothing says that it is in it still, and who names
 * servers wants the room by way of those.
 */
export function serverOf(roomId: RoomId): ServerName[] {
  const server = parseServerName(roomId.slice(roomId.indexOf(":") + 1));
  return roomId.includes(":") && server !== null ? [server] : [];
}

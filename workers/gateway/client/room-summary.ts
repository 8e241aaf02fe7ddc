import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { withFields } from "../../../shared/json.ts";
import { HierarchyWalk } from "./hierarchy-walk.ts";
import { serverOf, serversOf, viaQuery } from "./own-membership.ts";
import { resolveRoom } from "./room-alias.ts";

/** `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias */
export const getRoomSummary = endpoint(
  {
    operationId: "getRoomSummary",
    method: "GET",
    path: "/_matrix/client/v1/room_summary/:roomIdOrAlias",
    aliases: [
      "/_matrix/client/unstable/im.nheko.summary/summary/:roomIdOrAlias",
      "/_matrix/client/unstable/im.nheko.summary/rooms/:roomIdOrAlias/summary",
    ],
    auth: "accessToken",
    query: viaQuery,
  },
  async (context) => {
    const { roomId, servers } = await resolveRoom(context, context.params.roomIdOrAlias, serversOf(context.query));
    // Of the rooms that a space lists, nothing is wanted.
    const walk = new HierarchyWalk(context, context.auth.userId, { suggestedOnly: true, maxDepth: 0 });
    const room = await walk.describe({ roomId, via: servers.length > 0 ? servers : serverOf(roomId) });
    // A room that is not shown to the user is as one that does not exist.
    if (room === null) throw errors.notFound("Room not found");
    return withFields(room.summary, { membership: room.membership ?? undefined });
  },
);

import { endpoint } from "../../../shared/endpoint.ts";
import { ownMembershipBody } from "./membership-body.ts";
import { changeOwnMembership, serversOf, viaQuery } from "./own-membership.ts";
import { resolveRoom } from "./room-alias.ts";

/** `POST /_matrix/client/v3/knock/{roomIdOrAlias}` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias */
export const knockRoom = endpoint(
  {
    operationId: "knockRoom",
    method: "POST",
    path: "/_matrix/client/v3/knock/:roomIdOrAlias",
    auth: "accessToken",
    rateLimit: "rc_joins",
    query: viaQuery,
    body: ownMembershipBody,
    allowsEmptyBody: true,
  },
  async (context) => {
    const { roomId, servers } = await resolveRoom(context, context.params.roomIdOrAlias, serversOf(context.query));
    await changeOwnMembership(context, {
      action: "knock",
      userId: context.auth.userId,
      roomId,
      reason: context.body.reason ?? null,
      content: {},
      servers,
    });
    return { room_id: roomId };
  },
);

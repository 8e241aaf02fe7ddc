import { endpoint } from "../../../shared/endpoint.ts";
import { ownMembershipBody } from "./membership-body.ts";
import { resolveRoom } from "./room-alias.ts";

/** `POST /_matrix/client/v3/knock/{roomIdOrAlias}` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias */
export const knockRoom = endpoint(
  {
    operationId: "knockRoom",
    method: "POST",
    path: "/_matrix/client/v3/knock/:roomIdOrAlias",
    auth: "accessToken",
    rateLimit: "rc_joins",
    body: ownMembershipBody,
    allowsEmptyBody: true,
  },
  async (context) => {
    const roomId = await resolveRoom(context, context.params.roomIdOrAlias);
    const { userId } = context.auth;
    await context.actors.room(roomId).changeMembership({
      action: "knock",
      requester: userId,
      target: userId,
      reason: context.body.reason ?? null,
      thirdPartySigned: null,
    });
    return { room_id: roomId };
  },
);

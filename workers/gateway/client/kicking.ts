import { endpoint } from "../../../shared/endpoint.ts";
import { targetMembershipBody } from "./membership-body.ts";

/** `POST /_matrix/client/v3/rooms/{roomId}/kick` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick */
export const kick = endpoint(
  {
    operationId: "kick",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/kick",
    aliases: ["/_matrix/client/r0/rooms/:roomId/kick"],
    auth: "accessToken",
    body: targetMembershipBody,
  },
  async ({ params, auth, body, actors }) => {
    await actors.room(params.roomId).changeMembership({
      action: "kick",
      requester: auth.userId,
      target: body.user_id,
      reason: body.reason ?? null,
      content: {},
    });
    return {};
  },
);

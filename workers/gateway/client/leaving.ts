import { endpoint } from "../../../shared/endpoint.ts";
import { ownMembershipBody } from "./membership-body.ts";

/** `POST /_matrix/client/v3/rooms/{roomId}/leave` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave */
export const leaveRoom = endpoint(
  {
    operationId: "leaveRoom",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/leave",
    aliases: ["/_matrix/client/r0/rooms/:roomId/leave"],
    auth: "accessToken",
    body: ownMembershipBody,
    allowsEmptyBody: true,
  },
  async ({ params, auth, body, actors }) => {
    await actors.room(params.roomId).changeMembership({
      action: "leave",
      requester: auth.userId,
      target: auth.userId,
      reason: body.reason ?? null,
      thirdPartySigned: null,
    });
    return {};
  },
);

/** `POST /_matrix/client/v3/rooms/{roomId}/forget` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget */
export const forgetRoom = endpoint(
  {
    operationId: "forgetRoom",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/forget",
    aliases: ["/_matrix/client/r0/rooms/:roomId/forget"],
    auth: "accessToken",
  },
  async ({ params, auth, actors }) => {
    await actors.room(params.roomId).forget(auth.userId);
    return {};
  },
);

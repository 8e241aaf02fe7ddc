import { endpoint } from "../../../shared/endpoint.ts";
import { ownMembershipBody } from "./membership-body.ts";
import { changeOwnMembership } from "./own-membership.ts";

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
  async (context) => {
    await changeOwnMembership(context, {
      action: "leave",
      userId: context.auth.userId,
      roomId: context.params.roomId,
      reason: context.body.reason ?? null,
      content: {},
      servers: [],
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

import { endpoint } from "../../../shared/endpoint.ts";
import { targetMembershipBody } from "./membership-body.ts";

/** `POST /_matrix/client/v3/rooms/{roomId}/ban` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidban */
export const ban = endpoint(
  {
    operationId: "ban",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/ban",
    aliases: ["/_matrix/client/r0/rooms/:roomId/ban"],
    auth: "accessToken",
    body: targetMembershipBody,
  },
  async ({ params, auth, body, actors }) => {
    await actors.room(params.roomId).changeMembership({
      action: "ban",
      requester: auth.userId,
      target: body.user_id,
      reason: body.reason ?? null,
      content: {},
    });
    return {};
  },
);

/** `POST /_matrix/client/v3/rooms/{roomId}/unban` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban */
export const unban = endpoint(
  {
    operationId: "unban",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/unban",
    aliases: ["/_matrix/client/r0/rooms/:roomId/unban"],
    auth: "accessToken",
    body: targetMembershipBody,
  },
  async ({ params, auth, body, actors }) => {
    await actors.room(params.roomId).changeMembership({
      action: "unban",
      requester: auth.userId,
      target: body.user_id,
      reason: body.reason ?? null,
      content: {},
    });
    return {};
  },
);

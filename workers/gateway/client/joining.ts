import type * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import type { RoomId, UserId } from "../../../shared/ids.ts";
import { ownMembershipBody } from "./membership-body.ts";
import { resolveRoom } from "./room-alias.ts";

/** `POST /_matrix/client/v3/rooms/{roomId}/join` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin */
export const joinRoomById = endpoint(
  {
    operationId: "joinRoomById",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/join",
    aliases: ["/_matrix/client/r0/rooms/:roomId/join"],
    auth: "accessToken",
    rateLimit: "rc_joins",
    body: ownMembershipBody,
    allowsEmptyBody: true,
  },
  (context) => join(context, context.auth.userId, context.params.roomId, context.body),
);

/** `POST /_matrix/client/v3/join/{roomIdOrAlias}` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias */
export const joinRoom = endpoint(
  {
    operationId: "joinRoom",
    method: "POST",
    path: "/_matrix/client/v3/join/:roomIdOrAlias",
    aliases: ["/_matrix/client/r0/join/:roomIdOrAlias"],
    auth: "accessToken",
    rateLimit: "rc_joins",
    body: ownMembershipBody,
    allowsEmptyBody: true,
  },
  async (context) => {
    const roomId = await resolveRoom(context, context.params.roomIdOrAlias);
    return await join(context, context.auth.userId, roomId, context.body);
  },
);

type JoinBody = v.InferOutput<typeof ownMembershipBody>;

async function join({ actors }: Services, requester: UserId, roomId: RoomId, body: JoinBody) {
  await actors.room(roomId).changeMembership({
    action: "join",
    requester,
    target: requester,
    reason: body.reason ?? null,
    thirdPartySigned: body.third_party_signed ?? null,
  });
  return { room_id: roomId };
}

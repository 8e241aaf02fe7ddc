import type * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import type { UserId } from "../../../shared/ids.ts";
import { withFields } from "../../../shared/json.ts";
import { takeUpSigned } from "../federation/bound-invite.ts";
import { joinBody } from "./membership-body.ts";
import { changeOwnMembership, serversOf, viaQuery } from "./own-membership.ts";
import { type ResolvedRoom, resolveRoom } from "./room-alias.ts";

/** `POST /_matrix/client/v3/rooms/{roomId}/join` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin */
export const joinRoomById = endpoint(
  {
    operationId: "joinRoomById",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/join",
    aliases: ["/_matrix/client/r0/rooms/:roomId/join"],
    auth: "accessToken",
    rateLimit: "rc_joins",
    body: joinBody,
    allowsEmptyBody: true,
  },
  (context) => join(context, context.auth.userId, { roomId: context.params.roomId, servers: [] }, context.body),
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
    query: viaQuery,
    body: joinBody,
    allowsEmptyBody: true,
  },
  async (context) => {
    const room = await resolveRoom(context, context.params.roomIdOrAlias, serversOf(context.query));
    return await join(context, context.auth.userId, room, context.body);
  },
);

type JoinBody = v.InferOutput<typeof joinBody>;

async function join(services: Services, userId: UserId, { roomId, servers }: ResolvedRoom, body: JoinBody) {
  const reason = body.reason ?? null;
  const signed = body.third_party_signed ?? null;
  if (signed !== null) await takeUpSigned(services, { roomId, userId, signed });
  const content = withFields(body, { reason: undefined, third_party_signed: undefined });
  await changeOwnMembership(services, { action: "join", userId, roomId, reason, content, servers });
  return { room_id: roomId };
}

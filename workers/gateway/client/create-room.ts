import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import { type RoomId, serverNameOf, type UserId } from "../../../shared/ids.ts";
import { inParallel } from "../../../shared/parallel.ts";
import { maxInitialState, maxInvitees } from "../../../shared/room-creation.ts";
import type { CreateRoomRequest } from "../../../shared/rpc/user.ts";
import { anyObject, objectOf, userId } from "../../../shared/validate.ts";

/** Servers that are asked at the same time, at most. */
const maxParallelInvites = 5;

const createRoomBody = v.object({
  visibility: v.nullish(v.picklist(["public", "private"])),
  room_alias_name: v.nullish(v.string()),
  name: v.nullish(v.string()),
  topic: v.nullish(v.string()),
  invite: v.nullish(v.pipe(v.array(userId), v.maxLength(maxInvitees))),
  invite_3pid: v.nullish(v.array(anyObject)),
  room_version: v.nullish(v.string()),
  creation_content: v.nullish(anyObject),
  initial_state: v.nullish(
    v.pipe(
      v.array(objectOf({ type: v.string(), state_key: v.optional(v.string(), ""), content: anyObject })),
      v.maxLength(maxInitialState),
    ),
  ),
  preset: v.nullish(v.picklist(["private_chat", "public_chat", "trusted_private_chat"])),
  is_direct: v.nullish(v.boolean()),
  power_level_content_override: v.nullish(anyObject),
});

/** `POST /_matrix/client/v3/createRoom` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom */
export const createRoom = endpoint(
  {
    operationId: "createRoom",
    method: "POST",
    path: "/_matrix/client/v3/createRoom",
    aliases: ["/_matrix/client/r0/createRoom"],
    auth: "accessToken",
    rateLimit: "rc_room_creation",
    body: createRoomBody,
  },
  async (context) => {
    const { userId } = context.auth;
    const request = requestOf(context.body);
    assertMayInvite(context, request.invite);
    const { roomId } = await context.actors.user(userId).createRoom(request);
    await inviteRemote(context, { roomId, requester: userId, request });
    return { room_id: roomId };
  },
);

function requestOf(body: v.InferOutput<typeof createRoomBody>): CreateRoomRequest {
  if (body.invite_3pid !== undefined && body.invite_3pid !== null && body.invite_3pid.length > 0) {
    throw errors.unknown("This server cannot invite by e-mail address or phone number");
  }
  const initialState = body.initial_state ?? [];
  return {
    roomVersion: body.room_version ?? null,
    preset: body.preset ?? null,
    visibility: body.visibility ?? "private",
    roomAliasName: body.room_alias_name ?? null,
    name: body.name ?? null,
    topic: body.topic ?? null,
    invite: [...new Set(body.invite ?? [])],
    isDirect: body.is_direct ?? false,
    creationContent: body.creation_content ?? {},
    initialState: initialState.map(({ type, state_key: stateKey, content }) => ({ type, stateKey, content })),
    powerLevelContentOverride: body.power_level_content_override ?? null,
  };
}

/** Said before there is a room. @throws MatrixError M_FORBIDDEN */
function assertMayInvite({ config }: Services, invitees: readonly UserId[]): void {
  for (const server of invitees.map(serverNameOf)) {
    if (server === config.serverName || mayTalkTo(config, server)) continue;
    throw errors.forbidden(`This server does not federate with ${server}`);
  }
}

/**
 * Invites the users of other servers: their servers have to be asked, so the room is there first.
 * @throws MatrixError what keeps the first of those from being invited who could not be
 */
async function inviteRemote(
  { egress, config }: Services,
  { roomId, requester, request }: { roomId: RoomId; requester: UserId; request: CreateRoomRequest },
): Promise<void> {
  const remote = request.invite.filter((invitee) => serverNameOf(invitee) !== config.serverName);
  const content = request.isDirect ? { is_direct: true } : {};
  const failed: unknown[] = [];
  await inParallel(remote, maxParallelInvites, async (target) => {
    try {
      await egress.inviteUser({ roomId, requester, target, content });
    } catch (thrown) {
      failed.push(thrown);
    }
  });
  if (failed.length > 0) throw failed[0];
}

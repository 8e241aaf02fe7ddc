import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { userId } from "../../../shared/validate.ts";

/** Users who may stand beside the creator: an event has room for some hundred. */
const maxAdditionalCreators = 200;

/** `POST /_matrix/client/v3/rooms/{roomId}/upgrade` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade */
export const upgradeRoom = endpoint(
  {
    operationId: "upgradeRoom",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/upgrade",
    aliases: ["/_matrix/client/r0/rooms/:roomId/upgrade"],
    auth: "accessToken",
    rateLimit: "rc_room_creation",
    body: v.object({
      new_version: v.string(),
      additional_creators: v.nullish(v.pipe(v.array(userId), v.maxLength(maxAdditionalCreators))),
    }),
  },
  async ({ params, auth, body, actors }) => {
    const { roomId } = await actors.room(params.roomId).upgradeRoom({
      requester: auth.userId,
      newVersion: body.new_version,
      additionalCreators: [...new Set(body.additional_creators ?? [])].filter((creator) => creator !== auth.userId),
    });
    return { replacement_room: roomId };
  },
);

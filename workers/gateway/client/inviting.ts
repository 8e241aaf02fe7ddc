import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { serverNameOf } from "../../../shared/ids.ts";
import { userId } from "../../../shared/validate.ts";

const inviteBody = v.object({
  user_id: v.optional(userId),
  reason: v.nullish(v.string()),
  medium: v.optional(v.string()),
});

/** `POST /_matrix/client/v3/rooms/{roomId}/invite` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite */
export const inviteUser = endpoint(
  {
    operationId: "inviteUser",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/invite",
    aliases: ["/_matrix/client/r0/rooms/:roomId/invite"],
    auth: "accessToken",
    rateLimit: "rc_invites",
    body: inviteBody,
  },
  async ({ params, auth, body, actors, egress, config }) => {
    if (body.user_id === undefined) throw withoutUser(body.medium);
    const { roomId } = params;
    const [requester, target, reason] = [auth.userId, body.user_id, body.reason ?? null];
    if (serverNameOf(target) === config.serverName) {
      const invite = { action: "invite", requester, target, reason, content: {} } as const;
      await actors.room(roomId).changeMembership(invite);
    } else await egress.inviteUser({ roomId, requester, target, content: reason === null ? {} : { reason } });
    return {};
  },
);

/** The same path takes third-party identifiers, which name no user yet. */
function withoutUser(medium: string | undefined) {
  if (medium === undefined) return errors.missingParam("body.user_id: missing");
  return errors.unknown("This server cannot invite by e-mail address or phone number");
}

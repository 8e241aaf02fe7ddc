import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
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
  async ({ params, auth, body, actors }) => {
    if (body.user_id === undefined) throw withoutUser(body.medium);
    await actors.room(params.roomId).changeMembership({
      action: "invite",
      requester: auth.userId,
      target: body.user_id,
      reason: body.reason ?? null,
      thirdPartySigned: null,
    });
    return {};
  },
);

/** The same path takes third-party identifiers, which name no user yet. */
function withoutUser(medium: string | undefined) {
  if (medium === undefined) return errors.missingParam("body.user_id: missing");
  return errors.unknown("This server cannot invite by e-mail address or phone number");
}

import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { serverNameOf } from "../../../shared/ids.ts";
import { anyObject, roomId as roomIdText, userId as userIdText } from "../../../shared/validate.ts";
import { assertKeysValid, plainSigned, takeUp } from "./bound-invite.ts";

/** Invites of one notice that are looked at: whoever sends it has proven nothing. */
const maxInvites = 20;

/** `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1exchange_third_party_inviteroomid */
export const exchangeThirdPartyInvite = endpoint(
  {
    operationId: "exchangeThirdPartyInvite",
    method: "PUT",
    path: "/_matrix/federation/v1/exchange_third_party_invite/:roomId",
    auth: "serverSignature",
    body: v.object({
      type: v.literal("m.room.member"),
      room_id: roomIdText,
      sender: userIdText,
      state_key: userIdText,
      content: v.object({
        membership: v.literal("invite"),
        third_party_invite: v.object({ signed: anyObject }),
      }),
    }),
  },
  async ({ params, auth, body, actors, egress }) => {
    const { sender, state_key: target, content } = body;
    if (body.room_id !== params.roomId) throw errors.invalidParam("The event is of another room");
    if (serverNameOf(target) !== auth.origin) throw errors.forbidden(`${target} is not a user of ${auth.origin}`);
    const signed = plainSigned(content.third_party_invite.signed, target);
    const { roomId } = params;
    await assertKeysValid({ actors, egress }, { roomId, origin: auth.origin, signed });
    const invite = await actors.room(roomId).exchangeInvite({ origin: auth.origin, sender, target, signed });
    await egress.inviteUser({ roomId, requester: sender, target, content: invite.content });
    return {};
  },
);

/** `PUT /_matrix/federation/v1/3pid/onbind` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind */
export const onBindThirdPartyIdentifier = endpoint(
  {
    operationId: "onBindThirdPartyIdentifier",
    method: "PUT",
    path: "/_matrix/federation/v1/3pid/onbind",
    auth: "none",
    body: v.object({
      mxid: userIdText,
      invites: v.array(v.object({ mxid: userIdText, room_id: roomIdText, sender: userIdText, signed: anyObject })),
    }),
  },
  async (context) => {
    const { body, config } = context;
    if (!config.federation) throw errors.unrecognized("This server does not federate");
    if (body.invites.length > maxInvites) throw errors.invalidParam(`A notice has at most ${maxInvites} invites`);
    let refusal: MatrixError | null = null;
    for (const { mxid, room_id: roomId, sender, signed } of body.invites) {
      try {
        if (mxid !== body.mxid) throw errors.invalidParam("The invite is for another user");
        await takeUp(context, { roomId, sender, target: mxid, signed: plainSigned(signed, mxid) });
      } catch (thrown) {
        if (!(thrown instanceof MatrixError)) throw thrown;
        refusal = thrown;
      }
    }
    // The others stand.
    if (refusal !== null) throw refusal;
    return {};
  },
);

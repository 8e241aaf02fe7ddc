import { errors } from "../../../shared/errors.ts";
import { parseAnswer } from "../../../shared/federation-api/handshakes.ts";
import { inviteRequest, parseInviteAnswer } from "../../../shared/federation-api/invites.ts";
import { fetchKeyRing } from "../../../shared/federation-api/key-ring.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import { queryProfile } from "../../../shared/federation-api/query.ts";
import { type EventId, type RoomId, type ServerName, serverNameOf, type UserId } from "../../../shared/ids.ts";
import { isObject, type JsonObject, objectField, stringField, withFields } from "../../../shared/json.ts";
import { rulesFor } from "../../../shared/matrix/room-version.ts";
import { signingKeyIds, verifyEvent } from "../../../shared/matrix/signing.ts";
import type { PeerAnswer, PeerRequest } from "../../../shared/rpc/egress.ts";
import type { RemoteInvite } from "../../../shared/rpc/egress-membership.ts";
import type { PreparedInvite } from "../../../shared/rpc/room-joining.ts";
import type { EgressContext } from "../context.ts";
import { requestPeer } from "../request.ts";
import { answerText, NextServer } from "./candidates.ts";
import { sourcesOf } from "./keys-of-answer.ts";

/** Keys of one server that are asked for. */
const maxKeyIds = 10;
/** The invite goes out without a name sooner than it waits longer for one. */
const profileTimeoutMs = 3_000;
/** What is longer is no name, and would make a large event. */
const maxProfileFieldLength = 1_000;
const noFailover: ReadonlySet<string> = new Set();

/**
 * Invites a user of another server: their server has to sign the invite before it becomes part of the room.
 *
 * @throws MatrixError M_FORBIDDEN and the like of the room or of the other server; M_UNKNOWN (502) when that server cannot
 *   be had or does not sign
 * @see https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
export async function inviteUser(egress: EgressContext, input: RemoteInvite): Promise<{ eventId: EventId }> {
  const { roomId, requester, target, content } = input;
  const server = serverNameOf(target);
  if (!mayTalkTo(egress.config, server)) throw errors.forbidden(`This server does not federate with ${server}`);
  const room = egress.actors.room(roomId);
  await room.checkInvite({ requester, target, content });
  const described = { ...(await profileOf(egress, target)), ...content };
  const invite = await room.prepareInvite({ requester, target, content: described });
  try {
    const signed = await signBy(egress, invite, { server, roomId });
    const keys = await fetchKeyRing(sourcesOf(egress), [signed]);
    return await room.completeInvite({ pdu: JSON.stringify(signed), keys });
  } catch (thrown) {
    if (!(thrown instanceof NextServer)) throw thrown;
    // How it failed is this server's network, and no business of a client's.
    egress.log.info("server could not help", { server, action: "invite a user", reason: thrown.message });
    throw errors.badGateway(`${server} could not be had`);
  }
}

/** What the members of the room call somebody who is not in it yet, as far as their server says so. */
async function profileOf(egress: EgressContext, target: UserId): Promise<JsonObject> {
  const request = (input: PeerRequest) => requestPeer(egress, input);
  const asked = await queryProfile({ request }, target, null, profileTimeoutMs);
  const profile: JsonObject = {};
  for (const name of ["displayname", "avatar_url"]) {
    const value = asked.ok ? stringField(asked.value, name) : null;
    if (value !== null && value.length <= maxProfileFieldLength) profile[name] = value;
  }
  return profile;
}

/** Our invite with the other server's signature: nothing else is taken from what it returned. */
async function signBy(
  egress: EgressContext,
  invite: PreparedInvite,
  { server, roomId }: { server: ServerName; roomId: RoomId },
): Promise<JsonObject> {
  const answer = await send(egress, invite, { server, roomId });
  const own = parseAnswer(invite.pdu);
  if (own === undefined || !isObject(own)) throw new Error("an event of our own making is not JSON");
  const returned = parseInviteAnswer(answerText(answer, noFailover));
  const signature = objectField(objectField(returned ?? {}, "signatures") ?? {}, server);
  if (signature === null) throw new NextServer("it did not sign the invite");
  const signatures = withFields(objectField(own, "signatures") ?? {}, { [server]: signature });
  const signed = withFields(own, { signatures });
  const rules = rulesFor(invite.roomVersion);
  const keyIds = signingKeyIds(signed, server).slice(0, maxKeyIds);
  const keys = await egress.actors.server(server).getVerifyKeys({ keyIds, validAt: egress.clock.now() });
  const known = new Map(Object.entries(keys).map(([keyId, { key }]) => [keyId, key]));
  if (rules === null || !verifyEvent(signed, rules, server, known)) throw new NextServer("its signature is not valid");
  return signed;
}

/** "Senders which receive a 400 or 404 response to this endpoint should retry using the v1 API", in the oldest rooms. */
async function send(
  egress: EgressContext,
  invite: PreparedInvite,
  { server, roomId }: { server: ServerName; roomId: RoomId },
): Promise<PeerAnswer> {
  const answer = await requestPeer(egress, inviteRequest(server, "v2", { roomId, invite }));
  const isOldRoom = invite.roomVersion === "1" || invite.roomVersion === "2";
  const isOldServer = answer.kind === "answered" && (answer.status === 400 || answer.status === 404);
  if (!isOldRoom || !isOldServer) return answer;
  return await requestPeer(egress, inviteRequest(server, "v1", { roomId, invite }));
}

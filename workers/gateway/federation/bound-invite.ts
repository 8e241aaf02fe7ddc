/** Invites by third-party id once an identity server has said whose id it is. */
import type { Services } from "../../../shared/endpoint.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import { exchangeRequest } from "../../../shared/federation-api/third-party-invite.ts";
import { parseUserId, type RoomId, type ServerName, serverNameOf, type UserId } from "../../../shared/ids.ts";
import { field, type JsonObject, stringField } from "../../../shared/json.ts";
import { plainObject } from "../../../shared/json-text.ts";

/** Keys of one invite about which an identity server is asked, at most. */
const maxKeysAsked = 3;

/**
 * "H1 MUST verify the request from H3 to ensure the `signed` property is correct as well as the `key_validity_url` as still
 * being valid."
 *
 * @throws MatrixError M_NOT_FOUND where this server is not in the room; M_FORBIDDEN; M_UNKNOWN (502) when nobody says
 * @see https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-20
 */
export async function assertKeysValid(
  { actors, egress }: Pick<Services, "actors" | "egress">,
  { roomId, ...asked }: { roomId: RoomId; origin: ServerName; signed: JsonObject },
): Promise<void> {
  const keys = await actors.room(roomId).getInviteKeys(asked);
  if (keys.some(({ validityUrl }) => validityUrl === null)) return;
  let isSilent = false;
  for (const { publicKey, validityUrl } of keys.slice(0, maxKeysAsked)) {
    const isValid = validityUrl === null || (await egress.isKeyValid({ url: validityUrl, publicKey }));
    if (isValid === true) return;
    if (isValid === null) isSilent = true;
  }
  if (isSilent) throw errors.badGateway("The identity server did not say whether its key is valid");
  throw errors.forbidden("The identity server's key is not valid any more");
}

/** What the identity server has signed, if it is about that user. @throws MatrixError M_INVALID_PARAM */
export function plainSigned(value: JsonObject, target: UserId): JsonObject {
  const signed = plainObject(value);
  if (signed === null || stringField(signed, "mxid") !== target || typeof field(signed, "token") !== "string") {
    throw errors.invalidParam("signed does not name the user and the token of the invite");
  }
  return signed;
}

/** An invite by third-party id, once it is known whose id that is. */
export interface BoundInvite {
  readonly roomId: RoomId;
  readonly sender: UserId;
  readonly target: UserId;
  /** By the identity server. */
  readonly signed: JsonObject;
}

/** For a local user whom an identity server says to have bound the id. @throws MatrixError M_FORBIDDEN, M_LIMIT_EXCEEDED, M_INVITE_BLOCKED, M_UNKNOWN (502) */
export async function takeUp(services: Services, invite: BoundInvite): Promise<void> {
  const { actors, config } = services;
  const { roomId, target } = invite;
  const user = actors.user(target);
  if (serverNameOf(target) !== config.serverName || !(await user.exists())) {
    throw errors.forbidden(`${target} is not a user of this server`);
  }
  // Whether the user takes invites; counts this one against what they may get.
  await user.getMemberProfile("invite", roomId);
  await exchange(services, invite);
}

/**
 * Takes up an invite by third-party id that a local user has the identity server's word for, to join by it.
 *
 * @param signed `third_party_signed`, as the client gave it
 * @throws MatrixError M_INVALID_PARAM when it is not about the user; M_FORBIDDEN, M_UNKNOWN (502)
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin
 */
export async function takeUpSigned(
  services: Services,
  { roomId, userId, signed }: { roomId: RoomId; userId: UserId; signed: JsonObject },
): Promise<void> {
  const sender = parseUserId(stringField(signed, "sender") ?? "");
  if (sender === null) throw errors.invalidParam("body.third_party_signed.sender: not a user id");
  await exchange(services, { roomId, sender, target: userId, signed: plainSigned(signed, userId) });
}

/** Turns an invite of a local user's third-party id into one of theirs, here or through the server that sent it. */
async function exchange(services: Services, invite: BoundInvite): Promise<void> {
  const { actors, config, egress } = services;
  const { roomId, sender, signed } = invite;
  const origin = config.serverName;
  try {
    await assertKeysValid(services, { roomId, origin, signed });
    await actors.room(roomId).exchangeInvite({ origin, ...invite });
    return;
  } catch (thrown) {
    if (!(thrown instanceof MatrixError) || thrown.errcode !== "M_NOT_FOUND") throw thrown;
  }
  const server = serverNameOf(sender);
  if (!mayTalkTo(config, server)) throw errors.forbidden(`This server does not federate with ${server}`);
  const answer = await egress.request(exchangeRequest(server, invite));
  if (answer.kind === "unreachable") throw errors.badGateway(`${server} could not be had`);
  if (answer.status !== 200) throw errors.forbidden(`${server} did not take up the invite`);
}

/**
 * Joining, leaving and knocking by users of other servers, seen from the server in the room: the template that it offers,
 * and the signed event that it takes.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { assertNever, errors } from "../../shared/errors.ts";
import { parseUserId, type ServerName, serverNameOf, type UserId } from "../../shared/ids.ts";
import { isObject, type JsonObject, objectField, stringField, withFields } from "../../shared/json.ts";
import { canonicalJson, parseLenientJson, parseStrictJson } from "../../shared/matrix/canonical-json.ts";
import { checkEventFormat } from "../../shared/matrix/event-format.ts";
import { eventIdOf, roomIdOf } from "../../shared/matrix/event-id.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import { type KeyRing, keysForEvent } from "../../shared/matrix/key-ring.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import { countersignEvent, publicKeyOf } from "../../shared/matrix/signing.ts";
import type { PduOutcome } from "../../shared/rpc/room-peers.ts";
import type { HandshakeEvent, RoomForHandshakes } from "../../shared/rpc/room-resident.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import { draftAllowed, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { includeOverlap } from "./join-overlap.ts";
import { assertWhole } from "./partial-state.ts";
import { admitPdu, type KeyLookup } from "./receive.ts";
import { isResident } from "./residency.ts";
import { askAllowingRooms, authoriserFor, hasConditions, mustMeetCondition } from "./restricted-join.ts";
import { isShutOut } from "./server-acl.ts";
import { fetchSigningKey } from "./signing.ts";
import type { RoomRead } from "./store/index.ts";

const notAllowed = "The room does not allow this";

type MakeInput = Parameters<RoomForHandshakes["makeMembership"]>[0];
type AcceptInput = Parameters<RoomForHandshakes["acceptMembership"]>[0];

/**
 * An event that would make the user a member now, or take them out, unhashed and unsigned.
 *
 * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION, M_UNABLE_TO_AUTHORISE_JOIN,
 *   M_UNABLE_TO_GRANT_JOIN
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid
 */
export async function makeMembership(
  room: RoomContext,
  { membership, origin, userId, versions }: MakeInput,
): Promise<{ roomVersion: string; event: JsonObject }> {
  assertResident(room, origin);
  // Leaving asks nothing of others; and who is invited from here may have nobody else to ask.
  if (membership !== "leave") assertWhole(room.store);
  if (serverNameOf(userId) !== origin) throw errors.forbidden(`${userId} is not a user of ${origin}`);
  const { roomVersion } = room.store.room.get();
  if (versions !== null && !versions.includes(roomVersion)) {
    const message = `The room is of version ${roomVersion}, which your server does not know`;
    throw errors.incompatibleRoomVersion(message, { room_version: roomVersion });
  }
  const allowing = membership === "join" ? await askAllowingRooms(room, userId) : [];
  return room.store.transaction((tx) => {
    const mustBeLetIn = membership === "join" && mustMeetCondition(tx, userId);
    const authoriser = mustBeLetIn ? grantOf(room, tx, userId, allowing) : null;
    const content = withFields({ membership }, { join_authorised_via_users_server: authoriser ?? undefined });
    const { pdu } = draftAllowed(room, tx, stateEvent(userId, "m.room.member", userId, content));
    // The server that signs it chooses the id, where ids are chosen, and hashes it.
    return { roomVersion, event: withFields(pdu, { event_id: undefined }) };
  });
}

/**
 * The member of this server who lets a user join who must meet a condition of the join rule.
 * @throws MatrixError M_UNABLE_TO_AUTHORISE_JOIN, M_UNABLE_TO_GRANT_JOIN, M_FORBIDDEN
 * @see https://spec.matrix.org/v1.19/server-server-api/#restricted-rooms
 */
function grantOf(
  room: RoomContext,
  store: RoomRead,
  userId: UserId,
  allowing: Awaited<ReturnType<typeof askAllowingRooms>>,
): UserId {
  const joined = new Set(allowing.filter(({ isJoined }) => isJoined === true).map(({ roomId }) => roomId));
  if (joined.size === 0) {
    // The user may be in one of those that this server cannot look into: then another may let them in.
    if (allowing.some(({ isJoined }) => isJoined === null)) {
      throw errors.unableToAuthoriseJoin("This server is not in all of the rooms whose members may join");
    }
    if (allowing.length > 0) throw errors.forbidden("You are in none of the rooms whose members may join");
    if (!hasConditions(store)) throw errors.forbidden("The room lets in nobody who is not invited");
    throw errors.unableToAuthoriseJoin("This server knows none of the conditions on which one may join");
  }
  const authoriser = authoriserFor(room, store, { target: userId, allowingRooms: joined });
  if (authoriser === null) throw errors.unableToGrantJoin("Nobody on this server may let others join");
  return authoriser;
}

/**
 * Takes the signed event of a handshake. A repeat is answered as the first time.
 *
 * @throws MatrixError M_INVALID_PARAM for an event that is not what the endpoint is for, or not signed; M_FORBIDDEN when
 *   the room's rules refuse it; M_LIMIT_EXCEEDED; M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export async function acceptMembership(room: RoomContext, input: AcceptInput): Promise<HandshakeEvent> {
  assertResident(room, input.origin);
  if (input.membership !== "leave") assertWhole(room.store);
  const rules = room.store.room.rules();
  const received = assertHandshakeEvent(room, rules, input);
  const key = await fetchSigningKey(room);
  const pdu = await withGrant(room, received, rules, key);
  const keysFor = withOwnKey(room.config.serverName, key, input.keys);
  return commit(room, (tx) => {
    const known = tx.events.byId(input.eventId);
    if (known === null && input.membership === "join") room.memory.limits.count("rc_joins_per_room");
    const outcome = admitPdu(room, pdu, { keysFor, isOutlier: false, isOurs: true });
    assertTaken(outcome);
    // Nobody comes in by sending again what was refused, by whichever way it came then.
    if (outcome.kind === "duplicate" && known?.status !== "accepted") throw errors.forbidden(notAllowed);
    if (outcome.kind === "accepted") includeOverlap(room, tx, input.origin, input.eventId);
    return { eventId: input.eventId, pdu: canonicalJson(pdu, ["unsigned"], canonicalMode(rules)) };
  });
}

/** @throws MatrixError M_NOT_FOUND where this server is not in the room; M_FORBIDDEN for a server that is shut out */
export function assertResident(room: RoomContext, origin: ServerName): void {
  if (!isResident(room, room.store)) throw errors.notFound("This server is not in the room");
  if (isShutOut(room, room.store, origin)) throw errors.forbidden(`${origin} is shut out by the room's server ACL`);
}

/** A member event of its own sender's. */
interface OwnMembership {
  readonly pdu: JsonObject;
  readonly userId: UserId;
  readonly content: JsonObject;
}

/**
 * The event of a handshake, if it is exactly what its endpoint is for: nothing else may come in this way.
 * @throws MatrixError M_INVALID_PARAM
 */
function assertHandshakeEvent(room: RoomContext, rules: RoomVersionRules, input: AcceptInput): OwnMembership {
  const parsed = canonicalMode(rules) === "strict" ? parseStrictJson(input.pdu) : parseLenientJson(input.pdu);
  const pdu = parsed.ok && isObject(parsed.value) ? withFields(parsed.value, { unsigned: undefined }) : null;
  if (pdu === null || !checkEventFormat(pdu, rules).ok) {
    throw errors.invalidParam("This is no event of the room's version");
  }
  const userId = parseUserId(stringField(pdu, "sender") ?? "");
  const content = objectField(pdu, "content") ?? {};
  const assert = (holds: boolean, otherwise: string): void => {
    if (!holds) throw errors.invalidParam(otherwise);
  };
  assert(roomIdOf(pdu, rules) === room.roomId, "The event is of another room");
  assert(eventIdOf(pdu, rules) === input.eventId, "The event has another id");
  assert(stringField(pdu, "type") === "m.room.member", "The event is not a member event");
  assert(stringField(pdu, "state_key") === userId, "The event is about somebody else than its sender");
  const { membership, origin } = input;
  assert(stringField(content, "membership") === membership, `The event's membership is not ${membership}`);
  if (userId === null || serverNameOf(userId) !== origin) throw errors.invalidParam(`The sender is not of ${origin}`);
  return { pdu, userId, content };
}

/**
 * The event with this server's signature, where one of its users lets the sender join: "the signature must be added before
 * sending or persisting the event". Whether the sender meets a condition is asked anew.
 *
 * @throws MatrixError as {@link grantOf}
 */
async function withGrant(
  room: RoomContext,
  { pdu, userId, content }: OwnMembership,
  rules: RoomVersionRules,
  key: SigningKey,
): Promise<JsonObject> {
  const authoriser = parseUserId(stringField(content, "join_authorised_via_users_server") ?? "");
  if (!rules.allowsRestrictedJoin || authoriser === null || stringField(content, "membership") !== "join") return pdu;
  // Another server's signature is there already, or the event will not be taken.
  if (serverNameOf(authoriser) !== room.config.serverName) return pdu;
  if (mustMeetCondition(room.store, userId)) grantOf(room, room.store, userId, await askAllowingRooms(room, userId));
  return countersignEvent(pdu, rules, room.config.serverName, key);
}

/** The keys that came with the event, and this server's own. */
function withOwnKey(serverName: ServerName, key: SigningKey, keys: KeyRing): KeyLookup {
  const own = new Map([[key.keyId, publicKeyOf(key)]]);
  return (server, validAt) => (server === serverName ? own : keysForEvent(keys, server, validAt));
}

/** @throws MatrixError M_FORBIDDEN, M_INVALID_PARAM for an event that did not become part of the room */
function assertTaken(outcome: PduOutcome): void {
  switch (outcome.kind) {
    case "accepted":
    case "duplicate":
      return;
    case "rejected":
      throw errors.forbidden(outcome.reason);
    case "softFailed":
      throw errors.forbidden(notAllowed);
    case "outlier":
    case "dropped":
      throw errors.invalidParam(outcome.kind === "dropped" ? outcome.reason : "The event has no place in the room");
    case "missing":
      throw errors.invalidParam("The event follows events that are not known here");
    default:
      assertNever(outcome);
  }
}

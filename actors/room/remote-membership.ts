/**
 * Local users' memberships in a room that this server is not in: invites that other servers have brought, knocks, and how
 * both ended. They stand beside the room, which may not be known here at all, and count while they are newer than what the
 * room says of the user.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import { errors } from "../../shared/errors.ts";
import { type EventId, parseUserId, type ServerName, serverNameOf, type UserId } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, stringField, withFields, withoutField } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { parseLenientJson, parseStrictJson } from "../../shared/matrix/canonical-json.ts";
import { toClientEvent } from "../../shared/matrix/client-event.ts";
import { membershipOf } from "../../shared/matrix/content/member.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { buildPdu, depthAfter, signDraft } from "../../shared/matrix/event-draft.ts";
import { checkEventFormat } from "../../shared/matrix/event-format.ts";
import { canonicalMode, hasValidContentHash, referenceHash } from "../../shared/matrix/hashes.ts";
import { type KeyRing, keysForEvent } from "../../shared/matrix/key-ring.ts";
import { pduTextOf } from "../../shared/matrix/pdu-text.ts";
import { type RoomVersionRules, rulesFor } from "../../shared/matrix/room-version.ts";
import { countersignEvent, verifyEvent } from "../../shared/matrix/signing.ts";
import { formatRoomToken } from "../../shared/matrix/stream-token.ts";
import { parseStrippedState, stripEvent } from "../../shared/matrix/stripped-state.ts";
import { chosenEventId } from "../../shared/room-creation.ts";
import type { RoomSyncInput } from "../../shared/rpc/room.ts";
import type { RoomForJoining, RoomForJoins } from "../../shared/rpc/room-joining.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { RoomContext } from "./context.ts";
import { isHere, isResident } from "./residency.ts";
import { isShutOut } from "./server-acl.ts";
import { fetchSigningKey } from "./signing.ts";
import type { RoomTransaction } from "./store/index.ts";
import { type OutsideMembership, OutsideStore } from "./store/outside.ts";
import { nothingFor, type RoomSection } from "./sync-section.ts";

/** How long after a change the alarm looks whether the user was told. */
const repeatAfterMs = 10_000;
/** Users who are told at the same time, at most. */
const maxParallel = 50;

/** The user's membership from outside, where it is newer than what the room says of them. */
export function findOutside(room: RoomContext, userId: UserId): OutsideMembership | null {
  const outside = new OutsideStore(room.sql).find(userId);
  if (outside === null || room.store.room.find() === null) return outside;
  const inside = room.store.memberships.find(userId);
  return inside === null || inside.streamPosition < outside.position ? outside : null;
}

/**
 * Takes an invite that another server has sent, for a user of this one, and signs it. Where this server is in the room,
 * nothing is stored: the invite comes once more, as an event of the room.
 *
 * @throws MatrixError M_INVALID_PARAM for what is no invite of a local user; M_INCOMPATIBLE_ROOM_VERSION; M_FORBIDDEN for a
 *   server that is shut out
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid
 */
export async function receiveInvite(
  room: RoomContext,
  input: Parameters<RoomForJoins["receiveInvite"]>[0],
): Promise<PduText> {
  const rules = rulesFor(input.roomVersion);
  if (rules === null) throw errors.incompatibleRoomVersion("This server does not know that room version");
  const event = parsePdu(input.pdu, rules);
  const target = event?.stateKey === null ? null : parseUserId(event?.stateKey ?? "");
  // Whatever the caller has checked: this server's signature is on nothing but an invite for one of its users.
  const isInvite = event?.type === "m.room.member" && membershipOf(event.content) === "invite";
  if (event === null || target === null || !isInvite || event.roomId !== room.roomId || !isLocal(room, target)) {
    throw errors.invalidParam("This is no invite for a user of this server");
  }
  if (serverNameOf(event.sender) !== input.origin) throw errors.invalidParam(`The sender is not of ${input.origin}`);
  const known = room.store.room.find();
  if (known !== null && known.stateRoot !== null && known.roomVersion !== input.roomVersion) {
    throw errors.invalidParam(`The room is of version ${known.roomVersion}`);
  }
  if (isResident(room, room.store) && isShutOut(room, room.store, input.origin)) {
    throw errors.forbidden(`${input.origin} is shut out by the room's server ACL`);
  }
  const key = await fetchSigningKey(room);
  const pdu = pduTextOf(countersignEvent(event.pdu, rules, room.config.serverName, key));
  const wasStored = room.store.transaction((tx) => {
    if (isResident(room, tx) || new OutsideStore(room.sql).find(target)?.eventId === event.eventId) return false;
    const { roomVersion, origin: server } = input;
    const strippedState = parseStrippedState([...input.strippedState]);
    putOutside(room, tx, { userId: target, membership: "invite", roomVersion, server, event, pdu, strippedState });
    return true;
  });
  if (wasStored) await tellOutside(room);
  return pdu;
}

/**
 * Takes an event of a room that this server is not in, if it takes back an invite of a local user, or turns down a knock. By
 * what state that would be allowed is not known here: who invited may think better of it, and of a knock the server that
 * took it is believed, and no other.
 *
 * @returns null when it is no such event.
 */
export function takeFromOutside(room: RoomContext, text: PduText, keys: KeyRing): EventId | null {
  const parsed = parseLenientJson(text);
  const target = parsed.ok && isObject(parsed.value) ? parseUserId(stringField(parsed.value, "state_key") ?? "") : null;
  const outside = target === null ? null : findOutside(room, target);
  const rules = outside === null ? null : rulesFor(outside.roomVersion);
  const event = rules === null ? null : parsePdu(text, rules);
  if (target === null || outside === null || rules === null || event === null) return null;
  const { userId, server, roomVersion } = outside;
  const isOpen = outside.membership === "invite" || outside.membership === "knock";
  const membership = membershipOf(event.content);
  if (!isOpen || event.type !== "m.room.member" || (membership !== "leave" && membership !== "ban")) return null;
  // Who else in the room may take an invite back is not known here.
  if (outside.membership === "invite" && parsePdu(outside.pdu, rules)?.sender !== event.sender) return null;
  // What authorizes it is the very invite or knock.
  if (event.roomId !== room.roomId || !event.authEvents.includes(outside.eventId)) return null;
  const ofSender = keysForEvent(keys, server, rules.enforcesKeyValidity ? event.originServerTs : null);
  if (serverNameOf(event.sender) !== server || ofSender === null) return null;
  if (!hasValidContentHash(event.pdu, rules) || !verifyEvent(event.pdu, rules, server, ofSender)) return null;
  const pdu = pduTextOf(event.pdu);
  room.store.transaction((tx) => {
    putOutside(room, tx, { userId, membership, roomVersion, server, event, pdu, strippedState: [] });
  });
  room.background(() => tellOutside(room));
  return event.eventId;
}

/**
 * Records a leave or knock that a server in the room has taken.
 * @throws Error when it is none: this server has made it itself
 */
export async function noteOutside(
  room: RoomContext,
  input: Parameters<RoomForJoining["noteOutside"]>[0],
): Promise<null> {
  const rules = rulesFor(input.roomVersion);
  const event = rules === null ? null : parsePdu(input.pdu, rules);
  const userId = parseUserId(event?.stateKey ?? "");
  const membership = event === null ? null : membershipOf(event.content);
  if (event === null || userId === null || (membership !== "leave" && membership !== "knock")) {
    throw new Error("an event of this server's own making is not what it was made for");
  }
  room.store.transaction((tx) => {
    // The room may have let the user in meanwhile.
    if (tx.memberships.isJoined(userId)) return;
    const { roomVersion, server, pdu } = input;
    const strippedState = parseStrippedState([...input.strippedState]);
    putOutside(room, tx, { userId, membership, roomVersion, server, event, pdu, strippedState });
  });
  await tellOutside(room);
  return null;
}

/**
 * Takes a user out of a room that this server is not in, by an event that nobody else will see: no server that is in the
 * room can be asked, and nobody is to be kept in a room.
 */
export async function leaveOutside(room: RoomContext, userId: UserId, reason: string | null): Promise<null> {
  const key = await fetchSigningKey(room);
  const open = findOpen(room, userId);
  const rules = open === null ? null : rulesFor(open.roomVersion);
  const before = open === null || rules === null ? null : parsePdu(open.pdu, rules);
  if (open === null || rules === null || before === null) return null;
  const fields = {
    roomId: room.roomId,
    sender: userId,
    type: "m.room.member",
    stateKey: userId,
    content: withFields({ membership: "leave" }, { reason: reason ?? undefined }),
    originServerTs: room.clock.now(),
    depth: depthAfter([before.depth]),
    prevEvents: [before.eventId],
    authEvents: [before.eventId],
    eventId: chosenEventId(room.config.serverName, room.random),
    hashOf: () => referenceHash(before.pdu, rules),
  };
  const event = signDraft(buildPdu(fields, rules), rules, room.config.serverName, key);
  const { roomVersion, server } = open;
  const pdu = pduTextOf(event.pdu);
  room.store.transaction((tx) => {
    putOutside(room, tx, { userId, membership: "leave", roomVersion, server, event, pdu, strippedState: [] });
  });
  await tellOutside(room);
  return null;
}

/** The user's invite or knock: from outside, or of the time when this server was in the room. */
function findOpen(room: RoomContext, userId: UserId): Pick<OutsideMembership, "roomVersion" | "server" | "pdu"> | null {
  const isOpen = (membership: string): boolean => membership === "invite" || membership === "knock";
  const outside = findOutside(room, userId);
  if (outside !== null) return isOpen(outside.membership) ? outside : null;
  const inside = room.store.room.find() === null ? null : room.store.memberships.find(userId);
  if (inside === null || !isOpen(inside.membership) || isHere(room, room.store)) return null;
  const { event } = room.store.events.byNid(inside.eventNid);
  const { roomVersion } = room.store.room.get();
  return { roomVersion, server: serverNameOf(event.sender), pdu: pduTextOf(event.pdu) };
}

/**
 * Forgets a membership from outside; for use inside a transaction only.
 * @returns the room position at which it ended; null: there is none @throws MatrixError M_UNKNOWN for an invite or a knock
 */
export function forgetOutside(room: RoomContext, userId: UserId): number | null {
  const outside = findOutside(room, userId);
  if (outside === null) return null;
  if (outside.membership !== "leave" && outside.membership !== "ban") {
    throw errors.unknown(`${userId} has not left the room`);
  }
  new OutsideStore(room.sql).forget(userId);
  return outside.position;
}

/** An event whose signatures and hash are checked. */
interface OutsideEvent extends Omit<OutsideMembership, "position" | "eventId" | "isForgotten"> {
  readonly event: MatrixEvent;
}

/** Gives the membership the next position of the room's stream; the user is still to be told. */
export function putOutside(room: RoomContext, tx: RoomTransaction, { event, ...outside }: OutsideEvent): void {
  const store = new OutsideStore(room.sql);
  const newest = store.newestPosition();
  const position = tx.room.find() === null ? newest + 1 : tx.room.takePosition();
  store.put({ ...outside, position, eventId: event.eventId });
  room.alarm.ensure(room.clock.now() + repeatAfterMs);
}

/** Tells users of what came from outside; what fails is repeated by the alarm. */
export async function tellOutside(room: RoomContext): Promise<void> {
  const store = new OutsideStore(room.sql);
  const told = await Promise.all(store.untold(maxParallel).map((outside) => tell(room, outside)));
  if (told.includes(false) || store.untold(1).length > 0) room.alarm.ensure(room.clock.now() + repeatAfterMs);
}

async function tell(room: RoomContext, outside: OutsideMembership): Promise<boolean> {
  const { userId, membership, position } = outside;
  const wake = { roomId: room.roomId, head: position, membership, membershipPosition: position };
  try {
    await room.actors.user(userId).roomAdvanced(wake);
  } catch (thrown) {
    room.log.warn("wake not delivered", { room_id: room.roomId, user_id: userId, error: describeError(thrown) });
    return false;
  }
  room.store.transaction(() => new OutsideStore(room.sql).setTold(outside));
  return true;
}

/**
 * The room's section in `/sync` for a membership from outside.
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
export function outsideSection(room: RoomContext, input: RoomSyncInput, outside: OutsideMembership): RoomSection {
  const { membership, position } = outside;
  const readPosition = Math.max(position, input.since ?? position);
  const nothing = nothingFor(readPosition);
  const rules = rulesFor(outside.roomVersion);
  const event = rules === null ? null : parsePdu(outside.pdu, rules);
  const isTold = input.since !== null && input.since >= position;
  const isClosed = outside.isForgotten ? isTold || !input.isIncremental : isTold && !input.fullState;
  if (isClosed || rules === null || event === null) return nothing;
  // "Servers must not send room invites from ignored users to clients."
  if (membership === "invite" && input.ignoredUsers.includes(event.sender)) return nothing;
  if (membership === "leave" || membership === "ban") {
    const format = input.eventFormat;
    const served = toClientEvent(event, { rules, now: room.clock.now(), format, includeRoomId: false, membership });
    const timeline = { events: [served], limited: false, prev_batch: formatRoomToken(position) };
    const state = input.useStateAfter ? { state_after: { events: [served] } } : { state: { events: [] } };
    return { ...nothing, place: "leave", section: { timeline, ...state } };
  }
  const isOwn = (stripped: JsonObject): boolean =>
    stripped.type === "m.room.member" && stripped.state_key === input.userId;
  const events = [...outside.strippedState.filter((stripped) => !isOwn(stripped)), stripEvent(event)];
  return { ...nothing, place: membership, section: { [`${membership}_state`]: { events } } };
}

/** Whom to ask about a room that this server is not in: who brought the user's membership. */
export function outsideServers(room: RoomContext, userId: UserId): ServerName[] {
  const outside = findOutside(room, userId);
  return outside === null ? [] : [outside.server];
}

function isLocal(room: RoomContext, userId: UserId): boolean {
  return serverNameOf(userId) === room.config.serverName;
}

/** An event of a room version, from text; null when it has not that version's format. */
export function parsePdu(text: PduText, rules: RoomVersionRules): MatrixEvent | null {
  const parsed = canonicalMode(rules) === "strict" ? parseStrictJson(text) : parseLenientJson(text);
  const pdu = parsed.ok ? withoutUnsigned(parsed.value) : null;
  return pdu !== null && checkEventFormat(pdu, rules).ok ? eventFromPdu(pdu, rules) : null;
}

/** Nobody signs what stands there. */
function withoutUnsigned(value: JsonValue): JsonObject | null {
  return isObject(value) ? withoutField(value, "unsigned") : null;
}

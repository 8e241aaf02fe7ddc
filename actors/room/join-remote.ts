/**
 * Joining by way of other servers, as far as it is the room's: one join at a time, the member event that this server signs,
 * and what goes on after a crash. Who asks the other servers is the egress (`workers/egress/procedures/`); what they tell
 * of the room comes in by `import.ts`.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { errors, MatrixError } from "../../shared/errors.ts";
import { parseUserId, type ServerName, serverNameOf, type UserId } from "../../shared/ids.ts";
import { field, isObject, type JsonObject, objectField, stringField, withFields } from "../../shared/json.ts";
import { parseLenientJson } from "../../shared/matrix/canonical-json.ts";
import type { MatrixEvent, Pdu } from "../../shared/matrix/event.ts";
import { buildPdu, signDraft } from "../../shared/matrix/event-draft.ts";
import { maxDepth } from "../../shared/matrix/event-format.ts";
import { numberValue } from "../../shared/matrix/exact-numbers.ts";
import { pduTextOf } from "../../shared/matrix/pdu-text.ts";
import { type RoomVersionRules, rulesFor } from "../../shared/matrix/room-version.ts";
import { chosenEventId } from "../../shared/room-creation.ts";
import type { PreparedMember, RoomForJoining } from "../../shared/rpc/room-joining.ts";
import { assertFormat } from "./admit.ts";
import type { RoomContext } from "./context.ts";
import { placeJoin } from "./import.ts";
import {
  deleteJoin,
  endLease,
  forgetTold,
  holdLease,
  isLeased,
  releaseLease,
  takeLease,
  waitForEnd,
} from "./join-lease.ts";
import { resumeJoin } from "./join-worker.ts";
import { fetchMemberProfile } from "./member-profile.ts";
import { lacksMembers } from "./partial-state.ts";
import { outsideServers } from "./remote-membership.ts";
import { isHere, isResident } from "./residency.ts";
import { askAllowingRooms, authoriserFor, mustMeetCondition } from "./restricted-join.ts";
import { fetchSigningKey } from "./signing.ts";
import { type JoinUnderWay, RemoteJoinStore } from "./store/remote-join.ts";

/** How often a join is begun anew that another server may have taken. */
const maxAttempts = 5;
/** When a join is begun anew for the first time; twice as long each time. */
const resumePauseMs = 60_000;
/** Batches of events that one alarm takes, so that it stays within its time. */
const maxBatchesOfAlarm = 20;
/** Servers in the room that a join may be asked of, beside those that the client names. */
const maxKnownServers = 10;

/**
 * Whether other servers must be asked to let the user join: this server is not in the room or, for a restricted one, has
 * nobody who may let the user in.
 */
export async function needsOthers(room: RoomContext, userId: UserId): Promise<boolean> {
  // Who is banned may be among those who are not known.
  if (!isHere(room, room.store) || lacksMembers(room.store)) return true;
  if (!room.store.servers.isAnyIn() || !mustMeetCondition(room.store, userId)) return false;
  const answers = await askAllowingRooms(room, userId);
  const allowingRooms = new Set(answers.filter(({ isJoined }) => isJoined === true).map(({ roomId }) => roomId));
  // Rooms that this server is not in may be known to another.
  if (allowingRooms.size === 0) return answers.some(({ isJoined }) => isJoined === null);
  return authoriserFor(room, room.store, { target: userId, allowingRooms }) === null;
}

/** Servers of which the room itself knows that they are in it, first who brought the user's invite; or that they were. */
export function knownServers(
  room: RoomContext,
  userId: UserId,
): { servers: readonly ServerName[]; formerServers: readonly ServerName[] } {
  const servers = outsideServers(room, userId);
  const inRoom = room.store.room.find() === null ? [] : room.store.servers.inRoom("", maxKnownServers);
  return isResident(room, room.store)
    ? { servers: [...new Set([...servers, ...inRoom])], formerServers: [] }
    : { servers, formerServers: inRoom };
}

/** Begins a join, or waits until the one under way has ended and looks again. Null: no other server is needed. */
export async function beginJoin(
  room: RoomContext,
  userId: UserId,
): Promise<{ joinId: string; mayOmitMembers: boolean } | null> {
  for (;;) {
    if (!(await needsOthers(room, userId))) return null;
    const joinId = takeLease(room);
    if (joinId !== null) return { joinId, mayOmitMembers: mayOmitMembers(room) };
    await waitForEnd(room);
  }
}

/** A room that is known as a whole stays so. */
function mayOmitMembers(room: RoomContext): boolean {
  return room.config.partialStateJoins && (!isHere(room, room.store) || lacksMembers(room.store));
}

/**
 * Makes and signs the member event. Of the template it takes its place in the graph and, for a join, who allows it:
 * what a server offers is never signed as it is.
 *
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid
 */
export async function prepareMember(
  room: RoomContext,
  input: Parameters<RoomForJoining["prepareMember"]>[0],
): Promise<PreparedMember> {
  const { membership, userId, reason, template, join } = input;
  const rules = rulesFor(template.roomVersion);
  if (rules === null) throw errors.unsupportedRoomVersion("This server does not know the room's version");
  const known = room.store.room.find();
  if (known !== null && known.stateRoot !== null && known.roomVersion !== template.roomVersion) {
    return { kind: "unusable", reason: `the room is of version ${known.roomVersion}` };
  }
  const offered = templateOf(room, input);
  if (typeof offered === "string") return { kind: "unusable", reason: offered };
  const profile = membership === "leave" ? {} : await fetchMemberProfile(room, userId, "own");
  const authoriser = membership === "join" && rules.allowsRestrictedJoin ? authoriserIn(offered) : null;
  // This server's signature must not stand for a grant that it has not made; nor can who is asked give another's.
  if (authoriser !== null && serverNameOf(authoriser) !== template.server) {
    return { kind: "unusable", reason: `${authoriser} is no user of ${template.server}` };
  }
  const content = withFields(withFields(profile, input.content), {
    membership,
    reason: reason ?? undefined,
    join_authorised_via_users_server: authoriser ?? undefined,
  });
  const key = await fetchSigningKey(room);
  const event = signedAt(
    () => signDraft(draft(room, rules, { userId, content, offered }), rules, room.config.serverName, key),
    rules,
  );
  if (typeof event === "string") return { kind: "unusable", reason: event };
  const pdu = pduTextOf(event.pdu);
  if (join !== null) storeSent(room, { ...join, userId, reason, roomVersion: template.roomVersion, pdu });
  const server = authoriser === null ? null : serverNameOf(authoriser);
  return { kind: "prepared", eventId: event.eventId, pdu, authoriser: server };
}

/** The template, or why it is none: "the response MUST be treated as malformed and discarded". */
function templateOf(
  room: RoomContext,
  { template, userId, membership }: Parameters<RoomForJoining["prepareMember"]>[0],
): JsonObject | string {
  const parsed = parseLenientJson(template.event);
  if (!parsed.ok || !isObject(parsed.value)) return "the template is not an event";
  const event = parsed.value;
  const content = objectField(event, "content") ?? {};
  if (stringField(event, "type") !== "m.room.member") return "the template is not a member event";
  if (stringField(event, "room_id") !== room.roomId) return "the template is of another room";
  if (stringField(event, "sender") !== userId) return "the template has another sender";
  if (stringField(event, "state_key") !== userId) return "the template is about somebody else";
  if (stringField(content, "membership") !== membership) return "the template has another membership";
  return event;
}

function authoriserIn(template: JsonObject): UserId | null {
  return parseUserId(stringField(objectField(template, "content") ?? {}, "join_authorised_via_users_server") ?? "");
}

function draft(
  room: RoomContext,
  rules: RoomVersionRules,
  { userId, content, offered }: { userId: UserId; content: JsonObject; offered: JsonObject },
): Pdu {
  const depth = numberValue(field(offered, "depth")) ?? 0;
  const pdu = buildPdu(
    {
      roomId: room.roomId,
      sender: userId,
      type: "m.room.member",
      stateKey: userId,
      content,
      originServerTs: room.clock.now(),
      depth: Number.isInteger(depth) ? Math.min(Math.max(depth, 0), maxDepth) : 0,
      prevEvents: [],
      authEvents: [],
      eventId: chosenEventId(room.config.serverName, room.random),
      hashOf: () => "",
    },
    rules,
  );
  // In the form of the room version, which the format check of the whole event holds them to.
  return withFields(pdu, {
    prev_events: field(offered, "prev_events") ?? null,
    auth_events: field(offered, "auth_events") ?? null,
  });
}

/** The event, or why the template makes none. */
function signedAt(sign: () => MatrixEvent, rules: RoomVersionRules): MatrixEvent | string {
  try {
    const event = sign();
    assertFormat(event, rules);
    return event;
  } catch (thrown) {
    return thrown instanceof MatrixError ? thrown.message : "the template has no canonical JSON";
  }
}

/** From here on another server may take the join: it is stored before it is sent. */
function storeSent(
  room: RoomContext,
  sent: Pick<JoinUnderWay, "joinId" | "servers" | "userId" | "reason" | "roomVersion" | "pdu">,
): void {
  const leaseTs = holdLease(room, sent.joinId);
  const store = new RemoteJoinStore(room.sql);
  room.store.transaction((tx) => {
    const before = store.find();
    forgetTold(room, tx);
    const attempts = before?.userId === sent.userId ? before.attempts : 0;
    // Should this instance end, and whoever works on the join with it.
    const retryTs = room.clock.now() + pauseAfter(attempts);
    store.insert({ ...sent, leaseTs, retryTs, attempts });
    room.alarm.ensure(retryTs);
  });
}

/** A join has failed. One that another server may have taken is tried anew by the alarm, soon. */
export function dropJoin(room: RoomContext, { joinId, mayBeTaken }: { joinId: string; mayBeTaken: boolean }): null {
  const store = new RemoteJoinStore(room.sql);
  const join = store.find();
  if (join?.joinId === joinId && mayBeTaken) {
    const now = room.clock.now();
    const retryTs = now + pauseAfter(join.attempts);
    room.store.transaction((tx) => {
      forgetTold(room, tx);
      store.insert({ ...join, leaseTs: now, retryTs });
      room.alarm.ensure(retryTs);
    });
  } else if (join?.joinId === joinId) deleteJoin(room);
  endLease(room, joinId);
  return null;
}

function pauseAfter(attempts: number): number {
  return resumePauseMs * 2 ** attempts;
}

/**
 * The alarm's part: goes on with a join whose worker has died. It is begun anew, since another server may have taken it:
 * the user must not be in the room there and out of it here.
 */
export async function continueJoin(room: RoomContext): Promise<void> {
  const join = new RemoteJoinStore(room.sql).find();
  if (!isLeased(room)) endLease(room, null);
  if (join === null) return;
  const now = room.clock.now();
  const dueTs = Math.max(join.retryTs, isLeased(room) ? now + resumePauseMs : 0);
  if (dueTs > now) {
    room.alarm.ensure(dueTs);
  } else if (join.step === "place") {
    await placeByAlarm(room, join.joinId);
  } else if (join.attempts >= maxAttempts) {
    room.log.warn("join given up", { room_id: room.roomId, user_id: join.userId, attempts: join.attempts });
    deleteJoin(room);
  } else {
    const retryTs = now + pauseAfter(join.attempts + 1);
    room.store.transaction(() => new RemoteJoinStore(room.sql).countAttempt(retryTs));
    room.alarm.ensure(retryTs);
    const { userId, reason, servers } = join;
    resumeJoin(room, { roomId: room.roomId, userId, reason, content: ownContentOf(join), servers });
  }
}

/** What the join's event says of the client's own: neither what the server decides, nor the profile, which may be another now. */
function ownContentOf({ pdu }: JoinUnderWay): JsonObject {
  const event = parseLenientJson(pdu);
  const content = event.ok && isObject(event.value) ? objectField(event.value, "content") : null;
  return withFields(content ?? {}, {
    membership: undefined,
    reason: undefined,
    join_authorised_via_users_server: undefined,
    displayname: undefined,
    avatar_url: undefined,
  });
}

/** Places a join all of which is here; a large room over several alarms. */
async function placeByAlarm(room: RoomContext, joinId: string): Promise<void> {
  let progress = await placeJoin(room, joinId);
  for (let batch = 1; progress.kind === "more" && batch < maxBatchesOfAlarm; batch += 1) {
    progress = await placeJoin(room, joinId);
  }
  if (progress.kind === "failed") deleteJoin(room);
  if (progress.kind !== "more") return;
  releaseLease(room);
  room.alarm.ensure(room.clock.now());
}

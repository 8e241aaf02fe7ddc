/** `POST /createRoom`: everything after the create event, which the creator's actor has made, in one transaction. */
import { errors, MatrixError } from "../../shared/errors.ts";
import type { RoomId, UserId } from "../../shared/ids.ts";
import { type JsonObject, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import { type InitialEvent, initialPowerLevels, presetEvents } from "../../shared/matrix/room-presets.ts";
import { type RoomVersionRules, rulesFor } from "../../shared/matrix/room-version.ts";
import { maxInitialState, maxInvitees } from "../../shared/room-creation.ts";
import type { CreateRoomInput } from "../../shared/rpc/room.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import { admitLocalEvent, assertFormat, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { fetchMemberProfile, isLocalUser } from "./member-profile.ts";
import { noteRoom, noteRoomLater } from "./noting.ts";
import { persistEvent } from "./persist.ts";
import { findNoUser } from "./power-level-users.ts";
import { fetchSigningKey } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import type { RoomTransaction } from "./store/index.ts";
import { deliverWakesTo } from "./wakes.ts";

/**
 * Makes the room: "It MUST apply the events implied by the request in the following order". All or nothing; a repeat with
 * the same create event finds the room made.
 *
 * @throws MatrixError M_INVALID_ROOM_STATE when the wanted state forbids its own making; M_FORBIDDEN for an invitee whom
 *   the creator may not invite; M_INVALID_PARAM for too many invitees or events; M_TOO_LARGE, M_BAD_JSON
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
export async function createRoom(room: RoomContext, input: CreateRoomInput): Promise<{ roomId: RoomId }> {
  const create = checkCreateEvent(room, input);
  const everybody = new Set(input.invite);
  if (everybody.size > maxInvitees) throw errors.invalidParam(`A new room takes ${maxInvitees} invitees at most`);
  // Those of other servers are invited by way of these, once there is a room.
  const invitees = [...everybody].filter((invitee) => isLocalUser(room, invitee));
  if (input.initialState.length > maxInitialState) {
    throw errors.invalidParam(`A new room takes ${maxInitialState} events of initial_state at most`);
  }
  const profiles = new Map<UserId, JsonObject>();
  const members = [input.creator, ...invitees];
  const fetched = await Promise.all(
    members.map((member) => fetchMemberProfile(room, member, member === input.creator ? "own" : "invite")),
  );
  for (const [index, member] of members.entries()) profiles.set(member, fetched[index] ?? {});
  const key = await fetchSigningKey(room);
  await commit(room, (tx) => {
    if (isMadeAlready(tx, create)) return;
    tx.room.insert(input.roomVersion);
    persistEvent(room, tx, { event: create, before: null, deviceId: null, txnId: null });
    admitInitialEvents({ room, tx, key, input, profiles });
    admitInvites({ room, tx, key, input, profiles }, invitees);
    if (input.visibility === "public") tx.room.setPublished(true);
    noteRoomLater(room);
  });
  room.background(() => noteRoom(room));
  await deliverWakesTo(room, members);
  return { roomId: room.roomId };
}

/** Takes the create event only as the beginning of this very room. */
function checkCreateEvent(room: RoomContext, input: CreateRoomInput): MatrixEvent {
  const rules = rulesFor(input.roomVersion);
  if (rules === null) throw errors.unsupportedRoomVersion("This server does not know that room version");
  const event = eventFromPdu(input.createEvent, rules);
  assertFormat(event, rules);
  if (event.type !== "m.room.create" || event.roomId !== room.roomId || event.sender !== input.creator) {
    throw new Error("a room was given a create event that is not its own");
  }
  const decision = authorize(event, rules, () => null);
  if (!decision.allowed) throw errors.invalidRoomState(decision.reason);
  return event;
}

/** @throws Error when the room began otherwise */
function isMadeAlready(tx: RoomTransaction, create: MatrixEvent): boolean {
  if (tx.room.find() === null) return false;
  if (findCurrentState(tx, "m.room.create", "")?.eventId !== create.eventId) {
    throw new Error("a room cannot begin twice");
  }
  return true;
}

interface Creation {
  readonly room: RoomContext;
  readonly tx: RoomTransaction;
  readonly key: SigningKey;
  readonly input: CreateRoomInput;
  /** Name and avatar of the creator and the invitees. */
  readonly profiles: ReadonlyMap<UserId, JsonObject>;
}

function admitInitialEvents({ room, tx, key, input, profiles }: Creation): void {
  const { creator } = input;
  try {
    // "2. An m.room.member event for the creator to join the room."
    const join = withFields(profiles.get(creator) ?? {}, { membership: "join" });
    admitLocalEvent(room, tx, key, stateEvent(creator, "m.room.member", creator, join));
    for (const { type, stateKey, content } of initialEvents(input, tx.room.rules())) {
      admitLocalEvent(room, tx, key, stateEvent(creator, type, stateKey, content));
    }
  } catch (thrown) {
    // "The initial state implied by the parameters to the request is invalid"
    if (thrown instanceof MatrixError && thrown.errcode === "M_FORBIDDEN")
      throw errors.invalidRoomState(thrown.message);
    throw thrown;
  }
}

/** Steps 3 to 7 of the spec's list. */
function initialEvents(input: CreateRoomInput, rules: RoomVersionRules): InitialEvent[] {
  const { creator, preset, invite, initialState } = input;
  const isGiven = (type: string): boolean => initialState.some((event) => event.type === type && event.stateKey === "");
  const events: InitialEvent[] = [];
  // "3. A default m.room.power_levels event." One in initial_state stands here in its place: everything after it is
  // authorized by it.
  const override = input.powerLevelContentOverride;
  const givenLevels = initialState.findLast(({ type, stateKey }) => type === "m.room.power_levels" && stateKey === "");
  const levels = givenLevels?.content ?? initialPowerLevels({ rules, creator, preset, invite, override });
  const noUser = findNoUser(levels);
  if (noUser !== null) throw errors.invalidRoomState(`power levels: ${noUser} is not a user id`);
  events.push({ type: "m.room.power_levels", stateKey: "", content: levels });
  // "4. An m.room.canonical_alias event if room_alias_name is given."
  if (input.alias !== null && !isGiven("m.room.canonical_alias")) {
    events.push({ type: "m.room.canonical_alias", stateKey: "", content: { alias: input.alias } });
  }
  // "5. Events set by the preset." initial_state "takes precedence over events set by preset".
  events.push(...presetEvents(preset).filter(({ type }) => !isGiven(type)));
  // "6. Events listed in initial_state, in the order that they are listed."
  events.push(...initialState.filter(({ type, stateKey }) => type !== "m.room.power_levels" || stateKey !== ""));
  // "7. Events implied by name and topic". They override initial_state.
  if (input.name !== null) events.push({ type: "m.room.name", stateKey: "", content: { name: input.name } });
  if (input.topic !== null) events.push({ type: "m.room.topic", stateKey: "", content: topicContent(input.topic) });
  return events;
}

/** "an m.room.topic event with a text/plain mimetype", which is what a representation without one has. */
function topicContent(topic: string): JsonObject {
  return { topic, "m.topic": { "m.text": [{ body: topic }] } };
}

/** "8. Invite events implied by invite". "is_direct: This flag makes the server set the is_direct flag". */
function admitInvites({ room, tx, key, input, profiles }: Creation, invitees: readonly UserId[]): void {
  for (const invitee of invitees) {
    const content = withFields(profiles.get(invitee) ?? {}, {
      membership: "invite",
      is_direct: input.isDirect ? true : undefined,
    });
    admitLocalEvent(room, tx, key, stateEvent(input.creator, "m.room.member", invitee, content));
  }
}

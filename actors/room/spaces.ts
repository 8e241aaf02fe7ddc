/** The room as it is shown to those who look for a room to join: a summary, and of a space the rooms that it lists. */
import type { ServerName } from "../../shared/ids.ts";
import { type JsonObject, stringField } from "../../shared/json.ts";
import { allowedRooms, joinRuleOf } from "../../shared/matrix/content/join-rules.ts";
import { compareChildren, listedChild, type OrderedChild } from "../../shared/matrix/content/space-child.ts";
import { stripEvent } from "../../shared/matrix/stripped-state.ts";
import type { Membership } from "../../shared/rpc/room.ts";
import type { RoomDescription, ShownRoom, SpaceChild, Visitor } from "../../shared/rpc/room-spaces.ts";
import type { RoomContext } from "./context.ts";
import { isHere, isResident } from "./residency.ts";
import { isShutOut } from "./server-acl.ts";
import { findCurrentState } from "./state.ts";
import { OutsideStore } from "./store/outside.ts";
import { roomSummaryOf } from "./summary.ts";
import { isWorldReadable, prunedEvent } from "./visibility.ts";

/** Children of a space that are shown, and keys that are looked at to find them. */
const maxChildren = 200;
const maxChildKeys = 5_000;
/** Rooms that are asked whose members may join, at most. */
const maxAllowingRooms = 20;
/** Servers by way of which a room may be joined that are named, at most, beside this one. */
const maxServers = 50;

/** The room as a visitor may see it. */
export async function describeRoom(room: RoomContext, visitor: Visitor): Promise<ShownRoom> {
  if (!isResident(room, room.store)) return { kind: "unknown", membership: outsideMembershipOf(room, visitor) };
  if (!(isOpenTo(room, visitor) || (await isAllowedByOthers(room, visitor)))) return { kind: "closed" };
  // Whatever has changed meanwhile, what is told is as of one moment.
  return { kind: "open", description: descriptionOf(room), membership: membershipOf(room, visitor) };
}

function membershipOf(room: RoomContext, visitor: Visitor): Membership | null {
  return visitor.kind === "user" ? (room.store.memberships.find(visitor.userId)?.membership ?? null) : null;
}

/** What a user is by way of another server. */
function outsideMembershipOf(room: RoomContext, visitor: Visitor): Membership | null {
  return visitor.kind === "user" ? (new OutsideStore(room.sql).find(visitor.userId)?.membership ?? null) : null;
}

/** Whether a server has a joined user here; null: this server is not in the room. */
export function isServerIn(room: RoomContext, server: ServerName): boolean | null {
  if (!isResident(room, room.store)) return null;
  return room.store.servers.isIn(server);
}

/** Servers by way of which the room may be joined. Of a room that this server is not in any more, those that were in it then. */
export function getServers(room: RoomContext): ServerName[] {
  if (room.store.room.find() === null) return [];
  const others = room.store.servers.longestIn(maxServers);
  return isHere(room, room.store) ? [room.config.serverName, ...others] : others;
}

/** Whether the visitor may join, ask to join, or read: "the server should return any rooms where at least one […] is true". */
function isOpenTo(room: RoomContext, visitor: Visitor): boolean {
  if (visitor.kind === "server") {
    if (isShutOut(room, room.store, visitor.server)) return false;
    return isOpenToAll(room) || room.store.servers.isIn(visitor.server) || isAnyInvited(room, visitor.server);
  }
  const membership = membershipOf(room, visitor);
  if (membership === "join" || membership === "invite") return true;
  return membership === "ban" ? isWorldReadable(room) : isOpenToAll(room);
}

function isOpenToAll(room: RoomContext): boolean {
  const rules = room.store.room.rules();
  switch (joinRuleOf(joinRulesOf(room))) {
    case "public":
      return true;
    case "knock":
      return rules.allowsKnocking || isWorldReadable(room);
    case "knock_restricted":
      return rules.allowsKnockRestricted || isWorldReadable(room);
    default:
      return isWorldReadable(room);
  }
}

/** Whether one of the server's users is invited: then all that the invitation tells is no secret to it. */
function isAnyInvited(room: RoomContext, server: ServerName): boolean {
  return room.store.memberships.isAnyInvited(server);
}

/** Whether the visitor meets a condition of the join rule: being in one of certain other rooms. */
async function isAllowedByOthers(room: RoomContext, visitor: Visitor): Promise<boolean> {
  const content = joinRulesOf(room);
  const rule = joinRuleOf(content);
  if (content === null || !room.store.room.rules().allowsRestrictedJoin) return false;
  if (rule !== "restricted" && rule !== "knock_restricted") return false;
  if (isKeptOut(room, visitor)) return false;
  const rooms = allowedRooms(content).filter((roomId) => roomId !== room.roomId);
  const answers = await Promise.all(
    rooms.slice(0, maxAllowingRooms).map((roomId) => {
      const other = room.actors.room(roomId);
      return visitor.kind === "user" ? other.isJoined(visitor.userId) : other.isServerIn(visitor.server);
    }),
  );
  return answers.includes(true);
}

function isKeptOut(room: RoomContext, visitor: Visitor): boolean {
  return visitor.kind === "user" ? membershipOf(room, visitor) === "ban" : isShutOut(room, room.store, visitor.server);
}

function joinRulesOf(room: RoomContext): JsonObject | null {
  return findCurrentState(room.store, "m.room.join_rules", "")?.event.content ?? null;
}

function descriptionOf(room: RoomContext): RoomDescription {
  const facts = roomSummaryOf(room);
  const summary: JsonObject = {
    room_id: room.roomId,
    num_joined_members: facts.joinedMembers,
    world_readable: facts.isWorldReadable,
    guest_can_join: facts.isGuestAllowed,
    join_rule: facts.joinRule,
    room_version: room.store.room.get().roomVersion,
  };
  const { name, topic, canonicalAlias, avatarUrl, roomType } = facts;
  const encryption = stringField(
    findCurrentState(room.store, "m.room.encryption", "")?.event.content ?? {},
    "algorithm",
  );
  const texts = {
    name,
    topic,
    canonical_alias: canonicalAlias,
    avatar_url: avatarUrl,
    room_type: roomType,
    encryption,
  };
  for (const [key, text] of Object.entries(texts)) if (text !== null) summary[key] = text;
  const allowing = allowedRooms(joinRulesOf(room) ?? {});
  const isRestricted = facts.joinRule === "restricted" || facts.joinRule === "knock_restricted";
  if (isRestricted && allowing.length > 0) summary.allowed_room_ids = allowing;
  return { summary, children: roomType === "m.space" ? childrenOf(room) : [] };
}

function childrenOf(room: RoomContext): SpaceChild[] {
  const found: (OrderedChild & SpaceChild)[] = [];
  for (const { stateKeyNid } of room.store.stateKeys.ofType("m.space.child").slice(0, maxChildKeys)) {
    const eventNid = room.store.currentState.find(stateKeyNid);
    if (eventNid === null) continue;
    const record = room.store.events.byNid(eventNid);
    const event = prunedEvent(room, record);
    const child = listedChild(event.stateKey, event.content);
    if (child === null) continue;
    const { originServerTs } = record;
    found.push({ ...child, originServerTs, event: { ...stripEvent(event), origin_server_ts: originServerTs } });
  }
  return found
    .sort(compareChildren)
    .slice(0, maxChildren)
    .map(({ roomId, via, isSuggested, event }) => ({ roomId, via, isSuggested, event }));
}

/** What a user's actor pulls from the room's log: all that is new for the user since a position. */
import { errors } from "../../shared/errors.ts";
import type { JsonObject } from "../../shared/json.ts";
import { parseRoomFilter, type RoomFilter } from "../../shared/matrix/filter.ts";
import { stripEvent, strippedStateEvents } from "../../shared/matrix/stripped-state.ts";
import type { RoomSyncInput, RoomSyncResult } from "../../shared/rpc/room.ts";
import type { RoomContext } from "./context.ts";
import { findOutside, outsideSection } from "./remote-membership.ts";
import { findStateAt } from "./state.ts";
import type { MembershipRecord } from "./store/memberships.ts";
import {
  joinedSection,
  leftSection,
  nothingFor,
  partingSection,
  type RoomSection,
  type SyncRequest,
} from "./sync-section.ts";
import { prunedEvent, RoomViewer } from "./visibility.ts";
import { caughtUp } from "./wakes.ts";

/**
 * The room's part of the user's `/sync`. Afterwards the room may wake the user again.
 *
 * @throws MatrixError M_BAD_JSON for a filter that is none
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
 */
export function syncRoom(room: RoomContext, input: RoomSyncInput): RoomSyncResult {
  const result = answerFor(room, input);
  caughtUp(room, input.userId);
  return result;
}

function answerFor(room: RoomContext, input: RoomSyncInput): RoomSyncResult {
  const outside = findOutside(room, input.userId);
  if (outside !== null) {
    const member = { membership: outside.membership, membershipPosition: outside.position };
    return { ...outsideSection(room, input, outside), member };
  }
  const facts = room.store.room.find();
  const record = facts === null ? null : room.store.memberships.find(input.userId);
  if (facts === null || record === null) return { ...nothingFor(input.since ?? 0), member: null };
  const member = { membership: record.membership, membershipPosition: record.beganPosition };
  return { ...sectionFor(room, input, { member: record, head: facts.streamPosition }), member };
}

function sectionFor(
  room: RoomContext,
  input: RoomSyncInput,
  { member, head }: { member: MembershipRecord; head: number },
): RoomSection {
  if (member.isForgotten && isForgottenBy(input, member)) {
    return nothingFor(Math.max(member.streamPosition, input.since ?? member.streamPosition));
  }
  if (input.since !== null && input.since >= head && !input.fullState) return nothingFor(input.since);
  const request: SyncRequest = {
    input,
    viewer: new RoomViewer(room, { userId: input.userId, deviceId: input.deviceId, format: input.eventFormat }),
    filter: filterOf(input.filter),
    ignoredUsers: new Set(input.ignoredUsers),
  };
  switch (member.membership) {
    case "join":
      return joinedSection(request);
    case "invite":
    case "knock":
      return strippedSection(request, member);
    case "leave":
    case "ban":
      return member.isForgotten ? partingSection(request, member) : leftSection(request, member.streamPosition);
  }
}

/** Whether a client is told nothing of a forgotten room: unless it has the room still, and does not know that the user left. */
function isForgottenBy({ since, isIncremental }: RoomSyncInput, { streamPosition }: MembershipRecord): boolean {
  return !isIncremental || (since !== null && since >= streamPosition);
}

function filterOf(filter: JsonObject | null): RoomFilter {
  const parsed = parseRoomFilter(filter ?? {});
  if (!parsed.ok) throw errors.badJson(`filter: ${parsed.reason}`);
  return parsed.filter;
}

/**
 * The section of a room into which the user is invited, or on which they have knocked: stripped state of that time, with
 * their own member event and, for an invite, the inviter's.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#stripped-state
 */
function strippedSection(request: SyncRequest, member: MembershipRecord): RoomSection {
  const { input, ignoredUsers, viewer } = request;
  const { room } = viewer;
  const since = input.since ?? Number.NEGATIVE_INFINITY;
  const readPosition = Math.max(member.streamPosition, input.since ?? member.streamPosition);
  if (since >= member.streamPosition && !input.fullState) return nothingFor(readPosition);
  const event = room.store.events.byNid(member.eventNid);
  // "Servers must not send room invites from ignored users to clients."
  if (member.membership === "invite" && ignoredUsers.has(event.sender)) return nothingFor(readPosition);
  const people = new Set<string>([event.sender, input.userId]);
  const lookup = (type: string, stateKey: string) => {
    const record = findStateAt(room.store, event.stateRootAfter, type, stateKey);
    return record === null ? null : prunedEvent(room, record);
  };
  const stripped = strippedStateEvents(
    lookup,
    [...people].map((userId) => ["m.room.member", userId] as const),
  );
  const place = member.membership === "invite" ? "invite" : "knock";
  return { ...nothingFor(readPosition), place, section: { [`${place}_state`]: { events: stripped.map(stripEvent) } } };
}

/** The room as another server reads it: events, states at an event, auth chains, the event nearest to a time. */
import { errors } from "../../shared/errors.ts";
import type { EventId } from "../../shared/ids.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { PduPage, RoomForServers } from "../../shared/rpc/room-serving.ts";
import { authChainOf } from "./auth-chains.ts";
import type { RoomContext } from "./context.ts";
import { assertWhole } from "./partial-state.ts";
import { findViewer, viewerOf } from "./serve-visibility.ts";
import { entriesOf, type StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import { findNearest } from "./timestamp.ts";

type Input<Method extends keyof RoomForServers> = Parameters<RoomForServers[Method]>[0];

/** Ids of one call for their events, at most. */
const maxIds = 500;
/** Characters of JSON in one answer, about. */
const maxLength = 4 * 1024 * 1024;
/** Events read at a time: a large state is never in memory as a whole. */
const batchSize = 500;
/** Entries of the index of auth chains that one answer may read: for each event of the state, and beyond those. */
const readsPerEvent = 4;
const fewReads = 50_000;

/**
 * The state before an event, and that state's auth chains: "The full set of authorisation events that make up the state of
 * the room, and their authorisation events, recursively", so that events of the state are among them.
 *
 * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND; M_UNKNOWN when the auth chains are too long to be read
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid
 */
export function getStateIds(
  room: RoomContext,
  { origin, eventId }: Input<"getStateIds">,
): { stateIds: EventId[]; authChainIds: EventId[] } {
  viewerOf(room, origin, [eventId]);
  assertWhole(room.store);
  const record = requireEvent(room, eventId);
  if (record.stateRootAfter === null) throw errors.notFound("The state before the event is not known");
  const state = [...stateEntriesOf(room, record.stateRootBefore)];
  return { stateIds: state.map((entry) => entry.eventId), authChainIds: idsOf(room, authChainWithin(room, state)) };
}

/**
 * All events that authorize an event, and those that authorize them.
 * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND; M_UNKNOWN when the auth chain is too long to be read
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid
 */
export function getAuthChainIds(room: RoomContext, { origin, eventId }: Input<"getAuthChainIds">): EventId[] {
  viewerOf(room, origin, [eventId]);
  const { event } = requireEvent(room, eventId);
  const authEvents = event.authEvents.map((id) => room.store.events.byId(id)).filter((record) => record !== null);
  const own = authEvents.map((record) => record.eventNid);
  return idsOf(room, [...new Set([...own, ...authChainWithin(room, authEvents)])]);
}

/** Events of a state or an auth chain, as far as one answer carries them. */
export function getPdusAt(room: RoomContext, { origin, at, eventIds }: Input<"getPdusAt">): PduPage {
  if (eventIds.length > maxIds) throw new Error(`${eventIds.length} events were asked for at once`);
  const viewer = viewerOf(room, origin, [at]);
  // Whoever may see an event may know the state in which it was sent, also where that was set before they could look.
  const isSeen = viewer.canSee(requireEvent(room, at));
  const pdus: PduText[] = [];
  let taken = 0;
  for (let length = 0; taken < eventIds.length && length < maxLength; taken += 1) {
    const eventId = eventIds[taken];
    const record = eventId === undefined ? null : room.store.events.byId(eventId);
    if (record === null) continue;
    pdus.push(viewer.pduOf(record, { isSeen }));
    length += record.jsonLength;
  }
  return { pdus, taken };
}

/** One event; null where it is not here, or the server may not read this room. */
export function findPdu(room: RoomContext, { origin, eventId }: Input<"findPdu">): PduText | null {
  const viewer = findViewer(room, origin, [eventId]);
  const record = viewer === null ? null : room.store.events.byId(eventId);
  return record === null || record.status === "rejected" ? null : (viewer?.pduOf(record) ?? null);
}

/**
 * The event nearest to a time, of those that the server may see.
 * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid
 */
export function findNearestForServer(
  room: RoomContext,
  { origin, ts, dir }: Input<"findNearestForServer">,
): { eventId: EventId; originServerTs: number } {
  const viewer = viewerOf(room, origin, []);
  const found = findNearest(room, { ts, dir, accepts: (record) => viewer.canSee(record) });
  if (found === null) throw errors.notFound("There is no event in that direction");
  return { eventId: found.eventId, originServerTs: found.originServerTs };
}

/** What is not of this room is not here. @throws MatrixError M_NOT_FOUND */
function requireEvent(room: RoomContext, eventId: EventId): EventRecord {
  const record = room.store.events.byId(eventId);
  if (record === null || record.status === "rejected") throw errors.notFound("The event is not known here");
  return record;
}

/** What is kept of an event of a state that may have a hundred thousand of them. */
type StateEntry = Pick<EventRecord, "eventNid" | "eventId" | "authPosition">;

function* stateEntriesOf(room: RoomContext, root: StateRoot): Generator<StateEntry> {
  const eventNids = [...entriesOf(room.store.stateNodes, root)].map(([, eventNid]) => eventNid);
  for (let start = 0; start < eventNids.length; start += batchSize) {
    for (const { eventNid, eventId, authPosition } of room.store.events.byNids(
      eventNids.slice(start, start + batchSize),
    )) {
      yield { eventNid, eventId, authPosition };
    }
  }
}

/** @returns event numbers. @throws MatrixError M_UNKNOWN */
function authChainWithin(room: RoomContext, events: readonly StateEntry[]): number[] {
  const chain = authChainOf(room.store, events, fewReads + readsPerEvent * events.length);
  if (chain === null) throw errors.unknown("The auth chains are too long");
  return [...chain];
}

function idsOf(room: RoomContext, eventNids: readonly number[]): EventId[] {
  const ids: EventId[] = [];
  for (let start = 0; start < eventNids.length; start += batchSize) {
    const records = room.store.events.byNids(eventNids.slice(start, start + batchSize));
    ids.push(...records.map((record) => record.eventId));
  }
  return ids;
}

/** What a server is given of the room when one of its users has joined or knocked. */
import { errors } from "../../shared/errors.ts";
import type { EventId, ServerName, UserId } from "../../shared/ids.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import { strippedStateEvents } from "../../shared/matrix/stripped-state.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { JoinState } from "../../shared/rpc/room-resident.ts";
import { authChainOf } from "./auth-chains.ts";
import type { RoomContext } from "./context.ts";
import { assertWhole } from "./partial-state.ts";
import { findStateAt } from "./state.ts";
import { entriesOf, type StateRoot } from "./state-tree.ts";
import type { EventRecord } from "./store/events.ts";
import { syncSummaryOf } from "./summary.ts";
import { prunedEvent } from "./visibility.ts";

/** Events of one call for their PDUs, at most. */
export const maxPdusOfCall = 500;
/** Members of a room, now or once, who are always told. */
const maxToldMembers = 20;
/** Events read at a time: a large state is never in memory as a whole. */
const batchSize = 500;
/** Entries of the index of auth chains that one answer may read: for each event of the state, and beyond those. */
const readsPerEvent = 4;
const fewReads = 50_000;

/** What is kept of an event of a state that may have a hundred thousand of them. */
type StateEntry = Pick<EventRecord, "eventNid" | "eventId" | "authPosition">;

/**
 * The state before a join, and the auth chains of it and of the join.
 *
 * @throws MatrixError M_NOT_FOUND for an event that is not here; M_UNKNOWN when the auth chains are too long to be read
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 */
export function getJoinState(
  room: RoomContext,
  { eventId, omitMembers }: { eventId: EventId; omitMembers: boolean },
): JoinState {
  assertWhole(room.store);
  const join = room.store.events.byId(eventId);
  if (join === null || join.stateRootAfter === null) throw errors.notFound("The event is not known here");
  const isLarge = room.store.stateKeys.hasMoreOfType("m.room.member", maxToldMembers);
  // A few members are told sooner than fetched.
  const omits = omitMembers && isLarge;
  const described = omits ? membersThatDescribe(room, join.sender) : null;
  const state: StateEntry[] = [];
  for (const record of stateEventsOf(room, join.stateRootBefore)) {
    const isKept = described === null || record.type !== "m.room.member" || described.has(record.stateKey ?? "");
    const { eventNid, eventId: id, authPosition } = record;
    if (isKept) state.push({ eventNid, eventId: id, authPosition });
  }
  const authChain = authChainOf(room.store, [...state, join], fewReads + readsPerEvent * state.length);
  if (authChain === null) throw errors.unknown("The room's auth chains are too long");
  // "If the omit_members query parameter was set to true, then any events that are returned in state may be omitted".
  const inState = new Set(omitMembers ? state.map((entry) => entry.eventNid) : []);
  const told = [...authChain].filter((eventNid) => !inState.has(eventNid));
  return {
    stateIds: state.map((entry) => entry.eventId),
    authChainIds: told.map((eventNid) => room.store.events.byNid(eventNid).eventId),
    membersOmitted: omits,
    serversInRoom: serversBefore(room, join),
  };
}

/** The events of a state, a batch at a time. */
function* stateEventsOf(room: RoomContext, root: StateRoot): Generator<EventRecord> {
  let batch: number[] = [];
  for (const [, eventNid] of entriesOf(room.store.stateNodes, root)) {
    batch.push(eventNid);
    if (batch.length < batchSize) continue;
    yield* room.store.events.byNids(batch);
    batch = [];
  }
  yield* room.store.events.byNids(batch);
}

/** The members by which a room without a name is called. */
function membersThatDescribe(room: RoomContext, except: UserId): ReadonlySet<string> {
  return new Set<string>(syncSummaryOf(room, except).heroes);
}

/** The servers with joined members, without one that is there by this join only. */
function serversBefore(room: RoomContext, join: EventRecord): ServerName[] {
  const isOfJoin = (server: ServerName): boolean => join.sender.endsWith(`:${server}`);
  const servers = room.store.memberships.joinedServers();
  return servers.filter((server) => !isOfJoin(server));
}

/**
 * The state by which a room is described to somebody who has knocked on it, as PDUs. It is that of the knock: who sends it
 * again, and may have been turned down since, is told what they were told, and nothing of what the room has become.
 *
 * @throws MatrixError M_NOT_FOUND for an event that is not here
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid
 */
export function getKnockState(room: RoomContext, eventId: EventId): PduText[] {
  const root = room.store.events.byId(eventId)?.stateRootAfter ?? null;
  if (root === null) throw errors.notFound("The event is not known here");
  const lookup = (type: string, stateKey: string): MatrixEvent | null => {
    const record = findStateAt(room.store, root, type, stateKey);
    return record === null ? null : prunedEvent(room, record);
  };
  return strippedStateEvents(lookup).map((event) => pduTextOf(room, event));
}

/** Events as they are federated, in the order of their ids; unknown ones are left out. */
export function getPdus(room: RoomContext, eventIds: readonly EventId[]): PduText[] {
  if (eventIds.length > maxPdusOfCall) throw new Error(`${eventIds.length} events were asked for at once`);
  if (room.store.room.find() === null) return [];
  const records = eventIds.map((eventId) => room.store.events.byId(eventId)).filter((record) => record !== null);
  return records.map((record) => pduTextOf(room, prunedEvent(room, record)));
}

/** An event as it goes over the wire. */
function pduTextOf(room: RoomContext, event: MatrixEvent): PduText {
  return canonicalJson(event.pdu, ["unsigned"], canonicalMode(room.store.room.rules()));
}

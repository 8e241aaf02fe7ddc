/**
 * Looks anew at the events that took their place while not all of the room was known, in that order: on which state each
 * stands, and whether it is allowed there, whatever it was taken for on less knowledge. Then everything changes at once.
 */
import type { ServerName } from "../../shared/ids.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import { indexAuthChain } from "./auth-chains.ts";
import type { RoomContext } from "./context.ts";
import { applyCurrentState } from "./current-state.ts";
import { projectDirectoryLater } from "./directory.ts";
import {
  addToldServers,
  closeToldServers,
  firstVerifyPauseMs,
  forgetToldServers,
  verifyForMs,
} from "./partial-state.ts";
import { checkByAuthEvents } from "./receive.ts";
import { applyPendingRedactions, applyRedaction, undoRedaction } from "./redactions.ts";
import { resolveRoots } from "./resolve.ts";
import { followServers } from "./servers.ts";
import { findStateAt, stateLookupAt } from "./state.ts";
import { differencesOf, type StateRoot, setEntries } from "./state-tree.ts";
import type { EventRecord, EventStatus } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { Found, PartialEvent, PartialState } from "./store/partial-state.ts";
import { isToBeVerified, serversUnverified } from "./unverified-state.ts";
import { oweWakes } from "./wakes.ts";

/** Events of one call. */
const batchSize = 100;
/** Events looked at to find what an event follows by way of events that are no ends of the graph. */
const maxFollowed = 100;

/** Goes on with a part of the events. @returns whether all have been looked at */
export function replayEvents(room: RoomContext, tx: RoomTransaction, partial: PartialState): boolean {
  const events = tx.partialState.eventsAfter(partial.replayed, batchSize);
  const place = { currentRoot: partial.currentRoot, ends: [...partial.ends] };
  for (const partialEvent of events) replay(room, tx, partialEvent, place);
  const replayed = events.at(-1)?.sequence;
  if (replayed !== undefined) tx.partialState.setReplayed({ ...place, replayed });
  return events.length < batchSize;
}

/** Where the graph ends after the events that were looked at, and the current state there. */
interface Place {
  currentRoot: StateRoot;
  ends: number[];
}

function replay(room: RoomContext, tx: RoomTransaction, partialEvent: PartialEvent, place: Place): void {
  const record = tx.events.byNid(partialEvent.eventNid);
  const asFound = (each: EventRecord): EventStatus => statusNow(tx, each);
  const resolution = resolveRoots(tx, rootsBefore(tx, record.event, partialEvent), asFound);
  const before = resolution.ok ? resolution.root : record.stateRootBefore;
  const isAllowed = resolution.ok && isAllowedAt(room, tx, record.event, before);
  const status = isAllowed ? allowedStatus(tx, record, partialEvent, place) : "rejected";
  if (record.status === "rejected" && status !== "rejected") indexLate(tx, record);
  const after = status === "rejected" ? before : afterEvent(tx, record, before);
  const found: Found = { status, before, after, current: null };
  // Events of the past are no ends of the graph, and none of their states is current.
  if (status !== "accepted" || partialEvent.isPast) {
    // The join itself: it was taken on less than there was to know.
    place.currentRoot ??= before;
    tx.partialState.setFound(record.eventNid, { ...found, current: place.currentRoot });
    return;
  }
  const followed = followedBy(tx, record.event, new Set(place.ends));
  const others = place.ends.filter((end) => !followed.has(end));
  const roots = others.map((end) => tx.partialState.foundOf(end)?.after ?? tx.events.byNid(end).stateRootAfter);
  const current = resolveRoots(tx, [after, ...roots], asFound);
  if (!current.ok && place.currentRoot === null) {
    // What was known of the room before the join is no reason not to be in it.
    Object.assign(place, { ends: [record.eventNid], currentRoot: after });
    tx.partialState.setFound(record.eventNid, { ...found, current: after });
    return;
  }
  if (!current.ok) {
    tx.partialState.setFound(record.eventNid, { ...found, status: "soft_failed" });
    return;
  }
  place.ends = [...others, record.eventNid];
  place.currentRoot = current.root;
  tx.partialState.setFound(record.eventNid, { ...found, current: current.root });
}

/** The states after the events that it follows, as they are found to be, and those that were told of others. */
function rootsBefore(tx: RoomTransaction, event: MatrixEvent, { sequence, told }: PartialEvent): StateRoot[] {
  const roots: StateRoot[] = [];
  for (const eventId of event.prevEvents) {
    const prev = tx.events.byId(eventId);
    if (prev === null || prev.stateRootAfter === null) continue;
    const place = tx.partialState.sequenceOf(prev.eventNid);
    if (place === null) roots.push(prev.stateRootAfter);
    // What took its place later was not here then: of those, a state was told.
    else if (place < sequence) roots.push(tx.partialState.foundOf(prev.eventNid)?.after ?? null);
  }
  return [...roots, ...told];
}

/** What an event is found to be or, where it was not looked at anew, is. */
function statusNow(tx: RoomTransaction, { eventNid, status }: EventRecord): EventStatus {
  return tx.partialState.foundOf(eventNid)?.status ?? status;
}

function isAllowedAt(room: RoomContext, tx: RoomTransaction, event: MatrixEvent, before: StateRoot): boolean {
  const authEvents = event.authEvents
    .map((eventId) => tx.events.byId(eventId))
    .filter((record) => record !== null)
    .map((record) => ({ ...record, status: statusNow(tx, record) }));
  if (checkByAuthEvents(room, tx, event, authEvents) !== null) return false;
  return authorize(event, tx.room.rules(), stateLookupAt(tx, before)).allowed;
}

/** What an event is found to be that is allowed where it stands. */
function allowedStatus(
  tx: RoomTransaction,
  { event, status }: EventRecord,
  { isPast }: PartialEvent,
  { currentRoot }: Place,
): EventStatus {
  // The past is not compared with the present; and what was refused there has no position to be shown at.
  if (isPast) return status === "rejected" ? "rejected" : "accepted";
  if (currentRoot === null) return "accepted";
  return authorize(event, tx.room.rules(), stateLookupAt(tx, currentRoot)).allowed ? "accepted" : "soft_failed";
}

/** What was rejected is not in the index of auth chains; what it is authorized by has been looked at before it. */
function indexLate(tx: RoomTransaction, { eventNid, stateKey, event, authPosition }: EventRecord): void {
  if (stateKey === null || authPosition !== null) return;
  const authEvents = event.authEvents.map((eventId) => tx.events.byId(eventId)).filter((record) => record !== null);
  tx.events.setAuthPosition(eventNid, indexAuthChain(tx, eventNid, authEvents));
}

function afterEvent(tx: RoomTransaction, record: EventRecord, before: StateRoot): StateRoot {
  if (record.stateKey === null) return before;
  const stateKeyNid = tx.stateKeys.intern(record.type, record.stateKey);
  return setEntries(tx.stateNodes, before, new Map([[stateKeyNid, record.eventNid]]));
}

/** The ends of the graph that an event follows, also by way of events that never took an end's place, or have it no more. */
function followedBy(tx: RoomTransaction, event: MatrixEvent, ends: ReadonlySet<number>): Set<number> {
  const followed = new Set<number>();
  const seen = new Set(event.prevEvents);
  // Grows while it is gone through.
  for (const eventId of seen) {
    const record = seen.size <= maxFollowed ? tx.events.byId(eventId) : null;
    if (record === null) continue;
    const status = tx.partialState.foundOf(record.eventNid)?.status ?? record.status;
    if (ends.has(record.eventNid)) followed.add(record.eventNid);
    else if (status === "rejected" || status === "soft_failed") for (const id of record.event.prevEvents) seen.add(id);
  }
  return followed;
}

/** All is known: makes it the room's. */
export function becomeWhole(room: RoomContext, tx: RoomTransaction): void {
  const partial = tx.partialState.find();
  if (partial === null) throw new Error("the room is whole already");
  const facts = tx.room.get();
  const streamPosition = applyFound(tx, partial, facts.streamPosition) + 1;
  tx.extremities.deleteForward();
  for (const end of partial.ends) tx.extremities.replace(end, []);
  const told = forgetToldServers(tx);
  const changes = [...differencesOf(tx.stateNodes, facts.stateRoot, partial.currentRoot)].map((change) => ({
    stateKeyNid: change.stateKeyNid,
    eventNid: change.right,
  }));
  const cause = createOf(tx, partial.currentRoot);
  const effect = applyCurrentState(room, tx, { facts, changes, cause, streamPosition });
  const servers = followServers(room, tx, effect, { streamPosition, isSent: false });
  // Clients that have read the room meanwhile know less of it than its states say now.
  if (changes.length > 0) tx.partialState.insertPast(streamPosition, partial);
  const arrived = endPartial(room, tx, partial, streamPosition);
  const gone = closeToldServers(tx, told, streamPosition);
  const { joinedMembers, invitedMembers } = effect;
  tx.room.advance({
    ...facts,
    streamPosition,
    stateRoot: partial.currentRoot,
    joinedMembers,
    invitedMembers,
    directoryOwed: streamPosition,
  });
  projectDirectoryLater(room);
  oweWakes(room, {
    membershipChanges: effect.localMembers,
    servers: { ...servers, arrived: [...servers.arrived, ...arrived], gone: [...servers.gone, ...gone] },
  });
  room.log.info("room is whole", { room_id: room.roomId, joined_members: joinedMembers });
}

/** Ends the time in which not all was known or, where there is more to be verified, begins the next. @returns servers that are told to be in the room */
function endPartial(room: RoomContext, tx: RoomTransaction, partial: PartialState, at: number): ServerName[] {
  const isOver = !isToBeVerified(room);
  const now = room.clock.now();
  if (isOver) tx.partialState.end();
  else {
    const unverifiedUntilTs = partial.unverifiedUntilTs ?? now + verifyForMs;
    const retryTs = now + firstVerifyPauseMs;
    tx.partialState.goOn({ since: at, toldRoot: partial.currentRoot, unverifiedUntilTs, retryTs });
    room.alarm.ensure(retryTs);
  }
  return isOver ? [] : addToldServers(room, tx, serversUnverified(room, "partial_state_unverified"), at);
}

/**
 * Makes the events what they were found to be. Those that nobody was shown, and are accepted now, are the newest there is.
 * @returns the newest position that is taken now
 */
function applyFound(tx: RoomTransaction, { currentRoot }: PartialState, streamPosition: number): number {
  const changed = tx.partialState.changed();
  tx.partialState.applyFound();
  let position = streamPosition;
  for (const { eventNid, was, isPast } of changed) {
    const { event, status, stateRootBefore: before } = tx.events.byNid(eventNid);
    if (was === "accepted") undoRedaction(tx, event);
    if (status === "accepted" && !isPast) {
      position += 1;
      tx.events.accept(eventNid, { streamPosition: position, currentRoot });
      applyRedaction(tx, event, { eventNid, before });
    }
    if (was === "rejected") applyPendingRedactions(tx, event, eventNid);
  }
  return position;
}

function createOf(tx: RoomTransaction, root: StateRoot): EventRecord {
  const create = findStateAt(tx, root, "m.room.create", "");
  if (create === null) throw new Error("a state has no create event");
  return create;
}

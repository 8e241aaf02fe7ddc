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
import type { PlaceInPast } from "./gaps.ts";
import {
  addToldServers,
  closeToldServers,
  firstVerifyPauseMs,
  forgetToldServers,
  verifyForMs,
} from "./partial-state.ts";
import { sendEnds } from "./parting.ts";
import { checkByAuthEvents } from "./receive.ts";
import { applyPendingRedactions, applyRedaction, undoRedaction } from "./redactions.ts";
import { resolveRoots } from "./resolve.ts";
import { followServers } from "./servers.ts";
import { findStateAt, stateLookupAt, stateRootAt } from "./state.ts";
import { differencesOf, type StateRoot, setEntries } from "./state-tree.ts";
import type { EventRecord, EventStatus } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { Found, PartialEvent, PartialState, ToldState } from "./store/partial-state-rows.ts";
import { isToBeVerified, serversUnverified } from "./unverified-state.ts";
import { oweWakes } from "./wakes.ts";

/** Events of one call. */
const batchSize = 100;
/** Events looked at to find what an event follows by way of events that are no ends of the graph. */
const maxFollowed = 100;

/** Goes on with a part of the events. @returns whether all have been looked at */
export function replayEvents(room: RoomContext, tx: RoomTransaction, partial: PartialState): boolean {
  const place = { currentRoot: partial.currentRoot, ends: [...partial.ends] };
  let { replayed } = partial;
  let isOver = true;
  const events = tx.partialState.eventsAfter(replayed, batchSize);
  for (const partialEvent of events) {
    isOver = replayOutliers(room, tx, partialEvent.sequence);
    if (!isOver) break;
    replay(room, tx, partialEvent, place);
    replayed = partialEvent.sequence;
  }
  if (replayed > partial.replayed) tx.partialState.setReplayed({ ...place, replayed });
  return isOver && events.length < batchSize && replayOutliers(room, tx, Number.MAX_SAFE_INTEGER);
}

/**
 * Looks at a part of the events outside of the graph that came before an event: each is what those are that authorize it.
 * @returns whether all of them have been looked at
 */
function replayOutliers(room: RoomContext, tx: RoomTransaction, sequence: number): boolean {
  const outliers = tx.partialState.outliersBefore(sequence, batchSize);
  for (const eventNid of outliers) {
    const record = tx.events.byNid(eventNid);
    const refusal = checkByAuthEvents(room, tx, record.event, authEventsNow(tx, record.event));
    if (record.status === "rejected" && refusal === null) indexLate(tx, record);
    tx.partialState.setOutlierFound(eventNid, refusal === null ? "outlier" : "rejected");
  }
  return outliers.length < batchSize;
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
  const status = isAllowed ? allowedStatus(tx, record.event, partialEvent, place) : "rejected";
  if (record.status === "rejected" && status !== "rejected") indexLate(tx, record);
  const after = status === "rejected" ? before : afterEvent(tx, record, before);
  const found: Found = { status, before, after, current: null };
  // Events of the past are no ends of the graph, and none of their states is current.
  if (status !== "accepted" || partialEvent.past !== null) {
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
  return [...roots, ...told.map((state) => toldNow(tx, state))];
}

/** A state that was told, of which what is looked at anew is as it is found to be. */
function toldNow(tx: RoomTransaction, { root, doubtful }: ToldState): StateRoot {
  const entries = new Map<number, number>();
  for (const eventNid of doubtful) {
    const record = tx.events.byNid(eventNid);
    if (record.stateKey === null) continue;
    const isIn = statusNow(tx, record) !== "rejected";
    entries.set(tx.stateKeys.intern(record.type, record.stateKey), isIn ? eventNid : 0);
  }
  return setEntries(tx.stateNodes, root, entries);
}

/** What an event is found to be or, where it was not looked at anew, is. */
function statusNow(tx: RoomTransaction, { eventNid, status }: EventRecord): EventStatus {
  return tx.partialState.statusOf(eventNid) ?? status;
}

function authEventsNow(tx: RoomTransaction, event: MatrixEvent): EventRecord[] {
  return event.authEvents
    .map((eventId) => tx.events.byId(eventId))
    .filter((record) => record !== null)
    .map((record) => ({ ...record, status: statusNow(tx, record) }));
}

function isAllowedAt(room: RoomContext, tx: RoomTransaction, event: MatrixEvent, before: StateRoot): boolean {
  if (checkByAuthEvents(room, tx, event, authEventsNow(tx, event)) !== null) return false;
  return authorize(event, tx.room.rules(), stateLookupAt(tx, before)).allowed;
}

/** What an event is found to be that is allowed where it stands. */
function allowedStatus(
  tx: RoomTransaction,
  event: MatrixEvent,
  { past }: PartialEvent,
  { currentRoot }: Place,
): EventStatus {
  // The past is not compared with the present.
  if (past !== null || currentRoot === null) return "accepted";
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
    const status = statusNow(tx, record);
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
  // Not those of which others said that they are in the room, and nothing was ever seen.
  const out = servers.gone.filter((server) => !tx.servers.isIn(server));
  const untold = sendEnds(tx, { gone: out, moves: effect.moves, cause: null });
  projectDirectoryLater(room);
  oweWakes(room, {
    membershipChanges: effect.localMembers,
    servers: {
      arrived: [...servers.arrived, ...arrived],
      gone: [...servers.gone, ...gone],
      visited: [...servers.visited, ...untold],
    },
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
 * Makes the events what they were found to be. Those that nobody was shown, and are accepted now, are the newest there is or,
 * if they are of the past, at their place there.
 * @returns the newest position that is taken now
 */
function applyFound(tx: RoomTransaction, { currentRoot }: PartialState, streamPosition: number): number {
  const changed = tx.partialState.changed();
  const outliers = tx.partialState.changedOutliers();
  tx.partialState.applyFound();
  let position = streamPosition;
  for (const { eventNid, was, past } of changed) {
    const { event, status, stateRootBefore: before } = tx.events.byNid(eventNid);
    if (was === "accepted") undoRedaction(tx, event);
    if (status === "accepted") {
      if (past === null) position += 1;
      const at = past === null ? { streamPosition: position, currentRoot } : placeInPast(tx, past);
      tx.events.accept(eventNid, at);
      applyRedaction(tx, event, { eventNid, before });
    }
    if (was === "rejected") applyPendingRedactions(tx, event, eventNid);
  }
  for (const eventNid of outliers) applyPendingRedactions(tx, tx.events.byNid(eventNid).event, eventNid);
  return position;
}

function placeInPast(tx: RoomTransaction, past: PlaceInPast): { streamPosition: number; currentRoot: StateRoot } {
  return { streamPosition: past.position, currentRoot: past.after === null ? null : stateRootAt(tx, past.after) };
}

function createOf(tx: RoomTransaction, root: StateRoot): EventRecord {
  const create = findStateAt(tx, root, "m.room.create", "");
  if (create === null) throw new Error("a state has no create event");
  return create;
}

/**
 * Looks anew at the events that took their place while members of the room were not known, in that order: on which state
 * each stands, and whether it is allowed there. Then everything changes at once.
 */
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { authorize } from "../../shared/matrix/event-auth/state-dependent.ts";
import type { RoomContext } from "./context.ts";
import { applyCurrentState } from "./current-state.ts";
import { projectDirectoryLater } from "./directory.ts";
import { closeToldServers, forgetToldServers } from "./partial-state.ts";
import { checkByAuthEvents } from "./receive.ts";
import { resolveRoots } from "./resolve.ts";
import { followServers } from "./servers.ts";
import { findStateAt, stateLookupAt } from "./state.ts";
import { differencesOf, type StateRoot, setEntries } from "./state-tree.ts";
import type { EventRecord, EventStatus } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { Found, PartialEvent, PartialState } from "./store/partial-state.ts";
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
  const resolution = resolveRoots(tx, rootsBefore(tx, record.event, partialEvent));
  const before = resolution.ok ? resolution.root : record.stateRootBefore;
  const isAllowed = resolution.ok && isAllowedAt(room, tx, record.event, before);
  const status = statusOf(tx, record, { isAllowed, current: place.currentRoot });
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
  const current = resolveRoots(tx, [after, ...roots]);
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

function isAllowedAt(room: RoomContext, tx: RoomTransaction, event: MatrixEvent, before: StateRoot): boolean {
  const authEvents = event.authEvents.map((eventId) => tx.events.byId(eventId)).filter((record) => record !== null);
  if (checkByAuthEvents(room, tx, event, authEvents) !== null) return false;
  return authorize(event, tx.room.rules(), stateLookupAt(tx, before)).allowed;
}

/**
 * What an event is found to be. What was refused, on more knowledge of its sender than there is of others, stays refused.
 */
function statusOf(
  tx: RoomTransaction,
  { event, status }: EventRecord,
  { isAllowed, current }: { isAllowed: boolean; current: StateRoot },
): EventStatus {
  if (!isAllowed || status === "rejected") return "rejected";
  if (status === "soft_failed") return status;
  const isFirst = current === null;
  return isFirst || authorize(event, tx.room.rules(), stateLookupAt(tx, current)).allowed ? "accepted" : "soft_failed";
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
  const streamPosition = facts.streamPosition + 1;
  tx.partialState.applyFound();
  tx.extremities.deleteForward();
  for (const end of partial.ends) tx.extremities.replace(end, []);
  const told = forgetToldServers(tx);
  const effect = applyCurrentState(room, tx, {
    facts,
    changes: [...differencesOf(tx.stateNodes, facts.stateRoot, partial.currentRoot)].map((change) => ({
      stateKeyNid: change.stateKeyNid,
      eventNid: change.right,
    })),
    cause: createOf(tx, partial.currentRoot),
    streamPosition,
  });
  const servers = followServers(room, tx, effect.moves, { streamPosition, isSent: false });
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
  tx.partialState.end();
  tx.partialState.insertPast(streamPosition, partial);
  projectDirectoryLater(room);
  oweWakes(room, {
    membershipChanges: effect.localMembers,
    servers: { ...servers, gone: [...servers.gone, ...gone] },
  });
  room.log.info("room is whole", { room_id: room.roomId, joined_members: joinedMembers });
}

function createOf(tx: RoomTransaction, root: StateRoot): EventRecord {
  const create = findStateAt(tx, root, "m.room.create", "");
  if (create === null) throw new Error("a state has no create event");
  return create;
}

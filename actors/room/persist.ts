/**
 * THE writer: the only code that inserts into `events`. What an event changes is stored with it, in the caller's
 * transaction: graph, states, memberships, counts, the room's next stream position, and the wakes that it owes.
 */
import type { EventId } from "../../shared/ids.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { canonicalMode } from "../../shared/matrix/hashes.ts";
import { indexAuthChain } from "./auth-chains.ts";
import type { RoomContext } from "./context.ts";
import { applyCurrentState, type StateChange } from "./current-state.ts";
import { projectDirectoryLater } from "./directory.ts";
import type { PlaceInPast } from "./gaps.ts";
import { sendEnds } from "./parting.ts";
import { applyPendingRedactions, applyRedaction } from "./redactions.ts";
import { resolveRoots } from "./resolve.ts";
import { followServers, isForServers } from "./servers.ts";
import { stateRootAt } from "./state.ts";
import { differencesOf, type StateRoot, setEntries } from "./state-tree.ts";
import type { EventRecord, EventStatus } from "./store/events.ts";
import type { RoomTransaction } from "./store/index.ts";
import type { RoomFacts } from "./store/room.ts";
import { oweWakes } from "./wakes.ts";

/** Event numbers are entries of state vectors: unsigned 32 bits. */
const maxEventNid = 2 ** 32 - 1;

/** An event that passed all checks. */
export interface AcceptedEvent {
  readonly event: MatrixEvent;
  /** The state before it. */
  readonly before: StateRoot;
  /** The request that made it; null when it was not made here. */
  readonly deviceId: string | null;
  readonly txnId: string | null;
  /** Of this server's making, or taken on another's behalf: this server sends it to the others. */
  readonly isOurs?: boolean;
  /** Its record, where it is here already as an outlier. Absent for events made here: nobody can know those before. */
  readonly known?: EventRecord | null;
}

/** What a new event will be in the graph and in states. */
export interface Placement {
  readonly eventNid: number;
  readonly stateKeyNid: number | null;
  readonly before: StateRoot;
  readonly after: StateRoot;
}

/**
 * Stores an authorized event as the newest of the live room, and brings the current state up to date: the resolution of
 * the states after all ends of the graph.
 *
 * @returns false when the current state with one more end of the graph cannot be resolved within its bounds: the event is
 *   soft-failed, and so does not become one.
 */
export function persistEvent(room: RoomContext, tx: RoomTransaction, accepted: AcceptedEvent): boolean {
  const { event } = accepted;
  const facts = tx.room.get();
  const placement = placementOf(tx, facts, accepted);
  const streamPosition = facts.streamPosition + 1;
  const ends = tx.extremities.ends();
  const followed = followedBy(tx, event, new Set(ends.map((end) => end.eventId)));
  const others = ends.filter((end) => !followed.has(end.eventId)).map((end) => end.root);
  const eventNid = Math.max(facts.eventNid, placement.eventNid);
  const isOurs = accepted.isOurs === true && isForServers(room, tx, event);
  const current = storeAndResolve(tx, accepted, { placement, streamPosition, others });
  if (current === null) {
    tx.room.setEventNid(eventNid);
    return false;
  }
  tx.extremities.replace(placement.eventNid, [...followed]);
  if (isOurs) tx.servers.insertOutbound(streamPosition, placement.eventNid);
  applyRedaction(tx, event, placement);
  if (accepted.known !== undefined) applyPendingRedactions(tx, event, placement.eventNid);
  const changes = stateChanges(tx, facts, placement, current.root);
  const cause = { event, eventNid: placement.eventNid };
  const effect = applyCurrentState(room, tx, { facts, changes, cause, streamPosition });
  const servers = followServers(room, tx, effect, { streamPosition, isSent: isOurs });
  tx.room.advance({
    streamPosition,
    eventNid,
    stateRoot: current.root,
    joinedMembers: effect.joinedMembers,
    invitedMembers: effect.invitedMembers,
    directoryOwed: effect.isSummary ? streamPosition : facts.directoryOwed,
  });
  if (effect.isSummary) projectDirectoryLater(room);
  const { moves, localMembers } = effect;
  const untold = sendEnds(tx, { gone: servers.gone, moves, cause: { event, before: placement.before } });
  const visited = [...servers.visited, ...untold];
  oweWakes(room, { membershipChanges: localMembers, isForServers: isOurs, servers: { ...servers, visited } });
  return true;
}

/** Stores the event and resolves the current state with it, which has to find it stored. Null: it cannot be resolved. */
function storeAndResolve(
  tx: RoomTransaction,
  accepted: AcceptedEvent,
  at: { placement: Placement; streamPosition: number; others: readonly StateRoot[] },
): { root: StateRoot } | null {
  const { placement, streamPosition, others } = at;
  const { after } = placement;
  if (others.every((root) => root === after)) {
    store(tx, accepted, { ...placement, status: "accepted", streamPosition, currentRoot: after });
    return { root: after };
  }
  store(tx, accepted, { ...placement, status: "soft_failed", streamPosition: null, currentRoot: null });
  const resolution = resolveRoots(tx, [after, ...others]);
  if (!resolution.ok) return null;
  tx.events.accept(placement.eventNid, { streamPosition, currentRoot: resolution.root });
  return { root: resolution.root };
}

/**
 * Stores an event that no client is to see: rejected or soft-failed in its place in the graph, or an outlier, which has
 * none. It becomes no end of the graph and is in no current state.
 */
export function persistUnseen(
  tx: RoomTransaction,
  input: {
    event: MatrixEvent;
    before: StateRoot;
    known?: EventRecord | null;
    status: Exclude<EventStatus, "accepted">;
  },
): number {
  const facts = tx.room.get();
  const { event, before, status } = input;
  const unplaced = { eventNid: input.known?.eventNid ?? nextNid(facts), stateKeyNid: null, before, after: before };
  // "except not updating with the rejected event where it is a state event"
  const placement =
    status === "soft_failed"
      ? placementOf(tx, facts, { event, before, known: input.known ?? null, deviceId: null, txnId: null })
      : unplaced;
  const accepted = { event, before, deviceId: null, txnId: null, known: input.known ?? null };
  store(tx, accepted, { ...placement, status, streamPosition: null, currentRoot: null });
  if (placement.eventNid > facts.eventNid) tx.room.setEventNid(placement.eventNid);
  if (status !== "rejected") applyPendingRedactions(tx, event, placement.eventNid);
  return placement.eventNid;
}

/**
 * Stores an authorized event as part of the room's past: it changes no current state, is no end of the graph, and nobody is
 * woken for it. Clients are given it where they read back to its place.
 */
export function persistPast(
  tx: RoomTransaction,
  input: { event: MatrixEvent; before: StateRoot; known: EventRecord | null },
  { position, after }: PlaceInPast,
): void {
  const facts = tx.room.get();
  const accepted = { ...input, deviceId: null, txnId: null };
  const placement = placementOf(tx, facts, accepted);
  // The live room knew nothing of it: what was current there is what was current before the gap.
  const currentRoot = after === null ? null : stateRootAt(tx, after);
  store(tx, accepted, { ...placement, status: "accepted", streamPosition: position, currentRoot });
  if (placement.eventNid > facts.eventNid) tx.room.setEventNid(placement.eventNid);
  applyRedaction(tx, input.event, placement);
  applyPendingRedactions(tx, input.event, placement.eventNid);
}

function nextNid(facts: RoomFacts): number {
  if (facts.eventNid >= maxEventNid) throw new Error("the room has no event numbers left");
  return facts.eventNid + 1;
}

function placementOf(tx: RoomTransaction, facts: RoomFacts, { event, before, known }: AcceptedEvent): Placement {
  const eventNid = known?.eventNid ?? nextNid(facts);
  if (event.stateKey === null) return { eventNid, stateKeyNid: null, before, after: before };
  const stateKeyNid = tx.stateKeys.intern(event.type, event.stateKey);
  const after = setEntries(tx.stateNodes, before, new Map([[stateKeyNid, eventNid]]));
  return { eventNid, stateKeyNid, before, after };
}

/** Events looked at to find what an event follows by way of events that are no ends of the graph. */
const maxFollowed = 100;

/**
 * The ends of the graph that an event follows: those that it names, and those before rejected and soft-failed events that
 * it names, which never took an end's place.
 */
function followedBy(tx: RoomTransaction, event: MatrixEvent, ends: ReadonlySet<EventId>): Set<EventId> {
  const followed = new Set<EventId>();
  const seen = new Set<EventId>(event.prevEvents);
  // Grows while it is gone through.
  for (const eventId of seen) {
    if (ends.has(eventId)) {
      followed.add(eventId);
      continue;
    }
    const record = seen.size <= maxFollowed ? tx.events.byId(eventId) : null;
    if (record === null || (record.status !== "rejected" && record.status !== "soft_failed")) continue;
    for (const before of record.event.prevEvents) seen.add(before);
  }
  return followed;
}

function store(
  tx: RoomTransaction,
  { event, deviceId, txnId, known }: AcceptedEvent,
  at: Placement & Pick<EventRecord, "status" | "streamPosition" | "currentRoot">,
): void {
  const record = {
    eventNid: at.eventNid,
    eventId: event.eventId,
    streamPosition: at.streamPosition,
    status: at.status,
    // Only for order: a number of an older room version that no double holds is in the JSON.
    depth: Math.min(event.depth, Number.MAX_SAFE_INTEGER),
    originServerTs: event.originServerTs,
    sender: event.sender,
    type: event.type,
    stateKey: event.stateKey,
    stateRootBefore: at.before,
    stateRootAfter: at.after,
    currentRoot: at.currentRoot,
    authPosition: known?.authPosition ?? authPositionOf(tx, event, at),
    deviceId,
    txnId,
    event,
    json: canonicalJson(event.pdu, ["unsigned"], canonicalMode(tx.room.rules())),
  };
  if (known === undefined || known === null) tx.events.insert(record);
  else tx.events.place(record);
  if (at.status === "outlier" || (at.status === "rejected" && at.after === null)) return;
  tx.edges.insert(at.eventNid, event.prevEvents);
  if (tx.partialState.isOn()) tx.partialState.note(at.eventNid);
  if (known !== undefined) tx.extremities.removeMissing(event.eventId);
}

/** Only events that may be in a state are in the index. */
function authPositionOf(
  tx: RoomTransaction,
  event: MatrixEvent,
  at: Pick<EventRecord, "eventNid" | "status">,
): EventRecord["authPosition"] {
  if (event.stateKey === null || at.status === "rejected") return null;
  const authEvents = event.authEvents.map((eventId) => tx.events.byId(eventId)).filter((record) => record !== null);
  return indexAuthChain(tx, at.eventNid, authEvents);
}

/** What of the current state the event changes; where the graph does not fork, that is known without comparing. */
function stateChanges(
  tx: RoomTransaction,
  facts: RoomFacts,
  { stateKeyNid, eventNid, before, after }: Placement,
  current: StateRoot,
): StateChange[] {
  if (before !== facts.stateRoot || after !== current) {
    return [...differencesOf(tx.stateNodes, facts.stateRoot, current)].map((change) => ({
      stateKeyNid: change.stateKeyNid,
      eventNid: change.right,
    }));
  }
  return stateKeyNid === null ? [] : [{ stateKeyNid, eventNid }];
}

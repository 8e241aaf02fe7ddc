/** State resolution over the room's own states: pays for what they differ in, not for what they hold. */
import type { EventId } from "../../shared/ids.ts";
import type { StateMap } from "../../shared/matrix/state-map.ts";
import type { ResolutionContext } from "../../shared/matrix/state-res/context.ts";
import { maxConflictedEvents, resolveConflicts } from "../../shared/matrix/state-res/resolve.ts";
import { authDifferenceOf, conflictedSubgraphOf } from "./auth-chains.ts";
import { ResolutionEvents, withinWork } from "./resolution-events.ts";
import { findStateAt } from "./state.ts";
import { differencesOf, getEntry, type StateRoot, setEntries } from "./state-tree.ts";
import type { EventRecord, EventStatus } from "./store/events.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";

/** States that one resolution takes, at most: an event has 20 prev events. */
export const maxStates = 20;

/** A resolved state; or why there is none: a crafted graph must not hold up the room. */
export type RootResolution =
  | { readonly ok: true; readonly root: StateRoot }
  | { readonly ok: false; readonly reason: "tooManyStates" | GivenUp };

type GivenUp = "tooManyConflicts" | "authChainTooLong" | "tooMuchWork";

/** A key on which the states do not agree, and what each of them has for it; 0: nothing. */
interface Contest {
  readonly stateKeyNid: number;
  readonly eventNids: readonly number[];
}

/** What an event is taken to be. */
type StatusOf = (record: EventRecord) => EventStatus;

/**
 * The state that several states resolve to.
 * @param statusOf where events are being looked at anew, what they are found to be
 * @see https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */
export function resolveRoots(
  tx: RoomTransaction,
  roots: readonly StateRoot[],
  statusOf: StatusOf = ({ status }) => status,
): RootResolution {
  const distinct = [...new Set(roots)];
  const [base] = distinct;
  if (base === undefined) return { ok: true, root: null };
  if (distinct.length === 1) return { ok: true, root: base };
  if (distinct.length > maxStates) return { ok: false, reason: "tooManyStates" };
  const contests = contestsOf(tx, distinct);
  if (contests === null) return { ok: false, reason: "tooManyConflicts" };
  const agreed = new Map<number, number>();
  const contested = tx.room.rules().stateResolution === "v1" ? setAside(contests, agreed) : contests;
  const resolved =
    withinWork(() => resolveContests(tx, { base, contests: contested, agreed, statusOf })) ?? "tooMuchWork";
  return typeof resolved === "string"
    ? { ok: false, reason: resolved }
    : { ok: true, root: setEntries(tx.stateNodes, base, resolved) };
}

/** Null: there are more of them than one resolution may take up. */
function contestsOf(tx: RoomRead, [base = null, ...others]: readonly StateRoot[]): Contest[] | null {
  const keys = new Set<number>();
  for (const other of others) {
    for (const { stateKeyNid } of differencesOf(tx.stateNodes, base, other)) {
      keys.add(stateKeyNid);
      if (keys.size > maxConflictedEvents) return null;
    }
  }
  const roots = [base, ...others];
  return [...keys].map((stateKeyNid) => ({
    stateKeyNid,
    eventNids: roots.map((root) => getEntry(tx.stateNodes, root, stateKeyNid)),
  }));
}

/** In room version 1, a key that some states lack is contested only where the others differ. */
function setAside(contests: readonly Contest[], agreed: Map<number, number>): Contest[] {
  return contests.filter(({ stateKeyNid, eventNids }) => {
    const [eventNid, ...others] = new Set(eventNids.filter((nid) => nid !== 0));
    if (eventNid === undefined || others.length > 0) return true;
    agreed.set(stateKeyNid, eventNid);
    return false;
  });
}

/** @returns `state_key_nid → event_nid` in which the result differs from the base; or why it was given up. */
function resolveContests(
  tx: RoomTransaction,
  {
    base,
    contests,
    agreed,
    statusOf,
  }: {
    base: StateRoot;
    contests: readonly Contest[];
    agreed: ReadonlyMap<number, number>;
    statusOf: StatusOf;
  },
): Map<number, number> | GivenUp {
  const result = new Map<number, number>(agreed);
  if (contests.length === 0) return result;
  const lookup = new ResolutionEvents(tx);
  const context = { ...contextOf(tx, base, lookup), isRejected: rejectedAmong(lookup, statusOf) };
  const contestedKeys = new Set(contests.map(({ stateKeyNid }) => stateKeyNid));
  const heldNid = (stateKeyNid: number): number =>
    contestedKeys.has(stateKeyNid) ? 0 : (agreed.get(stateKeyNid) ?? getEntry(tx.stateNodes, base, stateKeyNid));
  const conflictedNids = new Set(contests.flatMap(({ eventNids }) => eventNids.filter((nid) => nid !== 0)));
  const conflicted = conflictedNids.size > maxConflictedEvents ? null : lookup.load(conflictedNids);
  if (conflicted === null) return "tooManyConflicts";
  const between = conflictSets(tx, lookup, { contests, conflicted, heldNid });
  if (typeof between === "string") return between;
  const resolution = resolveConflicts({
    ...context,
    unconflicted: (type, stateKey) => {
      const stateKeyNid = tx.stateKeys.find(type, stateKey);
      const nid = stateKeyNid === null ? 0 : heldNid(stateKeyNid);
      return nid === 0 ? null : lookup.byNid(nid).eventId;
    },
    conflicted: new Set(conflicted.map((record) => record.eventId)),
    ...between,
  });
  if (!resolution.ok) return resolution.reason;
  for (const { stateKeyNid } of contests) result.set(stateKeyNid, 0);
  setResolved(tx, lookup, resolution.state, result);
  return result;
}

function setResolved(
  tx: RoomTransaction,
  lookup: ResolutionEvents,
  state: StateMap<EventId>,
  result: Map<number, number>,
): void {
  for (const [[type, stateKey], eventId] of state.entries()) {
    const eventNid = lookup.byId(eventId)?.eventNid;
    // Also of keys that no state has: an event of the auth chains may come in.
    if (eventNid !== undefined) result.set(tx.stateKeys.intern(type, stateKey), eventNid);
  }
}

/** The auth difference and the conflicted subgraph, as event ids. */
function conflictSets(
  tx: RoomTransaction,
  lookup: ResolutionEvents,
  input: {
    contests: readonly Contest[];
    conflicted: readonly EventRecord[];
    heldNid: (stateKeyNid: number) => number;
  },
): { authDifference: Set<EventId>; conflictedSubgraph: Set<EventId> } | GivenUp {
  const { contests, conflicted, heldNid } = input;
  const { stateResolution } = tx.room.rules();
  const none = { authDifference: new Set<EventId>(), conflictedSubgraph: new Set<EventId>() };
  if (stateResolution === "v1") return none;
  const states = contests[0]?.eventNids.length ?? 0;
  const sides = Array.from({ length: states }, (_, state) =>
    contests.map(({ eventNids }) => eventNids[state] ?? 0).filter((nid) => nid !== 0),
  );
  const contested = new Set(conflicted.map((record) => record.eventNid));
  const isHeld = (eventNid: number): boolean => {
    if (contested.has(eventNid)) return false;
    const stateKeyNid = tx.stateKeys.findOfEvent(eventNid);
    return stateKeyNid !== null && heldNid(stateKeyNid) === eventNid;
  };
  const records = sides.map((side) => side.map((nid) => lookup.byNid(nid)));
  const difference = authDifferenceOf(tx, records, isHeld);
  const subgraph = stateResolution === "v2.1" ? conflictedSubgraphOf(tx, conflicted) : new Set<number>();
  if (difference === null || subgraph === null) return "authChainTooLong";
  if (difference.size + subgraph.size > maxConflictedEvents) return "tooManyConflicts";
  const [differing, between] = [lookup.load(difference), lookup.load(subgraph)];
  if (differing === null || between === null) return "tooManyConflicts";
  return { authDifference: idsOf(differing), conflictedSubgraph: idsOf(between) };
}

function idsOf(records: readonly EventRecord[]): Set<EventId> {
  return new Set(records.map((record) => record.eventId));
}

function rejectedAmong(lookup: ResolutionEvents, statusOf: StatusOf): ResolutionContext["isRejected"] {
  return (eventId) => {
    const record = lookup.byId(eventId);
    return record !== null && statusOf(record) === "rejected";
  };
}

function contextOf(
  tx: RoomTransaction,
  base: StateRoot,
  lookup: ResolutionEvents,
): Omit<ResolutionContext, "isRejected"> {
  const create = findStateAt(tx, base, "m.room.create", "");
  if (create === null) throw new Error("a state has no create event");
  lookup.setCreate(create);
  return {
    rules: tx.room.rules(),
    create: create.event,
    eventById: (eventId) => lookup.byId(eventId)?.event ?? null,
  };
}

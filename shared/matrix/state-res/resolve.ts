/**
 * State resolution: one state out of several that forks of a room have come to.
 *
 * `resolveState` takes whole states. `resolveConflicts` takes what is contested and may ask for the rest, so that an owner
 * of a large room, who knows how its states differ, pays for the difference only. The versions of the algorithm are
 * chosen by the room version's rules.
 */
import type { EventId } from "../../ids.ts";
import type { MatrixEvent } from "../event.ts";
import { type ReadonlyStateMap, StateMap } from "../state-map.ts";
import { type AuthEventsOf, authDifference } from "./auth-difference.ts";
import { conflictedSubgraph } from "./conflicted-subgraph.ts";
import type { ResolutionContext } from "./context.ts";
import { iterativeAuthChecks, PartialState } from "./iterative-auth-checks.ts";
import { mainlineSort } from "./mainline-sort.ts";
import { isPowerEvent, powerSort } from "./power-sort.ts";
import { splitConflicted } from "./split-conflicted.ts";
import { resolveV1 } from "./v1.ts";

/** Most events that one resolution may take up. */
export const maxConflictedEvents = 20_000;
/** Most events that one walk of auth chains may look at. */
export const maxAuthVisits = 50_000;

/** A resolved state; or why it was given up, since a crafted graph must not hold up the server. */
export type Resolution =
  | { readonly ok: true; readonly state: StateMap<EventId> }
  | { readonly ok: false; readonly reason: "tooManyConflicts" | "authChainTooLong" };

/** What is contested between states, and where to ask for what is not. */
export interface Conflict extends ResolutionContext {
  /** The event on which all states agree for a key; null for contested and absent keys. */
  readonly unconflicted: (type: string, stateKey: string) => EventId | null;
  /** The conflicted state set. */
  readonly conflicted: ReadonlySet<EventId>;
  /** The auth difference of the states; not asked for in room version 1. */
  readonly authDifference: ReadonlySet<EventId>;
  /** The conflicted state subgraph, from an owner who has an index for it; otherwise it is walked. Asked for since v2.1. */
  readonly conflictedSubgraph?: ReadonlySet<EventId>;
}

/**
 * Resolves several states into one.
 *
 * @param stateMaps the states after each previous event; order does not matter.
 * @returns the whole resolved state.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
 */
export function resolveState(
  input: ResolutionContext & { stateMaps: readonly ReadonlyStateMap<EventId>[] },
): Resolution {
  const { rules, stateMaps } = input;
  const { unconflicted, conflicted } = splitConflicted(stateMaps, rules.stateResolution !== "v1");
  if (conflicted.size === 0) return { ok: true, state: unconflicted };
  const difference =
    rules.stateResolution === "v1"
      ? new Set<EventId>()
      : authDifference(stateMaps.map(eventIdsOf), authEventsIn(input), maxAuthVisits);
  if (difference === null) return { ok: false, reason: "authChainTooLong" };
  const resolution = resolveConflicts({
    ...input,
    unconflicted: (type, stateKey) => unconflicted.get(type, stateKey),
    conflicted: new Set([...conflicted.entries()].flatMap(([, eventIds]) => [...eventIds])),
    authDifference: difference,
  });
  if (!resolution.ok) return resolution;
  for (const [[type, stateKey], eventId] of resolution.state.entries()) unconflicted.set(type, stateKey, eventId);
  return { ok: true, state: unconflicted };
}

function* eventIdsOf(stateMap: ReadonlyStateMap<EventId>): Generator<EventId> {
  for (const [, eventId] of stateMap.entries()) yield eventId;
}

function authEventsIn({ eventById }: ResolutionContext): AuthEventsOf {
  return (eventId) => eventById(eventId)?.authEvents ?? [];
}

/**
 * Decides every contested key.
 *
 * @returns the resolved events of contested keys. A contested key that is not in it is in no event's favor: the resolved
 *   state lacks it.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#algorithm
 */
export function resolveConflicts(conflict: Conflict): Resolution {
  if (conflict.rules.stateResolution === "v1") return { ok: true, state: resolveByV1(conflict) };
  const full = fullConflictedSet(conflict);
  if (full === null) return { ok: false, reason: "authChainTooLong" };
  if (full.size > maxConflictedEvents) return { ok: false, reason: "tooManyConflicts" };
  return { ok: true, state: resolveByV2(conflict, full) };
}

/** "the union of the conflicted state set, the conflicted state subgraph, and the auth difference", without unknown events. */
function fullConflictedSet(conflict: Conflict): Map<EventId, MatrixEvent> | null {
  const subgraph =
    conflict.rules.stateResolution === "v2.1"
      ? (conflict.conflictedSubgraph ?? conflictedSubgraph(conflict.conflicted, authEventsIn(conflict), maxAuthVisits))
      : new Set<EventId>();
  if (subgraph === null) return null;
  const full = new Map<EventId, MatrixEvent>();
  for (const eventIds of [conflict.conflicted, subgraph, conflict.authDifference]) {
    for (const eventId of eventIds) {
      const event = conflict.eventById(eventId);
      if (event !== null) full.set(eventId, event);
    }
  }
  return full;
}

function resolveByV2(conflict: Conflict, full: ReadonlyMap<EventId, MatrixEvent>): StateMap<EventId> {
  // 1. "Select the set X of all power events that appear in the full conflicted set. For each such power event P, enlarge X
  // by adding the events in the auth chain of P which also belong to the full conflicted set. Sort X …"
  const powerEvents = withConflictedAuthChains([...full.values()].filter(isPowerEvent), full);
  const sortedPowerEvents = powerSort(powerEvents, conflict);
  // 2. "Apply the iterative auth checks algorithm, starting from the unconflicted state map", since version 2.1 "starting
  // from an empty state map".
  const state = new PartialState(conflict.rules.stateResolution === "v2.1" ? () => null : conflict.unconflicted);
  iterativeAuthChecks(sortedPowerEvents, state, conflict);
  // 3. "Take all remaining events that weren't picked in step 1 and order them by the mainline ordering based on the power
  // level in the partially resolved state obtained in step 2."
  const remaining = [...full.values()].filter((event) => !powerEvents.has(event.eventId));
  const levels = state.get("m.room.power_levels", "");
  const sortedRemaining = mainlineSort(remaining, levels === null ? null : conflict.eventById(levels), conflict);
  // 4. "Apply the iterative auth checks algorithm on the partial resolved state and the list of events …"
  iterativeAuthChecks(sortedRemaining, state, conflict);
  // 5. "Update the result by replacing any event with the event with the same key from the unconflicted state map"
  const resolved = new StateMap<EventId>();
  for (const [[type, stateKey], eventId] of state.changes.entries()) {
    if (conflict.unconflicted(type, stateKey) === null) resolved.set(type, stateKey, eventId);
  }
  return resolved;
}

/**
 * The given events and those of their auth chains that are in conflict.
 *
 * @NOTE Like every server, only along events that are in conflict themselves, and not through others back into conflict.
 */
function withConflictedAuthChains(
  events: readonly MatrixEvent[],
  full: ReadonlyMap<EventId, MatrixEvent>,
): Set<EventId> {
  const selected = new Set<EventId>(events.map((event) => event.eventId));
  const queue = [...events];
  for (let event = queue.pop(); event !== undefined; event = queue.pop()) {
    for (const authId of event.authEvents) {
      const authEvent = full.get(authId);
      if (authEvent === undefined || selected.has(authId)) continue;
      selected.add(authId);
      queue.push(authEvent);
    }
  }
  return selected;
}

function resolveByV1(conflict: Conflict): StateMap<EventId> {
  const conflicted = new StateMap<MatrixEvent[]>();
  for (const eventId of conflict.conflicted) {
    const event = conflict.eventById(eventId);
    if (event === null || event.stateKey === null || conflict.isRejected(eventId)) continue;
    const contenders = conflicted.get(event.type, event.stateKey);
    if (contenders === null) conflicted.set(event.type, event.stateKey, [event]);
    else contenders.push(event);
  }
  const winners = resolveV1(
    (type, stateKey) => {
      const eventId = conflict.unconflicted(type, stateKey);
      return eventId === null ? null : conflict.eventById(eventId);
    },
    conflicted,
    conflict,
  );
  return new StateMap([...winners.entries()].map(([key, event]) => [key, event.eventId]));
}

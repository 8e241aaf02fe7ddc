import type { EventId } from "../../ids.ts";
import type { StateKey } from "../event.ts";
import { type ReadonlyStateMap, StateMap } from "../state-map.ts";

/** Candidate states, divided into what all agree on and what they contest. */
export interface SplitState {
  readonly unconflicted: StateMap<EventId>;
  /** Key → every event that some state has for it. */
  readonly conflicted: StateMap<ReadonlySet<EventId>>;
}

/**
 * Splits candidate states into keys all agree on and events in conflict.
 *
 * @param stateMaps one map per fork, `[type, state_key] → event ID`; order does not matter.
 * @param missingConflicts whether a key that some state lacks is in conflict: yes, but for the algorithm of room version 1,
 *   where only states that have different events for a key contest it.
 * @returns `unconflicted` as a state map; `conflicted` as every event ID contesting a key.
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 * @see https://spec.matrix.org/v1.19/rooms/v1/#state-resolution
 */
export function splitConflicted(
  stateMaps: readonly ReadonlyStateMap<EventId>[],
  missingConflicts: boolean,
): SplitState {
  const unconflicted = new StateMap<EventId>();
  const conflicted = new StateMap<ReadonlySet<EventId>>();
  for (const [key, { eventIds, count }] of gather(stateMaps).entries()) {
    const [eventId, ...others] = eventIds;
    if (eventId === undefined) continue;
    // "If a given key K is present in every Si with the same value V in each state map, then the pair (K, V) belongs to
    // the unconflicted state map. Otherwise, V belongs to the conflicted state set."
    const isMissing = missingConflicts && count < stateMaps.length;
    if (others.length === 0 && !isMissing) unconflicted.set(...key, eventId);
    else conflicted.set(...key, eventIds);
  }
  return { unconflicted, conflicted };
}

interface Candidates {
  readonly eventIds: Set<EventId>;
  /** How many states have the key. */
  count: number;
}

function gather(stateMaps: readonly ReadonlyStateMap<EventId>[]): StateMap<Candidates> {
  const gathered = new StateMap<Candidates>();
  for (const stateMap of stateMaps) {
    for (const [key, eventId] of stateMap.entries()) {
      const candidates = candidatesOf(gathered, key);
      candidates.eventIds.add(eventId);
      candidates.count++;
    }
  }
  return gathered;
}

function candidatesOf(gathered: StateMap<Candidates>, [type, stateKey]: StateKey): Candidates {
  const known = gathered.get(type, stateKey);
  if (known !== null) return known;
  const made: Candidates = { eventIds: new Set(), count: 0 };
  gathered.set(type, stateKey, made);
  return made;
}

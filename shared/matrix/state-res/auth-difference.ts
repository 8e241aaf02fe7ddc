import type { EventId } from "../../ids.ts";

/** The `auth_events` of an event by its id; empty when it is not known. */
export type AuthEventsOf = (eventId: EventId) => readonly EventId[];

/** States are numbered by bits of an integer: at most as many as an event has previous events, and 20 fit well. */
const maxStates = 31;

/**
 * The auth difference: "taking every event that doesn't appear in every auth chain", ∪Cᵢ − ∩Cᵢ, where Cᵢ is the union of
 * the auth chains of the events in state Sᵢ.
 *
 * @NOTE As in every server, an event counts as part of its own auth chain here. So an event that all states hold is no part
 * of the difference, even if only one state's other events refer to it.
 * @param stateSets the event ids of each state. Events that all of them hold may be left out of all when their chains are
 *   known to hold nothing of the difference.
 * @param maxVisits bound on the events looked at.
 * @returns null when the bound is reached.
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function authDifference(
  stateSets: readonly Iterable<EventId>[],
  authEventsOf: AuthEventsOf,
  maxVisits: number,
): Set<EventId> | null {
  if (stateSets.length > maxStates) throw new Error(`no event has ${stateSets.length} previous states`);
  // Bit i: the event is in the auth chain of state i.
  const chains = new Map<EventId, number>();
  const queue: EventId[] = [];
  const mark = (eventId: EventId, states: number): void => {
    const known = chains.get(eventId) ?? 0;
    if ((known | states) === known) return;
    chains.set(eventId, known | states);
    queue.push(eventId);
  };
  for (const [index, eventIds] of stateSets.entries()) for (const eventId of eventIds) mark(eventId, 1 << index);

  for (let visits = 0, next = queue.pop(); next !== undefined; visits++, next = queue.pop()) {
    if (visits >= maxVisits) return null;
    const states = chains.get(next) ?? 0;
    for (const authEventId of authEventsOf(next)) mark(authEventId, states);
  }
  const all = 2 ** stateSets.length - 1;
  const difference = new Set<EventId>();
  for (const [eventId, states] of chains) if (states !== all) difference.add(eventId);
  return difference;
}

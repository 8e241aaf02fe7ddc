import type { EventId } from "../../ids.ts";
import type { AuthEventsOf } from "./auth-difference.ts";

/**
 * The conflicted state subgraph of room version 12: all events on a path of `auth_events` from one event of the conflicted
 * state set to another, with both ends.
 *
 * @param maxVisits bound on the events looked at.
 * @returns null when the bound is reached.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
export function conflictedSubgraph(
  conflicted: ReadonlySet<EventId>,
  authEventsOf: AuthEventsOf,
  maxVisits: number,
): Set<EventId> | null {
  // Every event reached from the conflicted ones, each after all of its auth events.
  const ordered = authChainInOrder(conflicted, authEventsOf, maxVisits);
  if (ordered === null) return null;
  const leadsToConflicted = new Set<EventId>();
  for (const eventId of ordered) {
    const leads = authEventsOf(eventId).some((authId) => conflicted.has(authId) || leadsToConflicted.has(authId));
    if (leads) leadsToConflicted.add(eventId);
  }
  // What leads to a conflicted event and was reached from one is between two; the lower ends are added.
  const subgraph = new Set<EventId>(leadsToConflicted);
  for (const eventId of leadsToConflicted) {
    for (const authId of authEventsOf(eventId)) if (conflicted.has(authId)) subgraph.add(authId);
  }
  return subgraph;
}

/** The events and their auth chains, auth events first, without recursion: chains are as long as rooms are old. */
function authChainInOrder(start: Iterable<EventId>, authEventsOf: AuthEventsOf, maxVisits: number): EventId[] | null {
  const ordered: EventId[] = [];
  const entered = new Set<EventId>();
  // An event is on the stack twice: to be entered, and beneath its auth events to be left.
  const stack: { eventId: EventId; isLeaving: boolean }[] = [];
  for (const eventId of start) stack.push({ eventId, isLeaving: false });
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if (top.isLeaving) {
      ordered.push(top.eventId);
      continue;
    }
    if (entered.has(top.eventId)) continue;
    if (entered.size >= maxVisits) return null;
    entered.add(top.eventId);
    stack.push({ eventId: top.eventId, isLeaving: true });
    for (const authId of authEventsOf(top.eventId)) {
      if (!entered.has(authId)) stack.push({ eventId: authId, isLeaving: false });
    }
  }
  return ordered;
}

import { createHash } from "node:crypto";
import type { MatrixEvent, StateLookup } from "../event.ts";
import { authorize } from "../event-auth/state-dependent.ts";
import { StateMap } from "../state-map.ts";
import type { ResolutionContext } from "./context.ts";

/**
 * The state resolution of room version 1: conflicts of power levels, then of join rules, then of members, then the rest.
 *
 * @param unconflicted the events that no state contests.
 * @param conflicted key → the events that contest it.
 * @returns the winner of every contested key.
 * @see https://spec.matrix.org/v1.19/rooms/v1/#state-resolution
 */
export function resolveV1(
  unconflicted: StateLookup,
  conflicted: StateMap<readonly MatrixEvent[]>,
  context: ResolutionContext,
): StateMap<MatrixEvent> {
  const resolved = new StateMap<MatrixEvent>();
  const lookup: StateLookup = (type, stateKey) => resolved.get(type, stateKey) ?? unconflicted(type, stateKey);
  for (const passType of ["m.room.power_levels", "m.room.join_rules", "m.room.member"]) {
    // Conflicts of one pass do not see each other's winners.
    const winners = new StateMap<MatrixEvent>();
    for (const [[type, stateKey], events] of conflicted.entries()) {
      // Only the power levels with an empty state key have a say.
      if (type !== passType || (type === "m.room.power_levels" && stateKey !== "")) continue;
      const winner = resolveAuthEvents(events, lookup, context);
      if (winner !== null) winners.set(type, stateKey, winner);
    }
    for (const [[type, stateKey], winner] of winners.entries()) resolved.set(type, stateKey, winner);
  }
  const others = new StateMap<MatrixEvent>();
  for (const [[type, stateKey], events] of conflicted.entries()) {
    const winner = resolved.get(type, stateKey) ?? resolveOtherEvents(events, lookup, context);
    if (winner !== null) others.set(type, stateKey, winner);
  }
  return others;
}

/**
 * "Sort the list by ascending depth then descending sha1(event_id). Add the first event in the list to R. For each
 * subsequent event in the list, check that the event would be allowed … in state R. If the event would be allowed, then
 * update R with the event and continue … If it would not be allowed, stop".
 */
function resolveAuthEvents(
  events: readonly MatrixEvent[],
  state: StateLookup,
  { rules }: ResolutionContext,
): MatrixEvent | null {
  let winner: MatrixEvent | null = null;
  for (const event of byPrecedence(events).reverse()) {
    const current: MatrixEvent | null = winner;
    const lookup: StateLookup = (type, stateKey) =>
      current !== null && type === current.type && stateKey === current.stateKey ? current : state(type, stateKey);
    if (current !== null && !authorize(event, rules, lookup).allowed) return current;
    winner = event;
  }
  return winner;
}

/**
 * "just pick the event with the highest depth and lowest sha1(event_id) that passes authentication in R". Where none
 * passes, every server takes the last.
 */
function resolveOtherEvents(
  events: readonly MatrixEvent[],
  state: StateLookup,
  { rules }: ResolutionContext,
): MatrixEvent | null {
  const ordered = byPrecedence(events);
  return ordered.find((event) => authorize(event, rules, state).allowed) ?? ordered.at(-1) ?? null;
}

/** By descending depth, then ascending SHA-1 of the event id. */
function byPrecedence(events: readonly MatrixEvent[]): MatrixEvent[] {
  return events
    .map((event) => ({ event, hash: createHash("sha1").update(event.eventId, "utf8").digest("hex") }))
    .sort((x, y) => y.event.depth - x.event.depth || (x.hash < y.hash ? -1 : 1))
    .map(({ event }) => event);
}

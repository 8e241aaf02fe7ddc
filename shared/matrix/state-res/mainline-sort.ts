import type { EventId } from "../../ids.ts";
import type { MatrixEvent } from "../event.ts";
import { authEventOf, type ResolutionContext } from "./context.ts";
import { compareByAge } from "./power-sort.ts";

/**
 * Sorts events by mainline ordering: those whose power levels stand earlier in the mainline first, then by
 * `origin_server_ts` and event id.
 *
 * @param levels the power levels event P of the partially resolved state; null when it has none, and all are alike.
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function mainlineSort(
  events: readonly MatrixEvent[],
  levels: MatrixEvent | null,
  context: ResolutionContext,
): MatrixEvent[] {
  const positions = mainlineOf(levels, context);
  const sorted = events.map((event) => ({ event, position: mainlinePosition(event, positions, context) }));
  sorted.sort((x, y) => {
    // 1. "the mainline position of x is greater than the mainline position of y". Not by subtraction: both may be infinite.
    if (x.position !== y.position) return x.position > y.position ? -1 : 1;
    return compareByAge(x.event, y.event);
  });
  return sorted.map(({ event }) => event);
}

/** "The mainline of P0 is the list of events [P0, P1, ..., Pn]", each with its index. */
function mainlineOf(levels: MatrixEvent | null, context: ResolutionContext): Map<EventId, number> {
  const positions = new Map<EventId, number>();
  for (let event = levels; event !== null && !positions.has(event.eventId); event = powerLevelsBefore(event, context)) {
    positions.set(event.eventId, positions.size);
  }
  return positions;
}

function powerLevelsBefore(event: MatrixEvent, context: ResolutionContext): MatrixEvent | null {
  return authEventOf(event, "m.room.power_levels", "", context);
}

/**
 * "Find the smallest index j ≥ 1 for which ej belongs to the mainline of P." Infinity where there is none.
 *
 * @param positions grows: positions off the mainline are kept for the events that share them.
 */
function mainlinePosition(event: MatrixEvent, positions: Map<EventId, number>, context: ResolutionContext): number {
  const passed: EventId[] = [];
  const seen = new Set<EventId>();
  let position = Number.POSITIVE_INFINITY;
  for (
    let ancestor = powerLevelsBefore(event, context);
    ancestor !== null;
    ancestor = powerLevelsBefore(ancestor, context)
  ) {
    const known = positions.get(ancestor.eventId);
    if (known !== undefined || seen.has(ancestor.eventId)) {
      position = known ?? position;
      break;
    }
    seen.add(ancestor.eventId);
    passed.push(ancestor.eventId);
  }
  for (const eventId of passed) positions.set(eventId, position);
  return position;
}

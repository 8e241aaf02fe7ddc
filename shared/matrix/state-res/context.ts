import type { EventId } from "../../ids.ts";
import { PowerLevels } from "../content/power-levels.ts";
import type { MatrixEvent } from "../event.ts";
import type { RoomVersionRules } from "../room-version.ts";

/** What every part of state resolution asks about the room. */
export interface ResolutionContext {
  readonly rules: RoomVersionRules;
  /** The room's create event, which from room version 12 is in nobody's `auth_events`. */
  readonly create: MatrixEvent;
  /** An event of the room by its id; null when it is not known. */
  readonly eventById: (eventId: EventId) => MatrixEvent | null;
  /** Whether an event was rejected when it was received. */
  readonly isRejected: (eventId: EventId) => boolean;
}

/** The event of an event's `auth_events` with this key; null when it names none that is known. */
export function authEventOf(
  event: MatrixEvent,
  type: string,
  stateKey: string,
  context: ResolutionContext,
): MatrixEvent | null {
  for (const eventId of event.authEvents) {
    const authEvent = context.eventById(eventId);
    if (authEvent !== null && authEvent.type === type && authEvent.stateKey === stateKey) return authEvent;
  }
  return null;
}

/** The power level of an event's sender "when looking at their respective auth_events". @see https://spec.matrix.org/v1.19/rooms/v2/#definitions */
export function senderLevelOf(event: MatrixEvent, context: ResolutionContext): number {
  const levels = authEventOf(event, "m.room.power_levels", "", context);
  return new PowerLevels(levels, context.create, context.rules).ofUser(event.sender);
}

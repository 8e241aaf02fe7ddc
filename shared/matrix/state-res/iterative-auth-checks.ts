import type { EventId } from "../../ids.ts";
import type { MatrixEvent, StateLookup } from "../event.ts";
import { authorize } from "../event-auth/state-dependent.ts";
import { StateMap } from "../state-map.ts";
import { authEventOf, type ResolutionContext } from "./context.ts";

/** A state under construction: what was resolved so far, over a base that is only asked, never copied. */
export class PartialState {
  readonly changes = new StateMap<EventId>();
  readonly #base: (type: string, stateKey: string) => EventId | null;

  constructor(base: (type: string, stateKey: string) => EventId | null) {
    this.#base = base;
  }

  get(type: string, stateKey: string): EventId | null {
    return this.changes.get(type, stateKey) ?? this.#base(type, stateKey);
  }
}

/**
 * The iterative auth checks: applies each event in turn to the state if it is allowed there, and ignores it if not.
 *
 * @NOTE An event that was rejected when it was received never enters the state, though the specification would have it
 * checked anew: other servers keep them out too, and none can get into the candidate states of this server.
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function iterativeAuthChecks(
  events: readonly MatrixEvent[],
  state: PartialState,
  context: ResolutionContext,
): void {
  for (const event of events) {
    if (event.stateKey === null || context.isRejected(event.eventId)) continue;
    if (authorize(event, context.rules, lookupFor(event, state, context)).allowed) {
      state.changes.set(event.type, event.stateKey, event.eventId);
    }
  }
}

/**
 * "If a (event_type, state_key) key that is required for checking the authorisation rules is not present in the state,
 * then the appropriate state event from the event's auth_events is used if the auth event is not rejected."
 */
function lookupFor(event: MatrixEvent, state: PartialState, context: ResolutionContext): StateLookup {
  return (type, stateKey) => {
    const resolved = state.get(type, stateKey);
    if (resolved !== null && !context.isRejected(resolved)) return context.eventById(resolved);
    // From room version 12 the create event is named by the room id and by no auth_events.
    if (type === "m.room.create" && stateKey === "" && !context.rules.createIsAuthEvent) return context.create;
    const authEvent = authEventOf(event, type, stateKey, context);
    return authEvent === null || context.isRejected(authEvent.eventId) ? null : authEvent;
  };
}

import type { JsonObject } from "../../../../shared/json.ts";
import type { MatrixEvent, StateLookup } from "../../../../shared/matrix/event.ts";
import type { AuthDecision } from "../../../../shared/matrix/event-auth/decision.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import { type AuthEvent, checkStateIndependent } from "../../../../shared/matrix/event-auth/state-independent.ts";
import { type NewEvent, RoomBuilder, rulesOf, user } from "../../../support/room-builder.ts";

export const alice = user("@alice:example.org");
export const bob = user("@bob:example.org");
export const carol = user("@carol:example.org");
export const erin = user("@erin:example.org");
export const kay = user("@kay:example.org");
export const mallory = user("@mallory:example.org");
export const nobody = user("@nobody:example.org");
export const zoe = user("@zoe:elsewhere.org");

/**
 * A room as the rules tell people apart: alice made it, bob has 50, carol and zoe are ordinary members (zoe of another
 * server), erin is invited, kay has knocked where the version knows that, mallory is banned, nobody was never in it.
 */
export function scene(
  version: string,
  options: { joinRule?: string; levels?: JsonObject; create?: JsonObject } = {},
): RoomBuilder {
  const { rules } = { rules: rulesOf(version) };
  const users = { ...(rules.creatorsHaveInfinitePower ? {} : { [alice]: 100 }), [bob]: 50 };
  const room = RoomBuilder.open({
    version,
    joinRule: "public",
    creationContent: options.create ?? {},
    powerLevels: { users, ...options.levels },
  });
  for (const member of [bob, carol, zoe]) room.join(member);
  room.member(alice, "invite", erin);
  if (rules.allowsKnocking) room.member(kay, "knock");
  room.member(alice, "ban", mallory);
  room.setJoinRule(alice, options.joinRule ?? "public");
  return room;
}

/** What the rules say of a new event in the room's state. */
export function decide(
  room: RoomBuilder,
  event: NewEvent | MatrixEvent,
  state: StateLookup = room.lookup,
): AuthDecision {
  const made = "eventId" in event ? event : room.make(event);
  return authorize(made, room.rules, state);
}

/** What the rules that need no state say, with the event's own auth events or others. */
export function decideIndependent(
  room: RoomBuilder,
  event: NewEvent | MatrixEvent,
  authEvents?: readonly AuthEvent[],
): AuthDecision | null {
  const made = "eventId" in event ? event : room.make(event);
  const named = made.authEvents.map((eventId) => ({ event: room.byId(eventId), isRejected: false }));
  return checkStateIndependent(made, room.rules, authEvents ?? named);
}

/** A state in which one event is missing or another. */
export function overlay(state: StateLookup, key: string, event: MatrixEvent | null): StateLookup {
  return (type, stateKey) => (type === key && stateKey === "" ? event : state(type, stateKey));
}

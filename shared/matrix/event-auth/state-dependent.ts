/**
 * The authorization rules of all room versions: whether an event is allowed in a given state.
 *
 * `authorize` decides by a state; `checkStateIndependent` checks once what no state changes; `authTypesForEvent` says
 * which part of a state has a say. `rule-numbers.ts` numbers the rules as each room version's page does.
 */
import { type ServerName, serverNameOf } from "../../ids.ts";
import { isFederated } from "../content/create.ts";
import { membershipIn } from "../content/member.ts";
import { PowerLevels } from "../content/power-levels.ts";
import type { EventDraft, MatrixEvent, StateLookup } from "../event.ts";
import type { RoomVersionRules } from "../room-version.ts";
import { hasSignatureOf } from "../signing.ts";
import { type AuthContext, type AuthDecision, allow, reject } from "./decision.ts";
import { authorizeMember } from "./member.ts";
import { authorizePowerLevels } from "./power-levels.ts";
import { authorizeCreate, isCreateOfRoom } from "./state-independent.ts";

/**
 * Decides whether an event is allowed in a state, by the rules of its room version. Looks up only the keys it needs.
 *
 * Does not check `auth_events` ({@link checkStateIndependent}) nor signatures: those of the servers that
 * `requiredSigners` names are checked when an event is received, so that a signature that is there counts as valid.
 *
 * @param state must find the room's create event, also where the room version does not select it as auth event.
 * @param isSignedBy for a draft not signed yet: the servers that will sign it.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authorize(
  event: EventDraft,
  rules: RoomVersionRules,
  state: StateLookup,
  isSignedBy: (server: ServerName) => boolean = (server) => hasSignatureOf(event.pdu, server),
): AuthDecision {
  if (event.type === "m.room.create") return authorizeCreate(event, rules);
  const create = state("m.room.create", "");
  if (create === null || !isCreateOfRoom(create, event, rules)) {
    const rule = rules.roomIdIsCreateHash ? "roomId" : "authEvents.noCreate";
    return reject(rule, rules, "the state has no create event of this room");
  }
  const levels = new PowerLevels(state("m.room.power_levels", ""), create, rules);
  return authorizeInRoom({ event, rules, state, create, levels, isSignedBy });
}

function authorizeInRoom(context: AuthContext): AuthDecision {
  const { event, rules, state, create } = context;
  // "If the content of the m.room.create event in the room state has the property m.federate set to false, and the sender
  // domain of the event does not match the sender domain of the create event, reject."
  if (!isFederated(create.content) && serverNameOf(event.sender) !== serverNameOf(create.sender)) {
    return reject("federate", rules, "the room is closed to users of other servers");
  }
  if (event.type === "m.room.aliases" && rules.hasAliasesRule) return authorizeAliases(event, rules);
  if (event.type === "m.room.member") return authorizeMember(context);
  // "If the sender's current membership state is not join, reject."
  if (membershipIn(state("m.room.member", event.sender)) !== "join") {
    return reject("senderNotJoined", rules, `${event.sender} is not in the room`);
  }
  return authorizeByLevel(context);
}

/** Until version 5: "If sender's domain doesn't match state_key, reject." */
function authorizeAliases(event: EventDraft, rules: RoomVersionRules): AuthDecision {
  if (event.stateKey === null) return reject("aliases.noStateKey", rules, "an aliases event needs a state key");
  if (serverNameOf(event.sender) !== event.stateKey) {
    return reject("aliases.otherDomain", rules, "an aliases event's state key is its sender's server");
  }
  return allow("aliases.allow", rules);
}

function authorizeByLevel(context: AuthContext): AuthDecision {
  const { event, rules, levels } = context;
  const senderLevel = levels.ofUser(event.sender);
  // "Allow if and only if sender's current power level is greater than or equal to the invite level."
  if (event.type === "m.room.third_party_invite") {
    return senderLevel >= levels.level("invite")
      ? allow("thirdPartyInvite", rules)
      : reject("thirdPartyInvite", rules, `${event.sender} may not invite`);
  }
  // "If the event type's required power level is greater than the sender's power level, reject."
  const required = levels.toSend(event.type, event.stateKey !== null);
  if (required > senderLevel) {
    return reject(
      "requiredLevel",
      rules,
      `${event.type} needs power level ${required}, ${event.sender} has ${senderLevel}`,
    );
  }
  // "If the event has a state_key that starts with an @ and does not match the sender, reject."
  if (event.stateKey?.startsWith("@") && event.stateKey !== event.sender) {
    return reject("stateKey", rules, "a state key that is a user id must be the sender's");
  }
  if (event.type === "m.room.power_levels") return authorizePowerLevels(context);
  if (event.type === "m.room.redaction" && rules.authorizesRedactions) return authorizeRedaction(context);
  return allow("otherwise", rules);
}

/** Room versions 1 and 2. @see https://spec.matrix.org/v1.19/rooms/v1/#authorisation-rules */
function authorizeRedaction({ event, rules, levels }: AuthContext): AuthDecision {
  // "If the sender's power level is greater than or equal to the redact level, allow."
  if (levels.ofUser(event.sender) >= levels.level("redact")) return allow("redaction.level", rules);
  // "If the domain of the event_id of the event being redacted is the same as the domain of the event_id of the
  // m.room.redaction, allow."
  const redacted = event.pdu.redacts;
  const ownDomain = event.eventId === null ? null : domainOfEventId(event.eventId);
  if (typeof redacted === "string" && ownDomain !== null && domainOfEventId(redacted) === ownDomain) {
    return allow("redaction.sameDomain", rules);
  }
  return reject("redaction.otherwise", rules, `${event.sender} may not redact another server's events`);
}

function domainOfEventId(eventId: string): string | null {
  const colon = eventId.indexOf(":");
  return colon === -1 ? null : eventId.slice(colon + 1);
}

/**
 * Whether a redaction is to be carried out on its target, from room version 3 on; before, that it was allowed suffices.
 * The two events must be of one room. A create event is never redacted to lose its version: its content is protected.
 *
 * @param levels the power levels of the state before the redaction.
 * @see https://spec.matrix.org/v1.19/rooms/v11/#handling-redactions
 */
export function mayRedact(redaction: MatrixEvent, target: MatrixEvent, levels: PowerLevels): boolean {
  if (redaction.roomId !== target.roomId || redaction.eventId === target.eventId) return false;
  // 1. "The power level of the redaction event's sender is greater than or equal to the redact level."
  if (levels.ofUser(redaction.sender) >= levels.level("redact")) return true;
  // 2. "The domain of the redaction event's sender matches that of the original event's sender."
  return serverNameOf(redaction.sender) === serverNameOf(target.sender);
}

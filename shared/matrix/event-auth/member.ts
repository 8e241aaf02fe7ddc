import { serverNameOf, type UserId } from "../../ids.ts";
import { stringField } from "../../json.ts";
import { creatorOf } from "../content/create.ts";
import { type JoinRule, joinRuleOf } from "../content/join-rules.ts";
import {
  hasThirdPartyInvite,
  joinAuthoriserOf,
  type Membership,
  membershipIn,
  membershipOf,
  thirdPartyInviteOf,
  thirdPartySigned,
} from "../content/member.ts";
import { invitePublicKeys } from "../content/third-party-invite.ts";
import { isSignedByAnyKey } from "../signing.ts";
import { type AuthContext, type AuthDecision, allow, reject } from "./decision.ts";

/** What the member rules ask about, beyond the rest. */
interface MemberContext extends AuthContext {
  /** The event's `state_key`. */
  readonly target: string;
}

/**
 * The rules for `m.room.member`.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authorizeMember(context: AuthContext): AuthDecision {
  const { event, rules } = context;
  // "If there is no state_key property, or no membership property in content, reject."
  const target = event.stateKey;
  if (target === null || stringField(event.content, "membership") === null) {
    return reject("member.malformed", rules, "a member event needs a state key and a membership");
  }
  const unsigned = checkAuthoriserSignature(context);
  if (unsigned !== null) return unsigned;
  const member: MemberContext = { ...context, target };
  switch (membershipOf(event.content)) {
    case "join":
      return authorizeJoin(member);
    case "invite":
      return authorizeInvite(member);
    case "leave":
      return authorizeLeave(member);
    case "ban":
      return authorizeBan(member);
    case "knock":
      if (rules.allowsKnocking) return authorizeKnock(member);
  }
  return reject("member.unknown", rules, "the membership is not known");
}

/** From version 8: "If the event is not validly signed by the homeserver of the user ID denoted by the key, reject." */
function checkAuthoriserSignature({ event, rules, isSignedBy }: AuthContext): AuthDecision | null {
  if (!rules.allowsRestrictedJoin || !Object.hasOwn(event.content, "join_authorised_via_users_server")) return null;
  const authoriser = joinAuthoriserOf(event.content);
  if (authoriser !== null && isSignedBy(serverNameOf(authoriser))) return null;
  return reject("member.authoriserSignature", rules, "the server that authorizes the join has not signed it");
}

function authorizeJoin(context: MemberContext): AuthDecision {
  const { event, rules, state, create, target } = context;
  // "If the only previous event is an m.room.create and the state_key is the creator, allow."
  const [prevEvent, ...otherPrevEvents] = event.prevEvents;
  const isAfterCreate = prevEvent === create.eventId && otherPrevEvents.length === 0;
  if (isAfterCreate && target === creatorOf(create, rules)) return allow("join.afterCreate", rules);
  // "If the sender does not match state_key, reject."
  if (event.sender !== target) return reject("join.otherUser", rules, "nobody can make another user join");
  const membership = membershipOfUser(context, target);
  // "If the sender is banned, reject."
  if (membership === "ban") return reject("join.banned", rules, `${target} is banned from the room`);
  const joinRule = joinRuleOf(state("m.room.join_rules", "")?.content ?? null);
  const isInvited = membership === "invite" || membership === "join";
  // "If the join_rule is invite or knock then allow if membership state is invite or join."
  const isInviteOnly = joinRule === "invite" || (joinRule === "knock" && rules.allowsKnocking);
  if (isInviteOnly && isInvited) return allow("join.invited", rules);
  if (isRestricted(joinRule, context)) return authorizeRestrictedJoin(context, isInvited);
  // "If the join_rule is public, allow."
  if (joinRule === "public") return allow("join.public", rules);
  return reject("join.otherwise", rules, `${target} is not invited to the room`);
}

/** "If the join_rule is restricted or knock_restricted", as far as the room version knows them. */
function isRestricted(joinRule: JoinRule, { rules }: MemberContext): boolean {
  if (joinRule === "restricted") return rules.allowsRestrictedJoin;
  return joinRule === "knock_restricted" && rules.allowsKnockRestricted;
}

function authorizeRestrictedJoin(context: MemberContext, isInvited: boolean): AuthDecision {
  const { event, rules, levels } = context;
  // "If membership state is join or invite, allow."
  if (isInvited) return allow("join.restricted.member", rules);
  // "If the join_authorised_via_users_server key in content is not a user with sufficient permission to invite other users
  // or is not a joined member of the room, reject."
  const authoriser = joinAuthoriserOf(event.content);
  if (authoriser === null || membershipOfUser(context, authoriser) !== "join") {
    return reject("join.restricted.authoriser", rules, "no member of the room authorizes the join");
  }
  if (levels.ofUser(authoriser) < levels.level("invite")) {
    return reject("join.restricted.authoriser", rules, `${authoriser} authorizes the join but may not invite`);
  }
  return allow("join.restricted.allow", rules);
}

function authorizeInvite(context: MemberContext): AuthDecision {
  const { event, rules, levels, target } = context;
  // "If content has a third_party_invite property"
  if (hasThirdPartyInvite(event.content)) return authorizeThirdPartyInvite(context);
  // "If the sender's current membership state is not join, reject."
  if (!isSenderJoined(context)) return reject("invite.senderNotJoined", rules, `${event.sender} is not in the room`);
  // "If target user's current membership state is join or ban, reject."
  const membership = membershipOfUser(context, target);
  if (membership === "join" || membership === "ban") {
    const why = membership === "join" ? "is already in the room" : "is banned from the room";
    return reject("invite.targetJoinedOrBanned", rules, `${target} ${why}`);
  }
  // "If the sender's power level is greater than or equal to the invite level, allow."
  if (levels.ofUser(event.sender) >= levels.level("invite")) return allow("invite.allow", rules);
  return reject("invite.otherwise", rules, `${event.sender} may not invite`);
}

function authorizeThirdPartyInvite(context: MemberContext): AuthDecision {
  const { event, rules, state, target } = context;
  // 1. "If target user is banned, reject."
  if (membershipOfUser(context, target) === "ban") {
    return reject("invite.thirdParty.banned", rules, `${target} is banned from the room`);
  }
  // 2. "If content.third_party_invite does not have a signed property, reject."
  if (thirdPartySigned(event.content) === null) {
    return reject("invite.thirdParty.noSigned", rules, "the third-party invite is not signed");
  }
  // 3. "If signed does not have mxid and token properties, reject."
  const invite = thirdPartyInviteOf(event.content);
  if (invite === null)
    return reject("invite.thirdParty.noMxidOrToken", rules, "the signed block names no user or token");
  // 4. "If mxid does not match state_key, reject."
  if (invite.mxid !== target)
    return reject("invite.thirdParty.otherUser", rules, "the third-party invite is for another user");
  // 5. "If there is no m.room.third_party_invite event in the current room state with state_key matching token, reject."
  const original = state("m.room.third_party_invite", invite.token);
  if (original === null) return reject("invite.thirdParty.noInvite", rules, "the room has no such third-party invite");
  // 6. "If sender does not match sender of the m.room.third_party_invite, reject."
  if (event.sender !== original.sender) {
    return reject("invite.thirdParty.otherSender", rules, "the third-party invite is of another sender");
  }
  // 7. "If any signature in signed matches any public key in the m.room.third_party_invite event, allow."
  if (isSignedByAnyKey(invite.signed, invitePublicKeys(original.content)))
    return allow("invite.thirdParty.signed", rules);
  return reject("invite.thirdParty.otherwise", rules, "no key of the third-party invite has signed");
}

function authorizeLeave(context: MemberContext): AuthDecision {
  const { event, rules, levels, target } = context;
  const membership = membershipOfUser(context, target);
  // "If the sender matches state_key, allow if and only if that user's current membership state is invite, join, or knock."
  if (event.sender === target) {
    const isIn = membership === "invite" || membership === "join" || (membership === "knock" && rules.allowsKnocking);
    return isIn ? allow("leave.self", rules) : reject("leave.self", rules, `${target} is not in the room`);
  }
  // "If the sender's current membership state is not join, reject."
  if (!isSenderJoined(context)) return reject("leave.senderNotJoined", rules, `${event.sender} is not in the room`);
  const senderLevel = levels.ofUser(event.sender);
  // "If the target user's current membership state is ban, and the sender's power level is less than the ban level, reject."
  if (membership === "ban" && senderLevel < levels.level("ban")) {
    return reject("leave.unban", rules, `${event.sender} may not unban`);
  }
  // "If the sender's power level is greater than or equal to the kick level, and the target user's power level is less
  // than the sender's power level, allow."
  if (senderLevel >= levels.level("kick") && levels.ofUser(target) < senderLevel) return allow("leave.kick", rules);
  return reject("leave.otherwise", rules, `${event.sender} may not remove ${target}`);
}

function authorizeBan(context: MemberContext): AuthDecision {
  const { event, rules, levels, target } = context;
  // "If the sender's current membership state is not join, reject."
  if (!isSenderJoined(context)) return reject("ban.senderNotJoined", rules, `${event.sender} is not in the room`);
  // "If the sender's power level is greater than or equal to the ban level, and the target user's power level is less than
  // the sender's power level, allow."
  const senderLevel = levels.ofUser(event.sender);
  if (senderLevel >= levels.level("ban") && levels.ofUser(target) < senderLevel) return allow("ban.allow", rules);
  return reject("ban.otherwise", rules, `${event.sender} may not ban ${target}`);
}

function authorizeKnock(context: MemberContext): AuthDecision {
  const { event, rules, state, target } = context;
  // "If the join_rule is anything other than knock or knock_restricted, reject."
  const joinRule = joinRuleOf(state("m.room.join_rules", "")?.content ?? null);
  const allowsKnock = joinRule === "knock" || (joinRule === "knock_restricted" && rules.allowsKnockRestricted);
  if (!allowsKnock) return reject("knock.joinRule", rules, "the room does not allow knocking");
  // "If sender does not match state_key, reject."
  if (event.sender !== target) return reject("knock.otherUser", rules, "nobody can knock for another user");
  // "If the sender's current membership is not ban, invite, or join, allow."
  const membership = membershipOfUser(context, target);
  if (membership !== "ban" && membership !== "invite" && membership !== "join") return allow("knock.allow", rules);
  return reject("knock.otherwise", rules, `${target} cannot knock: their membership is ${membership}`);
}

function isSenderJoined(context: MemberContext): boolean {
  return membershipOfUser(context, context.event.sender) === "join";
}

function membershipOfUser({ state }: MemberContext, user: UserId | string): Membership {
  return membershipIn(state("m.room.member", user));
}

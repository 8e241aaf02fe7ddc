import type { RoomVersionRules } from "../room-version.ts";

/**
 * Every authorization rule by name. Its number depends on the room version: the outline below lists the rules in the
 * specification's order, leaves out those that a version does not have, and counts.
 */
export type RuleName =
  | "create.hasPrevEvents"
  | "create.roomId"
  | "create.unknownVersion"
  | "create.noCreator"
  | "create.additionalCreators"
  | "create.allow"
  | "roomId"
  | "authEvents.duplicate"
  | "authEvents.unexpected"
  | "authEvents.rejected"
  | "authEvents.noCreate"
  | "authEvents.otherRoom"
  | "federate"
  | "aliases.noStateKey"
  | "aliases.otherDomain"
  | "aliases.allow"
  | "member.malformed"
  | "member.authoriserSignature"
  | "join.afterCreate"
  | "join.otherUser"
  | "join.banned"
  | "join.invited"
  | "join.restricted.member"
  | "join.restricted.authoriser"
  | "join.restricted.allow"
  | "join.public"
  | "join.otherwise"
  | "invite.thirdParty.banned"
  | "invite.thirdParty.noSigned"
  | "invite.thirdParty.noMxidOrToken"
  | "invite.thirdParty.otherUser"
  | "invite.thirdParty.noInvite"
  | "invite.thirdParty.otherSender"
  | "invite.thirdParty.signed"
  | "invite.thirdParty.otherwise"
  | "invite.senderNotJoined"
  | "invite.targetJoinedOrBanned"
  | "invite.allow"
  | "invite.otherwise"
  | "leave.self"
  | "leave.senderNotJoined"
  | "leave.unban"
  | "leave.kick"
  | "leave.otherwise"
  | "ban.senderNotJoined"
  | "ban.allow"
  | "ban.otherwise"
  | "knock.joinRule"
  | "knock.otherUser"
  | "knock.allow"
  | "knock.otherwise"
  | "member.unknown"
  | "senderNotJoined"
  | "thirdPartyInvite"
  | "requiredLevel"
  | "stateKey"
  | "powerLevels.levels"
  | "powerLevels.maps"
  | "powerLevels.users"
  | "powerLevels.creators"
  | "powerLevels.first"
  | "powerLevels.levelCurrent"
  | "powerLevels.levelNew"
  | "powerLevels.entryCurrent"
  | "powerLevels.entryNew"
  | "powerLevels.userCurrent"
  | "powerLevels.userNew"
  | "powerLevels.allow"
  | "redaction.level"
  | "redaction.sameDomain"
  | "redaction.otherwise"
  | "otherwise";

/** A rule, or a group of rules numbered below it; false where the version lacks it. */
type Outline = readonly (RuleName | Outline | false)[];

/** The rules in the order and nesting of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules and its predecessors. */
function outlineOf(rules: RoomVersionRules): Outline {
  return [
    [
      "create.hasPrevEvents",
      "create.roomId",
      "create.unknownVersion",
      !rules.creatorIsSender && "create.noCreator",
      rules.creatorsHaveInfinitePower && "create.additionalCreators",
      "create.allow",
    ],
    rules.roomIdIsCreateHash && "roomId",
    [
      "authEvents.duplicate",
      "authEvents.unexpected",
      "authEvents.rejected",
      rules.createIsAuthEvent && "authEvents.noCreate",
      "authEvents.otherRoom",
    ],
    "federate",
    rules.hasAliasesRule && ["aliases.noStateKey", "aliases.otherDomain", "aliases.allow"],
    memberOutline(rules),
    "senderNotJoined",
    ["thirdPartyInvite"],
    "requiredLevel",
    "stateKey",
    powerLevelsOutline(rules),
    rules.authorizesRedactions && ["redaction.level", "redaction.sameDomain", "redaction.otherwise"],
    "otherwise",
  ];
}

function memberOutline(rules: RoomVersionRules): Outline {
  return [
    "member.malformed",
    rules.allowsRestrictedJoin && ["member.authoriserSignature"],
    [
      "join.afterCreate",
      "join.otherUser",
      "join.banned",
      "join.invited",
      rules.allowsRestrictedJoin && ["join.restricted.member", "join.restricted.authoriser", "join.restricted.allow"],
      "join.public",
      "join.otherwise",
    ],
    [
      [
        "invite.thirdParty.banned",
        "invite.thirdParty.noSigned",
        "invite.thirdParty.noMxidOrToken",
        "invite.thirdParty.otherUser",
        "invite.thirdParty.noInvite",
        "invite.thirdParty.otherSender",
        "invite.thirdParty.signed",
        "invite.thirdParty.otherwise",
      ],
      "invite.senderNotJoined",
      "invite.targetJoinedOrBanned",
      "invite.allow",
      "invite.otherwise",
    ],
    ["leave.self", "leave.senderNotJoined", "leave.unban", "leave.kick", "leave.otherwise"],
    ["ban.senderNotJoined", "ban.allow", "ban.otherwise"],
    rules.allowsKnocking && ["knock.joinRule", "knock.otherUser", "knock.allow", "knock.otherwise"],
    "member.unknown",
  ];
}

function powerLevelsOutline(rules: RoomVersionRules): Outline {
  const hasIntegers = rules.powerLevelValues === "integer";
  return [
    hasIntegers && "powerLevels.levels",
    hasIntegers && "powerLevels.maps",
    "powerLevels.users",
    rules.creatorsHaveInfinitePower && "powerLevels.creators",
    "powerLevels.first",
    ["powerLevels.levelCurrent", "powerLevels.levelNew"],
    ["powerLevels.entryCurrent"],
    ["powerLevels.entryNew"],
    ["powerLevels.userCurrent"],
    ["powerLevels.userNew"],
    "powerLevels.allow",
  ];
}

const numbersByVersion = new Map<string, ReadonlyMap<RuleName, string>>();

/**
 * The number of a rule in a room version's authorization rules, as the specification's page counts them, e.g. "5.3.1".
 *
 * @NOTE The source of the version 12 page repeats one number and skips another; the rendered lists, and so we, do not.
 * @throws Error when the room version has no such rule: the caller asked for it by mistake.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function ruleNumber(name: RuleName, rules: RoomVersionRules): string {
  const number = ruleNumbers(rules).get(name);
  if (number === undefined) throw new Error(`room version ${rules.version} has no rule ${name}`);
  return number;
}

/** All rules of a room version with their numbers, in order. */
export function ruleNumbers(rules: RoomVersionRules): ReadonlyMap<RuleName, string> {
  const known = numbersByVersion.get(rules.version);
  if (known !== undefined) return known;
  const numbers = new Map<RuleName, string>();
  count(outlineOf(rules), "", numbers);
  numbersByVersion.set(rules.version, numbers);
  return numbers;
}

function count(outline: Outline, prefix: string, numbers: Map<RuleName, string>): void {
  let next = 1;
  for (const entry of outline) {
    if (entry === false) continue;
    const number = `${prefix}${next++}`;
    if (typeof entry === "string") numbers.set(entry, number);
    else count(entry, `${number}.`, numbers);
  }
}

import { type Change, type Mutant, mutantsOf } from "./mutant.ts";

const folder = "shared/matrix/event-auth";
const table = "tests/unit/matrix/event-auth/authorize.test.ts";
const details = "tests/unit/matrix/event-auth/details.test.ts";

/** A rule of which a condition is changed: the cases of the rule in one room version fail. */
function rule(name: string, find: string, replace: string, version = "12"): Change {
  return [`rule ${name}`, find, replace, `room version ${version}\\b.* ${name.replaceAll(".", "\\.")} `, table];
}

const independent: Change[] = [
  rule("create.hasPrevEvents", "if (event.prevEvents.length > 0)", "if (false)"),
  rule("create.roomId", "if (!hasValidRoomId(event, rules))", "if (false)"),
  [
    "the domain of a create event's room id",
    "return domain === serverNameOf(event.sender);",
    "return true;",
    "room version 11\\b.* create\\.roomId ",
    table,
  ],
  rule("create.unknownVersion", "if (version !== undefined &&", "if (false &&"),
  rule("create.noCreator", 'field(event.content, "creator") === undefined', "false", "10"),
  rule("create.additionalCreators", "&& !hasValidAdditionalCreators(event.content)", "&& false"),
  rule("authEvents.duplicate", "if (seen.has(key))", "if (false)"),
  rule("authEvents.unexpected", "if (!expected.has(keyOf(authEvent.type, authEvent.stateKey)))", "if (false)"),
  rule("authEvents.rejected", "if (isRejected) return reject", "if (false) return reject"),
  rule("authEvents.noCreate", "if (rules.createIsAuthEvent && !hasCreate)", "if (false)", "11"),
  rule(
    "authEvents.otherRoom",
    "if (authEvents.some((authEvent) => authEvent.event.roomId !== event.roomId))",
    "if (false)",
  ),
  rule(
    "roomId",
    "return rules.roomIdIsCreateHash ? createEventIdOf(event.roomId) === create.eventId",
    "return true ? true",
  ),
];

const dependent: Change[] = [
  rule("federate", "if (!isFederated(create.content) &&", "if (false &&"),
  rule("aliases.noStateKey", "if (event.stateKey === null)", "if (false)", "5"),
  rule("aliases.otherDomain", "if (serverNameOf(event.sender) !== event.stateKey)", "if (false)", "5"),
  rule("aliases.allow", 'event.type === "m.room.aliases" && rules.hasAliasesRule', "false", "5"),
  rule("senderNotJoined", 'if (membershipIn(state("m.room.member", event.sender)) !== "join")', "if (false)"),
  rule("thirdPartyInvite", 'return senderLevel >= levels.level("invite")', "return true"),
  rule("requiredLevel", "if (required > senderLevel)", "if (false)"),
  rule("stateKey", 'if (event.stateKey?.startsWith("@") && event.stateKey !== event.sender)', "if (false)"),
  rule("powerLevels.userNew", 'if (event.type === "m.room.power_levels") return', "if (false) return"),
  rule("redaction.level", 'if (levels.ofUser(event.sender) >= levels.level("redact"))', "if (false)", "1"),
  rule("redaction.sameDomain", "ownDomain !== null && domainOfEventId(redacted) === ownDomain", "false", "1"),
  rule("redaction.otherwise", "&& rules.authorizesRedactions) return", "&& false) return", "2"),
  rule("otherwise", 'return allow("otherwise", rules);', 'return reject("otherwise", rules, "");'),
  ["a redaction of another room", "redaction.roomId !== target.roomId", "false", "never reaches", details],
  [
    "a redaction without power",
    "return serverNameOf(redaction.sender) === serverNameOf(target.sender);",
    "return true;",
    "lets moderators redact",
    details,
  ],
  [
    "a state without a create event",
    "if (create === null || !isCreateOfRoom",
    "if (create !== null && !isCreateOfRoom",
    "roomId|create",
    details,
  ],
];

const member: Change[] = [
  rule(
    "member.malformed",
    'if (target === null || stringField(event.content, "membership") === null)',
    "if (target === null)",
  ),
  rule("member.authoriserSignature", "if (unsigned !== null) return unsigned;", ""),
  rule("member.unknown", 'return reject("member.unknown"', 'return allow("member.unknown"'),
  rule("join.afterCreate", "if (isAfterCreate && target === creatorOf(create, rules))", "if (isAfterCreate)"),
  [
    "the first join, after the create event only",
    "const isAfterCreate = prevEvent === create.eventId",
    "const isAfterCreate = true",
    "without invitation only once",
    details,
  ],
  rule(
    "join.otherUser",
    'if (event.sender !== target) return reject("join.otherUser"',
    'if (false) return reject("join.otherUser"',
  ),
  rule(
    "join.banned",
    'if (membership === "ban") return reject("join.banned"',
    'if (false) return reject("join.banned"',
  ),
  rule("join.invited", "if (isInviteOnly && isInvited)", "if (isInviteOnly)"),
  rule(
    "join.restricted.member",
    'if (isInvited) return allow("join.restricted.member"',
    'if (true) return allow("join.restricted.member"',
  ),
  rule("join.restricted.authoriser", 'if (levels.ofUser(authoriser) < levels.level("invite"))', "if (false)"),
  rule(
    "join.restricted.allow",
    'if (authoriser === null || membershipOfUser(context, authoriser) !== "join")',
    "if (authoriser === null)",
  ),
  rule("join.public", 'if (joinRule === "public")', "if (true)"),
  rule("join.otherwise", 'return reject("join.otherwise"', 'return allow("join.otherwise"'),
  rule("invite.thirdParty.banned", 'if (membershipOfUser(context, target) === "ban")', "if (false)"),
  rule("invite.thirdParty.noSigned", "if (thirdPartySigned(event.content) === null)", "if (false)"),
  rule("invite.thirdParty.otherUser", "if (invite.mxid !== target)", "if (false)"),
  rule("invite.thirdParty.otherSender", "if (event.sender !== original.sender)", "if (false)"),
  rule(
    "invite.thirdParty.otherwise",
    "if (isSignedByAnyKey(invite.signed, invitePublicKeys(original.content)))",
    "if (true)",
  ),
  rule(
    "invite.senderNotJoined",
    'if (!isSenderJoined(context)) return reject("invite.senderNotJoined"',
    'if (false) return reject("invite.senderNotJoined"',
  ),
  rule("invite.targetJoinedOrBanned", 'if (membership === "join" || membership === "ban") {', "if (false) {"),
  [
    "an invite of a banned user",
    'if (membership === "join" || membership === "ban") {',
    'if (membership === "join") {',
    "room version 12\\b.* invite\\.targetJoinedOrBanned ",
    table,
  ],
  rule("invite.allow", 'if (levels.ofUser(event.sender) >= levels.level("invite")) return', "if (false) return"),
  rule("invite.otherwise", 'return reject("invite.otherwise"', 'return allow("invite.otherwise"'),
  rule("leave.self", 'return isIn ? allow("leave.self"', 'return true ? allow("leave.self"'),
  rule(
    "leave.senderNotJoined",
    'if (!isSenderJoined(context)) return reject("leave.senderNotJoined"',
    'if (false) return reject("leave.senderNotJoined"',
  ),
  rule("leave.unban", 'if (membership === "ban" && senderLevel < levels.level("ban"))', "if (false)"),
  rule("leave.kick", 'if (senderLevel >= levels.level("kick") && levels.ofUser(target) < senderLevel)', "if (false)"),
  rule("leave.otherwise", 'senderLevel >= levels.level("kick") && levels.ofUser(target) < senderLevel', "true"),
  [
    "a kick of an equal",
    'senderLevel >= levels.level("kick") && levels.ofUser(target) < senderLevel',
    'senderLevel >= levels.level("kick")',
    "creators in room version 12",
    details,
  ],
  rule(
    "ban.senderNotJoined",
    'if (!isSenderJoined(context)) return reject("ban.senderNotJoined"',
    'if (false) return reject("ban.senderNotJoined"',
  ),
  rule("ban.allow", 'if (senderLevel >= levels.level("ban") && levels.ofUser(target) < senderLevel)', "if (false)"),
  rule("ban.otherwise", 'senderLevel >= levels.level("ban") && levels.ofUser(target) < senderLevel', "true"),
  [
    "a ban of an equal",
    'senderLevel >= levels.level("ban") && levels.ofUser(target) < senderLevel',
    'senderLevel >= levels.level("ban")',
    "creators in room version 12",
    details,
  ],
  rule("knock.joinRule", "if (!allowsKnock)", "if (false)"),
  rule(
    "knock.otherUser",
    'if (event.sender !== target) return reject("knock.otherUser"',
    'if (false) return reject("knock.otherUser"',
  ),
  rule("knock.allow", 'if (membership !== "ban" && membership !== "invite" && membership !== "join")', "if (false)"),
  rule("knock.otherwise", 'return reject("knock.otherwise"', 'return allow("knock.otherwise"'),
];

const powerLevels: Change[] = [
  rule("powerLevels.levels", "if (wrong !== undefined)", "if (false)"),
  rule("powerLevels.maps", '|| !isLevelMap(field(content, "notifications"), rules)', ""),
  rule("powerLevels.users", 'if (!isUserLevelMap(field(content, "users"), rules))', "if (false)"),
  rule("powerLevels.creators", "return creator === undefined", "return true"),
  rule("powerLevels.first", "if (current === null) return allow", "if (false) return allow"),
  rule(
    "powerLevels.levelCurrent",
    'if (change.current !== null && change.current > senderLevel) {\n      return reject("powerLevels.levelCurrent"',
    'if (false) {\n      return reject("powerLevels.levelCurrent"',
  ),
  rule(
    "powerLevels.levelNew",
    'if (change.next !== null && change.next > senderLevel) {\n      return reject("powerLevels.levelNew"',
    'if (false) {\n      return reject("powerLevels.levelNew"',
  ),
  rule(
    "powerLevels.entryCurrent",
    'if (change.current !== null && change.current > senderLevel) {\n      return reject("powerLevels.entryCurrent"',
    'if (false) {\n      return reject("powerLevels.entryCurrent"',
  ),
  rule(
    "powerLevels.entryNew",
    'if (change.next !== null && change.next > senderLevel) {\n      return reject("powerLevels.entryNew"',
    'if (false) {\n      return reject("powerLevels.entryNew"',
  ),
  rule("powerLevels.userCurrent", "change.current >= senderLevel", "false"),
  [
    "an equal's power level",
    "change.current >= senderLevel",
    "change.current > senderLevel",
    "room version 12\\b.* powerLevels\\.userCurrent ",
    table,
  ],
  [
    "one's own power level, downwards",
    "if (user !== event.sender && change.current",
    "if (change.current",
    "downwards only",
    details,
  ],
  [
    "one's own power level, upwards",
    'change.next > senderLevel) {\n      return reject("powerLevels.userNew"',
    'false) {\n      return reject("powerLevels.userNew"',
    "downwards only",
    details,
  ],
  [
    "entries that are removed",
    "...Object.keys(before), ...Object.keys(after)",
    "...Object.keys(after)",
    "removed as well",
    details,
  ],
  [
    "levels of notifications",
    'rules.limitsNotificationLevels ? ["events", "notifications"] : ["events"]',
    '["events"]',
    "levels of notifications",
    details,
  ],
];

/** Each numbered authorization rule, at least in one room version. */
export const eventAuthMutants: Mutant[] = [
  ...mutantsOf(`${folder}/state-independent.ts`, table, independent),
  ...mutantsOf(`${folder}/state-dependent.ts`, table, dependent),
  ...mutantsOf(`${folder}/member.ts`, table, member),
  ...mutantsOf(`${folder}/power-levels.ts`, table, powerLevels),
  ...mutantsOf(`${folder}/auth-types.ts`, details, [
    [
      "the create event as auth event",
      "if (rules.createIsAuthEvent) keys.unshift",
      "if (true) keys.unshift",
      "authTypesForEvent",
    ],
    [
      "the target as auth event",
      "event.stateKey !== null && event.stateKey !== event.sender) keys",
      "false) keys",
      "authTypesForEvent",
    ],
    [
      "the authorizing member as auth event",
      "rules.allowsRestrictedJoin ? joinAuthoriserOf(event.content) : null",
      "null",
      "authTypesForEvent",
    ],
    ["the third-party invite as auth event", "if (token !== null)", "if (false)", "authTypesForEvent"],
  ]),
  ...mutantsOf("shared/matrix/content/power-levels.ts", "tests/unit/matrix/content.test.ts", [
    [
      "power levels that are text from version 10",
      'typeof value !== "string" || rules.powerLevelValues === "integer"',
      'typeof value !== "string"',
      "parseLevel",
    ],
    [
      "power levels beyond 2^53",
      "return Number.isSafeInteger(number) ? number : null;",
      "return number;",
      "parseLevel",
    ],
    ["power levels of any text", "if (!/^[+-]?[0-9]+$/.test(text)) return null;", "", "parseLevel"],
    [
      "creators without a level of their own",
      "if (isCreator && this.#rules.creatorsHaveInfinitePower)",
      "if (false)",
      "creators in room version 12",
      details,
    ],
    [
      "users that are no user ids",
      "userIdShape.test(user)",
      "true",
      "room version 12\\b.* powerLevels\\.users ",
      table,
    ],
  ]),
  ...mutantsOf("shared/matrix/content/create.ts", "tests/unit/matrix/content.test.ts", [
    [
      "additional creators before version 12",
      "if (rules.creatorsHaveInfinitePower && Array.isArray(additional))",
      "if (Array.isArray(additional))",
      "finds the creators",
    ],
    [
      "the creator before version 11",
      "if (rules.creatorIsSender) return create.sender;",
      "return create.sender;",
      "whom an older create event names",
    ],
  ]),
  ...mutantsOf("shared/matrix/content/join-rules.ts", "tests/unit/matrix/content.test.ts", [
    ["a join rule that is not understood", '?? "private"', '?? "public"', "not understood as private"],
  ]),
];

import { type Mutant, mutantsOf } from "./mutant.ts";

const security = "tests/security/federation-membership.test.ts";
const invites = "tests/federation/resident-invite.test.ts";
const joins = "tests/federation/resident-join.test.ts";
const leaves = "tests/federation/resident-leave.test.ts";
const thirdParty = "tests/federation/third-party-invite.test.ts";

/** What keeps the endpoints for joins, leaves, knocks and invites from taking anything else. */
export const federationMembershipMutants: Mutant[] = [
  ...mutantsOf("actors/room/join-resident.ts", security, [
    [
      "the id in the path of a handshake",
      "assert(eventIdOf(pdu, rules) === input.eventId,",
      "assert(true,",
      "sendLeaveV2 .*that the path does not name",
    ],
    [
      "the type of a handshake's event",
      'assert(stringField(pdu, "type") === "m.room.member",',
      "assert(true,",
      "sendLeaveV2 .*of another type",
    ],
    [
      "whom a handshake's event is about",
      'assert(stringField(pdu, "state_key") === userId,',
      "assert(true,",
      "sendLeaveV2 .*about another user",
    ],
    [
      "the membership of a handshake",
      'assert(stringField(content, "membership") === membership,',
      "assert(true,",
      "sendLeaveV2 .*membership join",
    ],
    [
      "the server of a handshake's sender",
      "if (userId === null || serverNameOf(userId) !== origin) throw errors.invalidParam",
      "if (userId === null) throw errors.invalidParam",
      "sendJoinV2 .*by somebody of a third server about itself",
    ],
    [
      "what was refused once",
      'if (outcome.kind === "duplicate" && known?.status !== "accepted")',
      "if (false)",
      "asking once more",
    ],
    ["the room's ACL of a handshake", "if (isShutOut(room, room.store, origin))", "if (false)", "shut out", leaves],
    [
      "for whom templates are made",
      "if (serverNameOf(userId) !== origin) throw",
      "if (false) throw",
      "a user of a third server",
      joins,
    ],
    [
      "room versions that a server knows",
      "if (versions !== null && !versions.includes(roomVersion))",
      "if (false)",
      "a version that the server does not know",
      joins,
    ],
  ]),
  ...mutantsOf("workers/gateway/federation/received-invite.ts", security, [
    [
      "the id in the path of an invite",
      "assert(eventIdOf(pdu, rules) === eventId,",
      "assert(true,",
      "sendInviteV2 .*that the path does not name",
    ],
    [
      "the signature of who invites",
      "if (known === null || !verifyEvent(pdu, rules, signer, known))",
      "if (false)",
      "sendInviteV2 .*signed by another server",
    ],
    [
      "that the keys of who invites are known",
      "if (known === null || !verifyEvent(",
      "if (known !== null && !verifyEvent(",
      "sendInviteV2 .*not signed",
    ],
    ["the hash of an invite", "|| !hasValidContentHash(pdu, rules)", "", "hash was changed", invites],
    ["whom nobody can invite", "if (!(await invited.exists()))", "if (false)", "refused for nobody", invites],
    [
      "how many invites a user gets",
      'await invited.getMemberProfile("invite", roomId);',
      "",
      "counts against",
      invites,
    ],
    [
      "signatures of who invites by third-party id",
      "for (const signer of new Set([origin, ...signers]))",
      "for (const signer of signers)",
      "by third-party id",
      invites,
    ],
  ]),
  ...mutantsOf("actors/room/remote-membership.ts", invites, [
    ["the room's ACL of an invite", "isShutOut(room, room.store, input.origin)", "false", "has shut out"],
    [
      "what the room itself signs",
      "!isInvite || event.roomId !== room.roomId || !isLocal(room, target)",
      "event.roomId !== room.roomId || !isLocal(room, target)",
      "signs nothing else",
    ],
  ]),
  ...mutantsOf("shared/federation-api/invite-state.ts", invites, [
    ["how much describes a room", "|| value.length > maxEntries", "", "too often"],
    [
      "the format of what describes a room",
      "pdu === null || !checkEventFormat(pdu, rules).ok",
      "pdu === null",
      "of another format",
    ],
    ["the room that is described", "if (roomIdOf(pdu, rules) !== roomId)", "if (false)", "event of another room"],
    [
      "the beginning of a room",
      'if (!pdus.some((pdu) => field(pdu, "type") === "m.room.create"))',
      "if (false)",
      "no create event",
    ],
    ["signatures on what describes a room", "if (isVerified === false)", "if (false)", "was changed"],
    ["descriptions that nobody vouches for", "if (isVerified === true) return", "if (true) return", "cannot be had"],
    ["who has made the room", 'if (event.type !== "m.room.create") return [];', "return [];", "create event whose"],
  ]),
  ...mutantsOf("actors/room/third-party-invite.ts", thirdParty, [
    [
      "members who are invited by third-party id",
      "if (tx.memberships.isJoined(target))",
      "if (false)",
      "leaves a member",
    ],
    [
      "in whose name is invited by third-party id",
      "if (serverNameOf(sender) !== room.config.serverName)",
      "if (false)",
      "in the name of a user of another",
    ],
  ]),
  ...mutantsOf("workers/gateway/federation/third-party-invite.ts", thirdParty, [
    [
      "who may ask for an invite by third-party id",
      "if (serverNameOf(target) !== auth.origin)",
      "if (false)",
      "that is for a user of another server",
    ],
    ["users who bind third-party ids", "!(await user.exists())", "false", "of nobody of this server"],
    ["whom a notice is about", "if (mxid !== body.mxid)", "if (false)", "that names another user"],
  ]),
];

import { type Mutant, mutantsOf } from "./mutant.ts";

const security = "tests/security/federation-membership.test.ts";
const invites = "tests/federation/resident-invite.test.ts";
const joins = "tests/federation/resident-join.test.ts";
const leaves = "tests/federation/resident-leave.test.ts";
const thirdParty = "tests/federation/third-party-invite.test.ts";
const byId = "tests/federation/third-party-join.test.ts";
const permission = "tests/federation/invite-permission.test.ts";
const parting = "tests/federation/parting.test.ts";

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
      "rooms of a join rule that are not known here",
      "if (allowing.some(({ isJoined }) => isJoined === null))",
      "if (false)",
      "left to other servers",
      joins,
    ],
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
  ...mutantsOf("actors/room/join-remote.ts", "tests/federation/join.test.ts", [
    [
      "grants that a client claims for its join",
      "    join_authorised_via_users_server: authoriser ?? undefined,\n",
      "",
      "but for what the servers decide",
    ],
    [
      "a join's membership that a client gives",
      "    membership,\n    reason: reason ?? undefined,",
      "    reason: reason ?? undefined,",
      "but for what the servers decide",
    ],
  ]),
  ...mutantsOf("actors/room/membership.ts", "tests/actors/room/membership.test.ts", [
    [
      "how long a member's name may be",
      'if (tooLong("displayname", maxDisplayNameLength))',
      "if (false)",
      "refuses content without a known membership",
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
    ["whom a notice is about", "if (mxid !== body.mxid)", "if (false)", "that names another user"],
  ]),
  ...mutantsOf("actors/user/rpc.ts", permission, [
    ["invites that nobody wants", "assertTakesInvites(user);", "", "who takes no invites|for a user who takes none"],
  ]),
  ...mutantsOf("actors/user/invite-permission.ts", permission, [
    [
      "what blocks invites",
      'content !== null && field(content, "default_action") === "block"',
      "content !== null",
      "account data that",
    ],
  ]),
  ...mutantsOf("actors/user/sync/finish.ts", permission, [
    [
      "invites that are not told",
      'if (place === "invite" && blocksInvites(user)) return null;',
      "",
      "tells of no invite|came as an event of the room",
    ],
  ]),
  ...mutantsOf("workers/egress/key-validity.ts", byId, [
    [
      "where the keys of identity servers are asked about",
      'url.protocol !== "https:" || ',
      "",
      "not asked about at http:",
    ],
    [
      "a password for an identity server",
      'url.username !== "" || url.password !== ""',
      "false",
      "not asked about at https://user",
    ],
    ["how much an identity server says", "const maxBytes = 4_096;", "const maxBytes = 40_960;", "says too much"],
    [
      "what an identity server answers",
      "if (answered.status === 200) return",
      "if (true) return",
      "answers with an error",
    ],
    [
      "what an identity server says",
      'return typeof valid === "boolean" ? valid : null;',
      "return valid !== false;",
      "says something else",
    ],
  ]),
  ...mutantsOf("workers/gateway/federation/bound-invite.ts", byId, [
    ["users who bind third-party ids", "!(await user.exists())", "false", "of nobody of this server", thirdParty],
    [
      "keys of identity servers that were given up",
      "    await assertKeysValid(services, { roomId, origin, signed });\n",
      "",
      "that was given up invites nobody",
    ],
    [
      "identity servers that say nothing",
      "if (isSilent) throw",
      "if (isSilent) return; if (false) throw",
      "where the identity server says nothing",
    ],
  ]),
  ...mutantsOf("workers/gateway/federation/third-party-invite.ts", byId, [
    [
      "keys of identity servers that another server uses",
      "    await assertKeysValid({ actors, egress }, { roomId, origin: auth.origin, signed });\n",
      "",
      "for a user of another server",
    ],
  ]),
  ...mutantsOf("actors/room/third-party-invite.ts", byId, [
    [
      "keys of an invite that have not signed",
      "keys.filter(({ publicKey }) => isSignedByAnyKey(signed, [publicKey]))",
      "keys",
      "only where it has signed",
    ],
  ]),
  ...mutantsOf("actors/room/join-state.ts", "tests/federation/resident-knock.test.ts", [
    [
      "what a room has become since somebody knocked",
      "room.store.events.byId(eventId)?.stateRootAfter ?? null",
      "room.store.room.get().stateRoot",
      "when it comes again",
    ],
    [
      "what was redacted, to who knocks",
      "return record === null ? null : prunedEvent(room, record);",
      "return record?.event ?? null;",
      "not told what was redacted",
    ],
  ]),
  ...mutantsOf("actors/room/join-overlap.ts", "tests/federation/resident-join-overlap.test.ts", [
    [
      "what a joining server's users may not see",
      "if (!between.every((record) => viewer.canSee(record))) return;",
      "",
      "may not see is not sent",
    ],
    ["joins that follow what is long past", "between.length > maxOverlap", "false", "brings no history"],
    ["what is for a server since it was in the room before", ", ...lastStay", "", "is sent once"],
    ["what was said while a server was joining", "tx.servers.beginEarlier(stay, after);", "", "said meanwhile"],
  ]),
  ...mutantsOf("actors/room/parting.ts", parting, [
    ["telling a server what puts it out", "if (untold.length === 0) return [];", "return [];", "let it in"],
    [
      "what puts a server out is for it, though it is out",
      "for (const server of untold) tx.servers.endLater(server, at, until);",
      "",
      "let it in",
    ],
    [
      "a ban from when a server was not in the room",
      'return member !== null && membershipIn(member.event) === "join";',
      "return true;",
      "is told of a ban",
    ],
    [
      "what the sender tells a server itself",
      'return member !== null && membershipIn(member.event) === "join";',
      "return false;",
      "nobody but the sender",
    ],
  ]),
  ...mutantsOf("actors/room/persist.ts", parting, [
    ["waking a server that is put out", "[...servers.visited, ...untold]", "servers.visited", "let it in"],
  ]),
  ...mutantsOf("actors/room/store/servers.ts", parting, [
    ["for whom the ends of the graph are", "(o.only_until IS NULL OR o.only_until = ?)", "(1 OR ?)", "nobody else is"],
  ]),
  ...mutantsOf("actors/room/outbound.ts", parting, [
    [
      "visibility of what puts a server out",
      "isParting ? findPdu(room, { origin: destination, eventId }) : pduTextOf(room, event)",
      "pduTextOf(room, event)",
      "may not see",
    ],
  ]),
];

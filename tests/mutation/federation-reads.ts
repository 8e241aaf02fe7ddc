import { type Mutant, mutantsOf } from "./mutant.ts";

const reads = "tests/security/federation-reads.test.ts";
const gaps = "tests/federation/backfill-gaps.test.ts";
const backfill = "tests/federation/backfill.test.ts";
const matrix = "tests/security/federation-matrix.test.ts";
const queries = "tests/federation/queries.test.ts";

/** What other servers may read of rooms, and what is taken of a room's past. */
export const federationReadMutants: Mutant[] = [
  ...mutantsOf("actors/room/serve-visibility.ts", reads, [
    [
      "reading by a server that is not in the room",
      "this.isGone = !room.store.servers.isIn(origin);",
      "this.isGone = false;",
      "not in a room",
    ],
    [
      "reading by a server that is shut out",
      "|| isShutOut(room, room.store, origin)",
      "",
      "ACL shuts it out, though it is in the room \\(R5\\): state$",
    ],
    [
      "reading of a room that was left",
      "!isResident(room, room.store) || ",
      "",
      "no longer in the room itself: state$",
    ],
    [
      "reading by a server that was never in the room",
      "viewer.isGone && !at.some((eventId) => viewer.knows(eventId)) ? null : viewer",
      "viewer",
      "if it never was, as if there were no room: state$",
    ],
    [
      "what comes after a server has left",
      "return this.isGone && (streamPosition",
      "return false && (streamPosition",
      "after it has left, or was banned: state$",
    ],
    [
      "what was there until a server left",
      "if (isShared && !this.#isAfter(record)) return true;",
      "if (isShared && !this.isGone) return true;",
      "puts a server's last user out",
      "tests/federation/late-fork.test.ts",
    ],
    [
      "history of before a server joined",
      "options.isSeen === true || this.canSee(record)",
      "true",
      "before a server joined",
    ],
    ["invitations as a reason to see", 'visibilities.includes("invited")', "false", "from an invitation on"],
    [
      "an invitation that was not taken as a reason to see",
      " && !this.#isAfter(record));",
      ");",
      "invited, then invited [>t]",
      matrix,
    ],
    ["shared history", 'visibility === "world_readable" || visibility === "shared"', "false", "history is shared"],
  ]),
  ...mutantsOf("actors/room/serve.ts", reads, [
    [
      "states at events that may not be seen",
      "const isSeen = viewer.canSee(requireEvent(room, at));",
      "const isSeen = true;",
      "only those of then may see it: state$",
    ],
    [
      "states at events that may be seen",
      "const isSeen = viewer.canSee(requireEvent(room, at));",
      "const isSeen = false;",
      "as far as it still holds",
    ],
    [
      "events nearest to a time that may not be seen",
      "accepts: (record) => viewer.canSee(record)",
      "accepts: () => true",
      "the first that it may see",
    ],
  ]),
  ...mutantsOf("actors/room/serve-walk.ts", reads, [
    [
      "the budget of a walk for others",
      "this.#seen.has(eventId) || this.#left <= 0",
      "this.#seen.has(eventId)",
      "no more than",
    ],
    [
      "rejected events in a walk",
      'if (record.status !== "accepted" && record.status !== "soft_failed") return false;',
      "",
      "rejected",
    ],
    [
      "events of after a server has left, in a walk",
      "return !viewer.isGone || viewer.canSee(record);",
      "return true;",
      "given no later events",
    ],
  ]),
  ...mutantsOf("actors/room/backfill.ts", gaps, [
    ["what nothing follows", "followed.has(event.eventId)", "followed.size >= 0", "nothing follows"],
    [
      "a past that comes after this server has left",
      'if (!isResident(room, tx)) return input.pdus.map(() => dropped("this server is not in the room"));',
      "",
      "left meanwhile",
    ],
    [
      "a gap that is full",
      'if (after !== null && position <= after) return { kind: "dropped", eventId, reason: "the gap is full" };',
      "",
      "than is free",
    ],
  ]),
  ...mutantsOf("actors/room/receive.ts", gaps, [
    [
      "what stands before rejected events of the past",
      "if (past !== undefined) tx.extremities.addMissing(prev.missing, past.after);",
      "if (past !== undefined && prev.missing.length > 9) tx.extremities.addMissing(prev.missing, past.after);",
      "is filled where it is",
    ],
    [
      "a create event that comes again as part of the past",
      "create.eventId !== event.eventId",
      "true",
      "gives the whole past",
      backfill,
    ],
    ["limits of today for events of the past", "{ isPast: receipt.past !== undefined }", "{}", "more than is allowed"],
  ]),
  ...mutantsOf("actors/room/gaps.ts", gaps, [
    ["a gap right behind what a client has", "position >= after", "position > after", "ends the timeline"],
    ["room in the stream for a gap", "tx.room.skipPositions(gapPositions);", "", "filled where it is"],
  ]),
  ...mutantsOf("actors/room/persist.ts", gaps, [
    ["redactions of the past", "applyRedaction(tx, input.event, placement);", "", "what was redacted"],
  ]),
  ...mutantsOf("actors/room/spaces.ts", "tests/federation/space-hierarchy.test.ts", [
    [
      "closed rooms in a hierarchy",
      'return { kind: "closed" };',
      'return { kind: "open", description: descriptionOf(room) };',
      "a space",
    ],
    [
      "banned users in a hierarchy",
      'return membership === "ban" ? isWorldReadable(room) : isOpenToAll(room);',
      "return true;",
      "neither join nor read",
    ],
  ]),
  ...mutantsOf("actors/directory/search-rooms.ts", queries, [
    ["rooms for this server's users alone", "if (input.isForServer)", "if (false)", "users may join"],
  ]),
  ...mutantsOf("actors/user/openid.ts", queries, [
    ["the end of an OpenID token", "user.clock.now() < expiresTs", "true", "for an hour"],
    ["OpenID tokens of deactivated users", "account.isDeactivated", "false", "ends with the account"],
    ["many OpenID tokens", "tx.openId.keepNewest(maxTokens);", "", "oldest of very many"],
  ]),
];

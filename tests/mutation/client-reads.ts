import { type Mutant, mutantsOf } from "./mutant.ts";

const reads = "tests/security/client-reads.test.ts";
const joined = "joined, then joined [>t]";
const shared = "shared, then shared [>t]";
const opened = "joined, then world_readable [>t]";

/** What clients may read of rooms: each is missed by readers who are, or were, something to the room. */
export const clientReadMutants: Mutant[] = [
  ...mutantsOf("actors/room/visibility.ts", reads, [
    [
      "reading by who is nothing to the room",
      "return member === null || member.isForgotten ? null : lastJoined(room, userId);",
      'return lastJoined(room, userId) ?? { kind: "peeking" };',
      joined,
    ],
    [
      "reading by who has forgotten the room",
      "member === null || member.isForgotten ? null :",
      "member === null ? null :",
      joined,
    ],
    [
      "what who has forgotten the room had seen of it",
      "isJoined || member?.isForgotten === true ? null",
      "isJoined ? null",
      opened,
    ],
    ["what came after who reads had left", "if (position > this.#joinedThrough)", "if (false)", shared],
    [
      "the state around an event that puts out once more",
      "return record.streamPosition !== null && this.#isVisible(record, record.streamPosition);",
      "return true;",
      "invited, then world_readable [>t]",
    ],
    [
      "the state after an event that puts out once more",
      "return this.knowsStateAround(record) ? record.stateRootAfter : (this.#left?.root ?? null);",
      "return record.stateRootAfter;",
      joined,
    ],
    [
      "what a state event replaced",
      '=== "join" : this.canSee(replaced);',
      '=== "join" : true;',
      "what a state event replaced",
      "tests/actors/room/visibility.test.ts",
    ],
    [
      "rooms that are open to the world",
      'return historyVisibilityOf(content) === "world_readable";',
      "return true;",
      joined,
    ],
    ["how rooms become open to the world", 'visibilityAfter === "world_readable";', "false;", opened],
  ]),
  ...mutantsOf("actors/room/timeline.ts", reads, [
    ["events of a page", "    viewer.canSee(record) &&\n", "", joined],
    ["single events", "if (record === null || !viewer.canSee(record)) throw", "if (record === null) throw", joined],
  ]),
  ...mutantsOf("actors/room/state-view.ts", reads, [
    ["the state of who has left", 'return access.kind === "left" ? access.root :', "return", shared],
    [
      "members of a page that may be shown",
      "records.filter((record) => viewer.knowsStateAround(record))",
      "records",
      "invited, then world_readable [>t]",
    ],
  ]),
  ...mutantsOf("actors/room/members.ts", reads, [
    [
      "members of a time when one was not there",
      "if (!beside.some((record) => viewer.knowsStateAround(record)))",
      "if (false)",
      joined,
    ],
    [
      "members of a time at which one was put out once more",
      "viewer.knowsStateAround(record)",
      "viewer.canSee(record)",
      "invited, then world_readable [>t]",
    ],
    [
      "who may ask for who is joined",
      "if (!room.store.memberships.isJoined(requester)) throw",
      "if (false) throw",
      joined,
    ],
  ]),
  ...mutantsOf("actors/room/timestamp.ts", reads, [
    [
      "the times of events that may not be seen",
      "accepts: (record) => viewer.canSee(record)",
      "accepts: () => true",
      joined,
    ],
  ]),
  ...mutantsOf("actors/room/sync-section.ts", reads, [
    ["events that sync tells", "      viewer.canSee(record),\n", "      true,\n", joined],
    ["the state that sync tells who was put out once more", "exit > membership.through && isEndOnly", "false", joined],
  ]),
  ...mutantsOf("actors/room/settings.ts", reads, [
    [
      "who may ask for aliases",
      'if (stringField(visibility, "history_visibility") === "world_readable") return null;',
      "return null;",
      joined,
    ],
  ]),
  ...mutantsOf("shared/matrix/history-visibility.ts", reads, [
    [
      "1. world readable history",
      'if (visibility === "world_readable") return true;',
      "",
      "world_readable, then world_readable [>t]",
    ],
    ["2. history of who was joined", 'if (membership === "join") return true;', "", joined],
    ["3. shared history", 'if (visibility === "shared" && hasJoinedSince) return true;', "", shared],
    [
      "4. history of who was invited",
      'return membership === "invite" && visibility === "invited";',
      "return false;",
      "invited, then invited [>t]",
    ],
    [
      "4. history of who was invited, where it is not theirs",
      'membership === "invite" && visibility === "invited"',
      'membership === "invite"',
      joined,
    ],
    [
      "history of nobody in particular",
      'return membership === "invite" && visibility === "invited";',
      "return true;",
      joined,
    ],
    [
      "history visibility after the event that sets it",
      "facts.visibilityAfter ?? facts.visibility",
      "facts.visibility",
      "world_readable [>t]",
    ],
    [
      "membership after the event that sets it",
      "facts.membershipAfter ?? facts.membership",
      "facts.membership",
      joined,
    ],
  ]),
];

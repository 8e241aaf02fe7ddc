import { type Mutant, mutantsOf } from "./mutant.ts";

const timeline = "tests/actors/room/timeline.test.ts";

/** What clients ask for themselves: their own requests told apart, their own wishes kept to. */
export const clientMutants: Mutant[] = [
  ...mutantsOf("actors/room/timeline.ts", timeline, [
    [
      "events of ignored users",
      "(record.stateKey !== null || !ignored.has(record.sender)) &&",
      "",
      "leaves out what ignored users",
    ],
    [
      "state events of ignored users",
      "(record.stateKey !== null || !ignored.has(record.sender)) &&",
      "!ignored.has(record.sender) &&",
      "leaves out what ignored users",
    ],
    ["a marker that does not move back", "(event.streamPosition ?? oldest) > position", "true", "tells which of two"],
  ]),
  ...mutantsOf("actors/room/send.ts", "tests/actors/room/send.test.ts", [
    [
      "transaction ids of other event types and targets",
      "return JSON.stringify([sender, deviceId, ...path]);",
      "return JSON.stringify([sender, deviceId, path[0] ?? null]);",
      "tells transaction ids",
    ],
    [
      "power levels of what is no user",
      "if (noUser !== null) throw errors.badJson",
      "if (false) throw errors.badJson",
      "levels of what is no user",
    ],
    [
      "aliases of other servers that lead elsewhere",
      "return elsewhere.includes(alias);",
      "return true;",
      "may be a room's name",
      "tests/federation/queries.test.ts",
    ],
  ]),
  ...mutantsOf("actors/user/sync/finish.ts", "tests/actors/user/room-account-data.test.ts", [
    [
      "account data of rooms that the client has",
      'return since === null || (room.membership === "join" && room.membershipPosition > since);',
      'return since === null || room.membership === "join";',
      "changes their name",
    ],
    [
      "account data of rooms that the user comes back to",
      ' || (room.membership === "join" && room.membershipPosition > since);',
      ";",
      "comes back",
    ],
    ["account data of rooms that are asked for whole", " || request.fullState", "", "changes their name"],
  ]),
  ...mutantsOf("actors/user/sync/rooms.ts", "tests/actors/user/lost-wakes.test.ts", [
    [
      "what an answer says of the membership, where the wake was lost",
      "answers.get(planned.room.roomNid)?.member ?? null",
      "null",
      "a user who has come in",
    ],
    [
      "rooms that only an answer shows to be wanted",
      "return { ...planned, room, isWanted: isWantedBy(request, room) };",
      "return { ...planned, room };",
      "in a first answer",
    ],
  ]),
  ...mutantsOf("actors/user/sync/finish.ts", "tests/actors/user/lost-wakes.test.ts", [
    [
      "memberships that only an answer tells",
      "withMembership(room, planned?.room ?? null)",
      "room",
      "having been told of it",
    ],
  ]),
  ...mutantsOf("actors/room/store/memberships.ts", "tests/actors/user/room-account-data.test.ts", [
    [
      "changes of a profile, which are no joins",
      "THEN COALESCE(joined_position, stream_position) END",
      "THEN NULL END",
      "changes their name",
    ],
  ]),
  ...mutantsOf("actors/room/store/wakes.ts", "tests/actors/room/membership.test.ts", [
    [
      "where a membership began, to its user",
      "COALESCE(m.joined_position, m.stream_position)",
      "m.stream_position",
      "where their membership began",
    ],
  ]),
  ...mutantsOf("actors/server/aliases.ts", "tests/actors/server/own-server.test.ts", [
    [
      "aliases that exist",
      "if (tx.aliases.find(alias) !== null) throw",
      "if (tx.aliases.find(alias)?.roomId !== roomId) throw",
      "made once",
    ],
  ]),
  ...mutantsOf("actors/user/account-data.ts", "tests/actors/user/account-data.test.ts", [
    [
      "markers that two devices move at once",
      "if (fullyReadOf(user, roomId) !== before) continue;",
      "",
      "at the same time",
    ],
  ]),
  ...mutantsOf("actors/user/outbox.ts", "tests/actors/user/to-device.test.ts", [
    [
      "transaction ids of other types of messages to devices",
      "const path = JSON.stringify([type, txnId]);",
      "const path = txnId;",
      "is carried out once",
    ],
  ]),
  ...mutantsOf("actors/server/uia.ts", "tests/actors/server/own-server.test.ts", [
    [
      "what a session is bound to",
      "input.binding !== null && session.binding !== input.binding",
      "false",
      "records stages for what",
    ],
  ]),
];

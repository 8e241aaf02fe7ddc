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

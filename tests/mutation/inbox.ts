import { type Mutant, mutantsOf } from "./mutant.ts";

const inbox = "tests/federation/inbox.test.ts";
const edus = "tests/federation/edus.test.ts";
const missing = "tests/federation/missing.test.ts";
const missingAnswers = "tests/federation/missing-answers.test.ts";
const hostile = "tests/federation/join-hostile.test.ts";
const text = "tests/unit/json-text.test.ts";

/** What other servers send by themselves, what they are asked for, and what is made of it. */
export const inboxMutants: Mutant[] = [
  ...mutantsOf("workers/gateway/federation/transactions.ts", inbox, [
    ["50 events in a transaction", "if (body.pdus.length > maxPdus) throw", "if (false) throw", "and no more"],
    ["100 EDUs in a transaction", "if (body.edus.length > maxEdus) throw", "if (false) throw", "and no more"],
    [
      "the length of a transaction",
      "maxBodyBytes: maxBytes,",
      "maxBodyBytes: 10 * maxBytes,",
      "a body that is too large",
    ],
    ["who sends a transaction", 'auth: "serverSignature",', 'auth: "none",', "only for servers that sign"],
    [
      "an EDU that nests deeply",
      "if (thrown instanceof MatrixError) return [];\n    throw thrown;",
      "throw thrown;",
      "nests too deeply",
      edus,
    ],
  ]),
  ...mutantsOf("actors/server/inbox.ts", inbox, [
    [
      "a transaction that is answered already",
      "if (answered !== null) return parseStoredObject(answered);",
      "",
      "is answered as the first time",
    ],
    [
      "a transaction under an id that was another's",
      'hash("sha256", JSON.stringify([transaction.pdus, transaction.edus]), "base64")',
      '""',
      "with another body",
    ],
    [
      "a transaction that comes twice at once",
      "if (same !== undefined && now < same.startedTs + leaseMs) return await same.answer;",
      "",
      "while the first is being taken",
    ],
    [
      "a transaction that hangs",
      "[...running.values()].filter(({ startedTs }) => now < startedTs + leaseMs)",
      "[...running.values()]",
      "hangs for more than a minute",
    ],
    [
      "transactions one after the other",
      "Promise.allSettled(before.map((other) => other.answer)).then(() => take(server, transaction, digest))",
      "take(server, transaction, digest)",
      "one after the other",
    ],
    [
      "a flood of transactions",
      "if (concurrent >= maxConcurrent || inbox",
      "if (concurrent >= 1_000 || inbox",
      "beyond three",
    ],
    ["a flood of short transactions", "inbox.arrivals.length >= maxPerSecond", "false", "50 in a second"],
    [
      "a room that does not answer",
      "    taken.waiting.push(...pdus.map((text) => ({ roomId, name: null, text, dueTs: now + roomRetryMs })));\n",
      "",
      "sent again, whichever call",
    ],
    [
      "events that wait",
      "if (ofRoom >= maxWaitingOfRoom || ofAll >= maxWaiting) {",
      "if (false) {",
      "99 others of its room at most",
      missing,
    ],
  ]),
  ...mutantsOf("actors/server/edus.ts", edus, [
    [
      "whom an EDU speaks for",
      "return userId !== null && serverNameOf(userId) === server.serverName ? userId : null;",
      "return userId;",
      "m.direct_to_device > has no effect by|m.direct_to_device has no effect by",
    ],
    [
      "the ids of messages to devices",
      "messageId.length > maxMessageId * 2 || [...messageId].length > maxMessageId",
      "false",
      "with an id of 33",
    ],
    ["the types of messages to devices", "type.length > maxTypeLength || ", "", "with a type that is too long"],
    ["the time of a receipt", "ts: isTime ? ts : server.clock.now()", "ts: ts ?? 0", "where its own is nonsense"],
    [
      "EDUs that nobody takes",
      "if (!(thrown instanceof MatrixError)) throw thrown;",
      "throw thrown;",
      "with a content of more than 64 KiB|leaves nothing behind",
    ],
  ]),
  ...mutantsOf("actors/room/remote-ephemeral.ts", edus, [
    ["the room's ACL of EDUs", " && !isShutOut(room, store, origin);", ";", "that the ACL shuts out"],
    [
      "EDUs of a room that was left",
      "return isResident(room, store) && ",
      "return ",
      "where this server is not in the room",
    ],
    [
      "whose typing and receipts a server tells",
      "serverNameOf(userId) === origin && room.store",
      "room.store",
      "for its own users only, whoever asks",
    ],
    [
      "typing and receipts of who is not in the room",
      " && room.store.memberships.isJoined(userId);",
      ";",
      "who is not in the room",
    ],
    [
      "receipts that go back",
      "if (before !== null && before.eventPosition >= record.streamPosition) return false;",
      "",
      "never goes back",
    ],
    [
      "threads that there are not",
      "if (threadId !== null && !isInThread(room, record, threadId)) return false;",
      "",
      "a thread that there is not",
    ],
  ]),
  ...mutantsOf("actors/server/seek-missing.ts", missingAnswers, [
    ["requests of one search", "search.requestsLeft < requests || ", "", "in however many places"],
    [
      "states of many events",
      "prevEvents.length > maxGaps || prevEvents.some",
      "prevEvents.some",
      "before many events at once",
    ],
  ]),
  ...mutantsOf("shared/federation-api/backfill.ts", missingAnswers, [
    [
      "more missing events than were asked for",
      "pduList(maxMissingEvents)",
      "pduList(10_000)",
      "no further than was asked for",
    ],
  ]),
  ...mutantsOf("actors/room/join-remote.ts", hostile, [
    [
      "the type of a template",
      'if (stringField(event, "type") !== "m.room.member") return',
      "if (false) return",
      "of another type is never signed",
    ],
    [
      "the room of a template",
      'if (stringField(event, "room_id") !== room.roomId) return',
      "if (false) return",
      "of another room is never signed",
    ],
    [
      "the sender of a template",
      'if (stringField(event, "sender") !== userId) return',
      "if (false) return",
      "of another sender is never signed",
    ],
    [
      "whom a template is about",
      'if (stringField(event, "state_key") !== userId) return',
      "if (false) return",
      "somebody else is never signed",
    ],
    [
      "the membership of a template",
      'if (stringField(content, "membership") !== membership) return',
      "if (false) return",
      "of a (leave|ban) is never signed",
    ],
    [
      "who lets us in by a template",
      "if (authoriser !== null && serverNameOf(authoriser) !== template.server) {",
      "if (false) {",
      "user lets us in",
    ],
    [
      "what a template says beside its place",
      "const pdu = buildPdu(\n",
      "if (rules !== null) return withFields(offered, { origin_server_ts: room.clock.now() });\n  const pdu = buildPdu(\n",
      "never signed as it is",
    ],
    [
      "the version of a template",
      'if (rules === null) throw errors.unsupportedRoomVersion("This server does not know the room\'s version");',
      'if (rules === null) return { kind: "unusable", reason: "" };',
      "of a room of version",
    ],
    [
      "the version that the room has",
      "if (known !== null && known.stateRoot !== null && known.roomVersion !== template.roomVersion) {",
      "if (false) {",
      "of another version|version that it does not have",
    ],
  ]),
  ...mutantsOf("workers/egress/procedures/join.ts", "tests/federation/join.test.ts", []),
  ...mutantsOf("workers/egress/procedures/join-answer.ts", "tests/unit/egress/join-answer.test.ts", [
    [
      "an event of an answer that is too long",
      "if (isTooLong) this.#tooLong += 1;\n      else ",
      "",
      "larger than any may be",
    ],
    [
      "an answer that broke off",
      "if (!this.#hasBegun || this.#depth !== 0 || this.#isInString) return null;",
      "",
      "that it broke off",
    ],
  ]),
  ...mutantsOf("actors/server/outbox-transaction.ts", "tests/federation/outbox-failures.test.ts", [
    [
      "stored EDUs that cannot be read",
      "server.store.transaction((tx) => tx.outbox.deleteEdu(eduNid));\n      continue;",
      'throw new Error("unreadable");',
      "that nobody can read",
    ],
  ]),
  ...mutantsOf("actors/server/outbox-transaction.ts", "tests/federation/outbox.test.ts", []),
  ...mutantsOf("shared/json-text.ts", text, [
    [
      "bodies that nest deeply",
      "if (isDeeperThan(text, maxDepth)) throw",
      "if (false) throw",
      "as deeply as is allowed",
    ],
    [
      "bodies with half a surrogate",
      "if (mayHoldSurrogate.test(text) && !every",
      "if (false && !every",
      "a lone surrogate",
    ],
    [
      "bodies with a number beyond a double",
      "if (mayOverflow.test(text) && !every",
      "if (false && !every",
      "beyond what a double holds",
    ],
  ]),
  ...mutantsOf("workers/gateway/json-body.ts", text, [
    ["the length of a body", "if (length > maxBytes) throw", "if (false) throw", "as many bytes as are allowed"],
  ]),
];

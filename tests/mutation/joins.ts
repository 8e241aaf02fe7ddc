import { type Mutant, mutantsOf } from "./mutant.ts";

const verdicts = "tests/federation/partial-verdicts.test.ts";
const unverified = "tests/federation/unverified-state.test.ts";
const rejoin = "tests/federation/rejoin.test.ts";
const past = "tests/federation/partial-past.test.ts";
const lists = "tests/unit/federation-api/pdu-lists.test.ts";

/** What a join leaves for later: what is not known yet, and what could not be verified. */
export const joinMutants: Mutant[] = [
  ...mutantsOf("actors/room/replay.ts", verdicts, [
    [
      "what was soft-failed on less knowledge",
      "isAllowed ? allowedStatus(",
      'isAllowed ? record.status === "soft_failed" ? record.status : allowedStatus(',
      "is accepted when it is allowed",
    ],
    [
      "what was rejected on less knowledge",
      "const status = isAllowed ?",
      'const status = isAllowed && record.status !== "rejected" ?',
      "is accepted when it is allowed",
    ],
    [
      "what was accepted on less knowledge",
      'partialEvent, place) : "rejected";',
      "partialEvent, place) : record.status;",
      "stays refused when it is not allowed",
    ],
    [
      "what was authorized by what was rejected",
      ".map((record) => ({ ...record, status: statusNow(tx, record) }));",
      ";",
      "authorizes others",
    ],
    [
      "the index of what was rejected",
      'status !== "rejected") indexLate(tx, record);',
      'status !== "rejected") {}',
      "authorizes others",
    ],
    [
      "outside of the graph, what was authorized by what was rejected",
      "isOver = replayOutliers(room, tx, partialEvent.sequence);",
      "isOver = true;",
      "authorizes others",
      past,
    ],
    [
      "outside of the graph, one part after the other",
      "return outliers.length < batchSize;",
      "return true;",
      "however many",
      past,
    ],
    [
      "the index of what was rejected outside of the graph",
      "refusal === null) indexLate(tx, record);",
      "refusal === null) {}",
      "authorizes others",
      past,
    ],
    [
      "what was told of what is looked at anew",
      "told.map((state) => toldNow(tx, state))",
      "told.map(({ root }) => root)",
      "authorizes others",
      past,
    ],
    [
      "what was told of what is refused now",
      'const isIn = statusNow(tx, record) !== "rejected";',
      "const isIn = true;",
      "none any more",
      past,
    ],
    [
      "where what is of the past belongs",
      "const at = past === null ? { streamPosition: position, currentRoot } : placeInPast(tx, past);",
      "const at = { streamPosition: position, currentRoot };",
      "shown at its place",
      past,
    ],
    [
      "that the past is no end of the graph",
      'status !== "accepted" || partialEvent.past !== null',
      'status !== "accepted"',
      "shown at its place",
      past,
    ],
    [
      "servers that turn out not to be in the room",
      "sendEnds(tx, { gone: out,",
      "sendEnds(tx, { gone: [],",
      "is told that it is not",
    ],
    [
      "waking servers that turn out not to be in the room",
      "visited: [...servers.visited, ...untold],",
      "visited: servers.visited,",
      "is told that it is not",
    ],
    [
      "a redaction that is none any more",
      'if (was === "accepted") undoRedaction(tx, event);',
      "",
      "redacts nothing any more",
    ],
    [
      "redactions of what was rejected",
      'if (was === "rejected") applyPendingRedactions(tx, event, eventNid);',
      "",
      "is redacted by who had the right",
    ],
  ]),
  ...mutantsOf("actors/room/redactions.ts", verdicts, [
    [
      "redactions of what may yet be accepted",
      '|| (target.status === "rejected" && tx.partialState.isOn());',
      ";",
      "is redacted by who had the right",
    ],
  ]),
  ...mutantsOf("actors/room/receive.ts", unverified, [
    [
      "the create event that nothing names",
      "if (createEventId !== null) authMissing.push(createEventId);",
      "",
      "wait for the create event",
      "tests/actors/room/receive-forks.test.ts",
    ],
    [
      "a state that is told anew",
      "prev.missing.length > 0 || receipt.isToldAnew === true",
      "prev.missing.length > 0",
      "joined again",
    ],
    [
      "a signature by a key that is known",
      "used.length > 0 && !used.some(",
      "used.length > 0 || !used.some(",
      "for good",
    ],
  ]),
  ...mutantsOf("actors/room/receive-rpc.ts", "tests/actors/room/receive-forks.test.ts", [
    [
      "outliers of a room that this server is not in",
      'if (!isResident(room, room.store)) return input.pdus.map(() => dropped("this server is not in the room"));',
      "",
      "are not taken of a room",
    ],
  ]),
  ...mutantsOf("actors/room/import.ts", unverified, [
    [
      "events whose keys are not known",
      'if (outcome.kind === "dropped" && mayPassLater(this.#room, outcome)) {',
      "if (false) {",
      "which becomes part of the state",
    ],
    [
      "servers whose members cannot be verified",
      "servers: [...serversInRoom, ...unverified]",
      "servers: serversInRoom",
      "which becomes part of the state",
    ],
  ]),
  ...mutantsOf("actors/room/import.ts", rejoin, [
    [
      "what was known before a rejoin",
      "{ root: join.stateRoot, join: event, mayLackMembers }) : [];",
      "{ root: join.stateRoot, join: event, mayLackMembers }).slice(0, 0) : [];",
      "holds to a ban",
    ],
    [
      "old ends of a room without its members",
      "omitted === null ? former : []",
      "former",
      "once it is whole, who was banned",
    ],
    [
      "joins that resolve to nothing",
      "former.length > 0 && !tx.memberships.isJoined(event.sender)",
      "false",
      "stays out where nobody else",
    ],
    ["refusals by what was known", "isRefused: thrown instanceof KnownBetter", "isRefused: false", "holds to a ban"],
    [
      "old ends as ends",
      "for (const { eventNid } of ends) tx.extremities.replace(eventNid, []);",
      "",
      "builds on a kick",
    ],
  ]),
  ...mutantsOf("actors/room/former-ends.ts", rejoin, [
    [
      "old ends that a join comes after",
      "leadsTo(tx, behind, unknown) === false",
      "true",
      "knows that the ban is over",
    ],
    ["other users' memberships", "tx.memberships.local(maxUsers)", "tx.memberships.local(0)", "another of its users"],
    [
      "members that were not told",
      "heard === null && mayLackMembers && userId",
      "heard === null && false && userId",
      "not told of for unknown",
    ],
    [
      "old ends that cannot be resolved",
      "resolution.ok ? { root: resolution.root, ends } : { root: told, ends: [] }",
      "{ root: resolution.ok ? resolution.root : told, ends }",
      "lets go of an old end",
    ],
  ]),
  ...mutantsOf("actors/room/partial-state.ts", past, [
    ["what is outside of the graph", "if (isDoubtful) tx.partialState.noteOutlier(eventId);", "", "authorizes others"],
    ["where the past is", "if (past !== null) tx.partialState.setPast(eventId, past);", "", "shown at its place"],
    [
      "what stands before what was refused",
      "if (told.length > 0) tx.partialState.setTold(eventId, told);",
      "",
      "no obstacle to an event after a gap",
    ],
  ]),
  ...mutantsOf("actors/room/receive.ts", past, [
    [
      "outside of the graph, what what is rejected authorizes",
      "if (rejection !== null) return reject(room, tx, placed, rejection);",
      "",
      "authorizes others",
    ],
    [
      "the gap before what was refused",
      "rejection === null || isPartial(tx);",
      "rejection === null;",
      "nor to what is before that",
    ],
  ]),
  ...mutantsOf("actors/room/remote-ephemeral.ts", "tests/federation/partial-receipts.test.ts", [
    ["receipts of members who are not known yet", "return [...unplaced, ...later];", "return unplaced;", "counts once"],
    [
      "receipts of who is no member",
      "isPartial(store) && store.memberships.find(userId) === null",
      "store.memberships.find(userId) === null",
      "not kept where all members",
    ],
  ]),
  ...mutantsOf("actors/room/membership.ts", "tests/federation/partial-members.test.ts", [
    [
      "what is done to who is not known yet",
      'change.action === "ban" ? apply() : whenKnown(room, change, apply)',
      "apply()",
      "is put out of the room",
    ],
    [
      "a ban of who is not known yet",
      'change.action === "ban" ? apply() : whenKnown(room, change, apply)',
      "whenKnown(room, change, apply)",
      "is banned at once",
    ],
  ]),
  ...mutantsOf("actors/room/rpc.ts", "tests/federation/partial-members.test.ts", [
    [
      "invites of users of other servers who are not known yet",
      "reply(() => whenKnown(room, input, () => checkInvite(room, input))),",
      "reply(() => checkInvite(room, input)),",
      "is not invited",
    ],
  ]),
  ...mutantsOf("actors/room/gaps.ts", past, [
    ["positions that are kept", "Math.min(taken, kept ?? taken)", "taken", "keeps its place"],
  ]),
  ...mutantsOf("actors/room/partial-state.ts", rejoin, [
    [
      "old ends of what becomes whole",
      "retryTs, formerEnds });",
      "retryTs, formerEnds: [] });",
      "once it is whole, from",
    ],
  ]),
  ...mutantsOf("actors/room/replay.ts", rejoin, [
    [
      "old ends that cannot be resolved when all is known",
      "!current.ok && place.currentRoot === null",
      "!current.ok && false",
      "cannot be resolved with the rest",
    ],
  ]),
  ...mutantsOf("workers/egress/procedures/join.ts", rejoin, [
    [
      "a join that this server itself refuses",
      "if (!progress.isRefused) throw new NextServer(progress.reason);\n    join.mayBeTaken = false;",
      "if (!progress.isRefused) throw new NextServer(progress.reason);",
      "holds to a ban",
    ],
  ]),
  ...mutantsOf("workers/egress/procedures/join.ts", "tests/federation/join-crash.test.ts", [
    [
      "a worker whose place another has taken",
      "if (thrown instanceof MatrixError && thrown.status === conflict) return null;",
      "",
      "is over for who waits for it",
    ],
  ]),
  ...mutantsOf("actors/room/unverified-state.ts", unverified, [
    [
      "keys of servers that are not talked to",
      "lacksKeysOf !== undefined && mayTalkTo(room.config, lacksKeysOf)",
      "lacksKeysOf !== undefined",
      "not talked to",
    ],
    ["the end of trying", "partial.unverifiedUntilTs <= room.clock.now()", "false", "given up on after a day"],
    [
      "pauses between tries",
      "firstVerifyPauseMs * 2 ** partial.attempts, longestPauseMs",
      "firstVerifyPauseMs, longestPauseMs",
      "at the cost of few",
    ],
    [
      "who tells what cannot be verified",
      'mayTellAll: from === "remote_join_events"',
      "mayTellAll: true",
      "nothing but members",
    ],
  ]),
  ...mutantsOf("actors/room/store/unverified.ts", "tests/actors/room/unverified.test.ts", [
    ["how much is kept", "LIMIT MAX(0, ?2 - (SELECT COUNT(*) FROM partial_state_unverified))", "", "no more is kept"],
  ]),
  ...mutantsOf("actors/room/partial-state.ts", unverified, [
    [
      "whom nobody can verify",
      "if (room.store.room.find() !== null && lacksMembers(room.store)) {",
      "if (room.store.room.find() !== null && isPartial(room.store)) {",
      "which becomes part of the state",
    ],
  ]),
  ...mutantsOf("actors/room/maintenance.ts", unverified, [
    [
      "a room that a failed join takes with it",
      "if (atAnyTime.includes(work) || room.store.room.find() !== null) await",
      "await",
      "by an alarm either",
    ],
  ]),
  ...mutantsOf("workers/egress/procedures/verify-state.ts", unverified, [
    [
      "who is asked for the keys of others",
      "possibleSignersOf(missing).has(server)) continue;",
      "false) continue;",
      "at the cost of few",
    ],
  ]),
  ...mutantsOf("actors/server/fetch-missing.ts", "tests/federation/missing.test.ts", [
    [
      "a gap's state that cannot be verified now",
      "search.isPatient = event.tries < patientTries;",
      "search.isPatient = false;",
      "waits for those keys",
    ],
    [
      "a gap's state that never can be verified",
      "search.isPatient = event.tries < patientTries;",
      "search.isPatient = true;",
      "does not wait for ever",
    ],
  ]),
  ...mutantsOf("shared/matrix/pdu-text.ts", lists, [
    [
      "one bad event in an answer",
      "return checked.ok ? checked.text : null;",
      "return pduTextOf(pdu);",
      "lone surrogate",
    ],
  ]),
  ...mutantsOf("shared/json-text.ts", lists, [
    [
      "one event that is nested without end",
      "isDeeperThan(text, maxSignedJsonDepth) ? cutBelow(text, maxSignedJsonDepth) : text, parseExactly",
      "text, parseExactly",
      "a hundred thousand times",
    ],
  ]),
];

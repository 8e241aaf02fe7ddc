import { type Mutant, mutantsOf } from "./mutant.ts";

const tests = "tests/actors/room";
const receive = `${tests}/receive.test.ts`;
const acl = `${tests}/receive-acl.test.ts`;
const forks = `${tests}/receive-forks.test.ts`;
const poison = `${tests}/poison.test.ts`;
const redactions = `${tests}/redactions.test.ts`;

/** The way in for events of other servers. */
export const receiveMutants: Mutant[] = [
  ...mutantsOf("actors/room/receive.ts", "tests/federation/inbox.test.ts", [
    ["ids of what has none", " || signedText(received, rules) !== null;", " || true;", "has a depth beyond"],
    ["a result for each event", "nameOf(pdu, rules), format.reason", "null, format.reason", "names 21 prev events"],
  ]),
  ...mutantsOf("actors/room/receive.ts", receive, [
    ["a batch of more than 50", "if (pdus.length > maxPdus) throw", "if (false) throw", "50"],
    [
      "a room that is not known",
      "was not cut down`);\n  return commit(room, (tx) => {\n    if (tx.room.find() === null) return",
      "`);\n  return commit(room, (tx) => {\n    if (false) return",
      "not known here",
    ],
    [
      "the ACL for who sends",
      "[origin, serverOfSender(pdu)]",
      "[serverOfSender(pdu)]",
      "drops all that a server sends",
      acl,
    ],
    ["the ACL for who made it", "[origin, serverOfSender(pdu)]", "[origin]", "by way of another server", acl],
    ["a batch in its own order", "of inOrder(pdus, tx.room.rules())) {", "of pdus) {", "in the order of its graph"],
    [
      "one bad PDU in a batch",
      "return room.store.transaction((tx) => checkPdu(room, tx, pdu, receipt));\n  } catch (thrown) {",
      "return room.store.transaction((tx) => checkPdu(room, tx, pdu, receipt));\n  } catch (thrown) { throw thrown;",
      "undo nothing of the others",
    ],
    [
      "1. the format",
      "if (!format.ok) return dropped(nameOf(pdu, rules), format.reason);",
      "",
      "version 12.*drops no type",
      poison,
    ],
    [
      "another room's event",
      "if (roomIdOf(received, rules) !== room.roomId)",
      "if (false)",
      "does not take power from another room",
      poison,
    ],
    [
      "what nobody signs",
      '// Nobody signs what stands there.\n  const received = withoutField(pdu, "unsigned");',
      "const received = pdu;",
      "stands in unsigned",
    ],
    [
      "an event that is here",
      'if (known !== null && (receipt.isOutlier || known.stateRootAfter !== null)) return { kind: "duplicate", eventId };',
      "",
      "each event once",
    ],
    [
      "an outlier that comes again",
      "receipt.isOutlier || known.stateRootAfter !== null",
      "true",
      "get a position when they come",
      forks,
    ],
    [
      "2. the signatures",
      'if (problem !== null) return { kind: "dropped", eventId, ...problem };',
      "",
      "2\\. drops what is not signed",
    ],
    [
      "2. signatures by unknown keys",
      "if (keys === null) return",
      "if (keys === null) continue; if (false) return",
      "keys that nobody knows",
    ],
    [
      "2. keys of the time",
      'rules.enforcesKeyValidity ? numberValue(field(pdu, "origin_server_ts")) : null',
      'numberValue(field(pdu, "origin_server_ts"))',
      "asks for keys that were valid",
    ],
    [
      "2. keys of the time, from version 5",
      'rules.enforcesKeyValidity ? numberValue(field(pdu, "origin_server_ts")) : null',
      "null",
      "asks for keys that were valid",
    ],
    [
      "3. the hash",
      "hasValidContentHash(received, rules) ? received : redact(received, rules)",
      "received",
      "3\\. redacts",
    ],
    [
      "missing auth events",
      "if (isLost || authMissing.length > 0)",
      "if (isLost)",
      "does not take power from another room",
      poison,
    ],
    [
      "missing prev events",
      "if (isLost || authMissing.length > 0)",
      "if (authMissing.length > 0)",
      "says what is missing",
    ],
    [
      "a rejected event as outlier first",
      'known?.status === "rejected" ? alreadyRejected : ',
      "",
      "that were rejected stay so",
      forks,
    ],
    [
      "4. the auth events",
      "return rejection === null ? placeInGraph(room, tx, input) : reject(room, tx, input, rejection);",
      "return placeInGraph(room, tx, input);",
      "names none of what would allow it",
    ],
    ["4. an auth event twice", "named.length !== event.authEvents.length", "false", "or one of them twice"],
    [
      "4. more auth events than have a say",
      "if (independent !== null) return independent.allowed ? null : independent;",
      "",
      "names more than the auth events",
    ],
    [
      "4. rejected auth events",
      'isRejected: record.status === "rejected"',
      "isRejected: false",
      "that a rejected one authorizes",
    ],
    [
      "4. what auth events leave out",
      'return type === "m.room.create" && !rules.createIsAuthEvent ? (create?.event ?? null) : null;',
      "return findCurrentState(tx, type, stateKey)?.event ?? null;",
      "names none of what would allow it",
    ],
    [
      "a room that begins twice",
      'if (event.type === "m.room.create" && create !== null && create.eventId !== event.eventId)',
      "if (false)",
      "does not begin a room",
      poison,
    ],
    [
      "outliers outside the graph",
      'persistUnseen(tx, { ...placed, status: "outlier" });',
      "persistEvent(room, tx, { ...placed, deviceId: null, txnId: null });",
      "are in no state",
      forks,
    ],
    [
      "what a gap leaves",
      "if (past === null && isShown && prev.missing.length > 0) tx.extremities",
      "if (false) tx.extremities",
      "with the state that another server tells",
      forks,
    ],
    ["5. the state before", "if (!byState.allowed) return reject(room, tx, placed, byState);", "", "5\\. rejects"],
    [
      "6. the current state",
      'if (!byCurrent.allowed) persistUnseen(tx, { event, before, known, status: "soft_failed" });',
      "if (false) {}",
      "6\\. soft-fails",
    ],
    [
      "rejected events in no state",
      'persistUnseen(tx, { event, before, known, status: "rejected" });',
      'persistUnseen(tx, { event, before, known, status: "soft_failed" });',
      "4\\. rejects an event that its auth events",
    ],
  ]),
  ...mutantsOf("actors/room/server-acl.ts", acl, [
    ["a changed ACL", "known.eventId !== record.eventId", "false", "when it is its turn"],
    [
      "a verdict that is remembered",
      "if (remembered !== undefined) return remembered;",
      "",
      "is asked once for each server",
    ],
    [
      "an ACL compiled once",
      "if (known === undefined || known.eventId !== record.eventId)",
      "if (true)",
      "is asked once for each server",
    ],
  ]),
  ...mutantsOf("actors/room/persist.ts", receive, [
    ["rejected state events in no state", 'status === "soft_failed"\n', 'status !== "outlier"\n', "out of every state"],
    [
      "ends of the graph behind rejected events",
      'if (record === null || (record.status !== "rejected" && record.status !== "soft_failed")) continue;',
      "continue;",
      "goes on after rejected",
    ],
    [
      "a depth that no double holds",
      "Math.min(event.depth, Number.MAX_SAFE_INTEGER)",
      "event.depth",
      "takes a depth of 2\\^63",
      poison,
    ],
    [
      "ends that cannot be resolved",
      "if (!resolution.ok) return null;",
      'if (!resolution.ok) throw new Error("too many");',
      "more different ends",
      forks,
    ],
    [
      "rejected events in no index",
      'if (event.stateKey === null || at.status === "rejected") return null;',
      "if (event.stateKey === null) return null;",
      "out of every state",
    ],
  ]),
  ...mutantsOf("actors/room/redactions.ts", redactions, [
    [
      "a redaction without right",
      "tx.room.rules().authorizesRedactions || mayRedact(redaction, target.event, powerLevelsAt(tx, before))",
      "true",
      "of another server's events",
    ],
    ["a redaction applied twice", "target.redactedBy !== null || ", "", "also where the target is here"],
    ["a create event redacted", ' || target.type === "m.room.create"', "", "do not take from a create event"],
    ["an event that redacts itself", " || target.eventId === redaction.eventId", "", "without end"],
    ["redactions that wait", "tx.redactions.delete(event.eventId);", "", "wait for their target"],
    [
      "redactions before their target",
      "if (isToCome) tx.redactions.insert(redaction.redacts, eventNid);\n  else redactIfAllowed",
      "if (!isToCome) redactIfAllowed",
      "wait for their target",
    ],
  ]),
];

import { type Mutant, mutantsOf } from "./mutant.ts";

const keys = "tests/federation/keys.test.ts";
const notaries = "tests/federation/key-servers.test.ts";
const serving = "tests/federation/key-serving.test.ts";
const requests = "tests/federation/authentication.test.ts";
const header = "tests/unit/federation-api/x-matrix.test.ts";

/** Who asks, and with which keys that and events are proven. */
export const serverKeyMutants: Mutant[] = [
  ...mutantsOf("shared/federation-api/x-matrix.ts", header, [
    [
      "the method that is signed",
      "{ method, uri, origin, destination };",
      "{ uri, origin, destination };",
      "binds each part",
    ],
    [
      "the path that is signed",
      "{ method, uri, origin, destination };",
      "{ method, origin, destination };",
      "binds each part",
    ],
    [
      "the origin that is signed",
      "{ method, uri, origin, destination };",
      "{ method, uri, destination };",
      "binds each part",
    ],
    [
      "the destination that is signed",
      "{ method, uri, origin, destination };",
      "{ method, uri, origin };",
      "binds each part",
    ],
    ["the body that is signed", "if (content !== null) request.content = content;", "", "binds each part"],
    [
      "a request without a signature",
      "return checks.length > 0 && checks.every",
      "return checks.every",
      "nothing without",
    ],
    [
      "one of two signatures that is wrong",
      "checks.every((isValid) => isValid)",
      "checks.some((isValid) => isValid)",
      "a second signature that is wrong",
      requests,
    ],
    [
      "a parameter that is there twice",
      "if (parameters.has(name.toLowerCase())) return null;",
      "",
      'refuses .*sig="b",sig="b"',
    ],
    [
      "signatures of several servers",
      "if (signatures.some((other) => other.origin !== origin)) return null;",
      "",
      "a signature of another server with another key",
      requests,
    ],
    [
      "very many signatures",
      "|| credentials.length > maxSignatures) return null;",
      ") return null;",
      "eleven",
      requests,
    ],
  ]),
  ...mutantsOf("workers/gateway/server-signature.ts", requests, [
    ["the switch for federation", "if (!config.federation) throw", "if (false) throw", "where federation is off"],
    [
      "whom a request is meant for",
      "if (destination !== null && destination !== serverName)",
      "if (false)",
      "a destination that is somebody else|a destination that is not the one|in other letters",
    ],
    ["a request in our own name", "if (origin === serverName) throw", "if (false) throw", "our own name"],
    [
      "servers that are denied",
      "if (!mayTalkTo(config, origin)) throw",
      "if (false) throw",
      "that the operator denies",
    ],
    [
      "bodies of servers whose keys are not known",
      "if (!keyIds.some((keyId) => keys.has(keyId))) {",
      "if (false) {",
      "reads no body",
    ],
    ["what is signed", "if (!verifyRequest(signed, signatures, keys)) throw", "if (false) throw", "refuses a replay"],
    ["a sign of life that is proven", "  if (known.isAwaited) await peer.noteAlive();\n", "", "sign of life"],
    [
      "a path as it came",
      'return start === -1 ? "/" : url.slice(start);',
      "return decodeURI(url.slice(start));",
      "as they came",
    ],
  ]),
  ...mutantsOf("shared/matrix/key-ring.ts", keys, [
    [
      "keys that were valid at the time of an event",
      "validAt === null || validAt <= (expiredTs ?? validUntilTs)",
      "true",
      "of a verify key after its end",
    ],
    [
      "keys that were given up at the time of an event",
      "validAt <= (expiredTs ?? validUntilTs)",
      "validAt <= validUntilTs + 1",
      "key after its end",
    ],
    ["keys that are given up, for requests", "key.expiredTs === null && ", "", "of a old key"],
    [
      "keys that are no longer valid, for requests",
      " && key.validUntilTs >= nowMs",
      "",
      "of a verify key after its end",
    ],
  ]),
  ...mutantsOf("shared/federation-api/keys.ts", keys, [
    [
      "seven days",
      "Math.min(ts, nowMs + maxValidityMs)",
      "ts",
      "for seven days at most|no key that is given up in the future",
    ],
    [
      "whose keys are told",
      'if (stringField(response, "server_name") !== serverName) return null;',
      "",
      "in the name of another",
    ],
    [
      "keys that have not signed",
      "if (proven.has(keyId)) keys.set",
      "if (true) keys.set",
      "publish another's as theirs",
    ],
    [
      "keys that nobody has signed",
      "validUntil === null || proven.size === 0",
      "validUntil === null",
      "takes no answer",
    ],
    ["a key that everybody has", "return bannedKeys.includes(publicKey);", "return false;", "everybody knows"],
    [
      "how long an answer about keys is",
      "const maxResponseBytes = 65_536;",
      "const maxResponseBytes = 655_360;",
      "64 KiB",
    ],
  ]),
  ...mutantsOf("actors/server/verify-keys.ts", keys, [
    ["one fetch for all who ask", "if (running[source] === null) {", "if (true) {", "however many ask"],
    [
      "servers whose keys are not asked for",
      "if (!mayTalkTo(server.config, server.serverName)) return;",
      "",
      "asks nobody",
    ],
    [
      "a pause between fetches",
      "if (server.clock.now() < dueAt(server, source, wanted)) return;",
      "",
      "not more often than every few seconds",
    ],
    [
      "ever longer pauses",
      "firstBackoffMs * 2 ** (last.failures - 1)",
      "firstBackoffMs",
      "waits longer with each failure",
    ],
    [
      "events that are dated in the future",
      "isExtension ? minExtendIntervalMs : minFetchIntervalMs",
      "minFetchIntervalMs",
      "dated in the future",
    ],
    [
      "what strangers leave behind",
      "if (published !== null || wanted.isForStranger !== true) {",
      "if (true) {",
      "leaves nothing behind",
    ],
    ["a key that everybody has, and is stored", " && !isBannedKey(key)),", "),", "everybody knows"],
    [
      "a key id that becomes another key",
      "if (before.key !== told.key) return isFromServer && !before.isFromServer ? told : null;",
      "if (before.key !== told.key) return told;",
      "stand for its bytes",
    ],
    [
      "a validity that becomes shorter",
      "Math.max(before.validUntilTs, told.validUntilTs)",
      "told.validUntilTs",
      "when a fetch fails, or tells less",
    ],
    ["very many keys", "dropSurplus(tx);", "", "bounded number"],
    [
      "key servers that say others' keys",
      "published !== null && isSignedBy(answer, keyServer, counting) ? [published] : []",
      "published !== null ? [published] : []",
      "are not believed",
      notaries,
    ],
    [
      "key servers that give up others' keys",
      "expiredTs: before.expiredTs ?? (isValid ? null : told.expiredTs)",
      "expiredTs: told.expiredTs",
      "do not overwrite",
      notaries,
    ],
    [
      "key servers that wait for one another",
      ", isDirectOnly: true });\n  const counting = keysForRequest(ofKeyServer",
      " });\n  const counting = keysForRequest(ofKeyServer",
      "do not wait for one another",
      notaries,
    ],
  ]),
  ...mutantsOf("shared/federation-api/key-ring.ts", notaries, [
    [
      "fifty servers at a time",
      "await inParallel(wanted, maxConcurrent,",
      "await inParallel(wanted, 10_000,",
      "not all at the same time",
    ],
    ["keys of one event", "if (ofServer.keyIds.size < maxKeyIds) ofServer", "ofServer", "bounded number of the keys"],
    [
      "what a joined server says of keys",
      "!isSignedBy(response, serverName, counting)",
      "false",
      "only what both have signed",
    ],
  ]),
  ...mutantsOf("workers/gateway/federation/keys-query.ts", serving, [
    [
      "a hundred servers in one question",
      "|| wanted.size === maxServers) continue;",
      ") continue;",
      "a hundred servers at most",
    ],
    [
      "fifty servers of a question at a time",
      "inParallel([...wanted], maxConcurrent, keysOf)",
      "inParallel([...wanted], 10_000, keysOf)",
      "fifty at a time",
    ],
    [
      "servers of a question that are denied",
      "if (!mayTalkTo(config, serverName)) return [];",
      "",
      "none that is denied",
    ],
    [
      "who asks for keys too often",
      'if (clientAddress !== null) await ownServer.limitAddress("rc_key_query", clientAddress);',
      "",
      "asks too often",
    ],
  ]),
  ...mutantsOf("actors/room/signing.ts", serving, [
    ["a key that was given up meanwhile", "if (!isGood) throw new OldKey();", "", "since it was asked for"],
    ["a clock that is set back", "sinceTs <= now && now - sinceTs", "now - sinceTs", "set back"],
  ]),
];

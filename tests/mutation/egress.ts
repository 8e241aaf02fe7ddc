import { type Mutant, mutantsOf } from "./mutant.ts";

const unit = "tests/unit/egress";
const ssrf = "tests/security/ssrf.test.ts";

/** What keeps requests to other servers where they may go, and answers within bounds. */
export const egressMutants: Mutant[] = [
  ...mutantsOf("workers/egress/exchange.ts", ssrf, [
    ["the address policy on each hop", "if (refusal !== null) throw", "if (false) throw", "is not redirected to"],
  ]),
  ...mutantsOf("workers/egress/address-policy.ts", ssrf, [
    [
      "addresses that are not public",
      "isLiteral ? !isPublicAddress(host) :",
      "isLiteral ? false :",
      "does not go to 10\\.",
    ],
    ["names that are not public", ": privateName.test(host);", ": false;", "is not delegated to localhost"],
    ["requests to ourselves", "if (isOurOwn(config, host, port))", "if (false)", "come back to this server"],
    [
      "addresses in disguise on a later hop",
      "!isLiteral && (!hostName.test(host) || isOddNumber(host))",
      "!isLiteral && !hostName.test(host)",
      "by a SRV record",
    ],
  ]),
  ...mutantsOf("workers/egress/addresses.ts", ssrf, [
    ["IPv4 in IPv6", "!isWithin(groups, globalRange6, 16)", "false", "is false for"],
    ["6to4", '"2002::/16", ', "", "is false for"],
    ["carrier-grade NAT", '  "100.64.0.0/10",\n', "", "is false for"],
  ]),
  ...mutantsOf("workers/egress/request.ts", ssrf, [
    ["servers that are not talked to", "if (!mayTalkTo(egress.config, destination))", "if (false)", "whom we talk to"],
    [
      "signatures on requests",
      "headers.Authorization = await sign(egress, request);",
      "",
      "is signed over",
      `${unit}/request.test.ts`,
    ],
  ]),
  ...mutantsOf("workers/egress/bounded-body.ts", `${unit}/request.test.ts`, [
    ["the length of answers", "if (received > maxBytes)", "if (false)", "no longer one"],
    ["the time of answers", "await orAborted(reader.read(), signal)", "await reader.read()", "not over in time"],
    ["cancelling the peer", "reader?.cancel(reason).catch(() => undefined);", "", "cancels an answer"],
  ]),
  ...mutantsOf("workers/egress/well-known.ts", `${unit}/discovery.test.ts`, [
    ["50 KiB", "const maxBytes = 50 * 1024;", "const maxBytes = 500 * 1024;", "longer than 50 KiB"],
    ["five redirects", "const maxRedirects = 5;", "const maxRedirects = 6;", "over five redirects"],
    ["redirects over HTTPS only", 'next.protocol !== "https:" || ', "", "is not followed to http"],
    [
      "redirects with a password",
      ' || next.password !== ""',
      ' && next.password !== ""',
      "is not followed to https://user@",
    ],
    [
      "48 hours",
      "Math.max(fresh, minCacheMs), maxCacheMs)",
      "Math.max(fresh, minCacheMs), 2 * maxCacheMs)",
      "at most 48 hours",
    ],
    ["five minutes", "Math.max(fresh, minCacheMs)", "Math.max(fresh, 0)", "at least five minutes"],
  ]),
  ...mutantsOf("workers/egress/discovery.ts", `${unit}/discovery.test.ts`, [
    ["ever fewer discoveries", "* 2 ** (failures - 1)", "", "less and less often"],
    ["SRV look-ups that hang", "await orAborted(looking, deadline.signal)", "await looking", "after three seconds"],
    ["the old name of the service", '["_matrix-fed._tcp", "_matrix._tcp"]', '["_matrix-fed._tcp"]', "follows step 5"],
  ]),
  ...mutantsOf("workers/egress/http1.ts", `${unit}/wire.test.ts`, [
    ["the length of a head", "if (budget.left < 0)", "if (false)", "a head that is too long"],
    ["a length beside chunks", "(length !== null || transfer", "(false || transfer", "a length and chunks"],
    [
      "requests within requests",
      "if (lines.some((line) => !/^[\\t -~]*$/.test(line))",
      "if (false",
      "lets nothing be put into it",
    ],
    ["answers to come", "read <= maxInterimAnswers", "read <= 100", "too many interim answers"],
  ]),
  ...mutantsOf("workers/egress/dns.ts", `${unit}/wire.test.ts`, [
    ["resolvers that failed", "(code !== 0 && code !== nameError)", "false", "unknown when the resolver failed"],
  ]),
  ...mutantsOf("actors/server/route.ts", "tests/federation/dead-peer.test.ts", [
    [
      "routes of servers that never answered",
      "if (server.store.contact.isKnown()) storeRoute(server);",
      "storeRoute(server);",
      "is not stored of a server that never answered",
      `${unit}/discovery.test.ts`,
    ],
    ["one look-up at a time", "route.running ??= lookUp", "route.running = lookUp", "is done once"],
    [
      "servers that do not answer",
      "if (isCharged && server.clock.now() < untilTs)",
      "if (false)",
      "refuses connections",
    ],
    ["attempts that count", "if (isCharged) chargeAttempt(server);", "", "refuses connections"],
    ["look-ups of servers that do not answer", "(isAway ? graceMs : 0)", "0", "refuses connections"],
    ["the server at the door", "!== null && !isForStranger;", "!== null;", "by the server itself"],
    ["servers that have moved", "isForStranger || server.memory.contact.hasSpoken", "isForStranger", "from elsewhere"],
  ]),
  ...mutantsOf("actors/server/outbox.ts", "tests/federation/outbox-failures.test.ts", [
    ["failures that are told again", "transaction.sentTs !== sentTs", "false", "however often that is told"],
  ]),
  ...mutantsOf("actors/server/receipts.ts", "tests/federation/edus.test.ts", [
    ["receipts that could not be told", "return news.receipts;", "return [];", "is told again"],
    ["200 receipts that wait", "tx.receipts.count() >= maxWaiting", "false", "199 others"],
    ["receipts that wait for ever", " || tries >= maxTries", "", "for a day"],
  ]),
  ...mutantsOf("actors/server/contact.ts", "tests/federation/dead-peer.test.ts", [
    [
      "accounts of servers that never were",
      "if (server.store.contact.isKnown()) server",
      "server",
      "leaves nothing behind",
    ],
    [
      "accounts that outlive memory",
      "contact.account = server.store.contact.find();",
      "contact.account = null;",
      "loses its memory",
    ],
  ]),
  ...mutantsOf("workers/egress/request.ts", "tests/federation/dead-peer.test.ts", [
    ["what a server cannot do", "status >= 502 && status", "status >= 500 && status", "is not left alone"],
    ["answers to a trial", "if (passage.isTrial && isSuccess(opened))", "if (false)", "when anything is answered"],
    [
      "failures of others than the outbox",
      "if (requests > 0 && !passage.isAway",
      "if (false && !passage.isAway",
      "never was there",
    ],
  ]),
  ...mutantsOf("workers/egress/deliver.ts", `${unit}/deliver.test.ts`, [
    [
      "what cannot be sent",
      "if (canBeSigned(text)) return text;",
      "if (text !== null) return text;",
      "leaves out what cannot",
    ],
    ["events as large as they may be", " || !hasRoom) return pdu;", ") return pdu;", "how old each event is"],
    ["a day of silence", ", maxRetryAfterMs)", ", Number.MAX_VALUE)", "no more than a day"],
  ]),
];

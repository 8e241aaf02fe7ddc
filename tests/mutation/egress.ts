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
    [
      "routes of servers that never answered",
      "const found = await findRoute(egress, request, deadline.signal);",
      "const found = await findRoute(egress, request, deadline.signal);\n    if (found.news !== null) await egress.actors.server(destination).setRoute(found.news);",
      "is not stored of a server that never answered",
      `${unit}/discovery.test.ts`,
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
  ...mutantsOf("workers/egress/deliver.ts", `${unit}/deliver.test.ts`, [
    [
      "what cannot be sent",
      "if (canBeSigned(text)) return text;",
      "if (text !== null) return text;",
      "leaves out what cannot",
    ],
    ["a day of silence", ", maxRetryAfterMs)", ", Number.MAX_VALUE)", "no more than a day"],
  ]),
];

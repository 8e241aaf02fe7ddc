import { type Mutant, mutantsOf } from "./mutant.ts";

const unit = "tests/unit/matrix";
const resolve = `${unit}/state-res/resolve.test.ts`;
const graphs = `${unit}/state-res/graphs.test.ts`;

/** Server ACLs, state resolution, and what bounds the room's work. */
export const roomMutants: Mutant[] = [
  ...mutantsOf("shared/matrix/server-acl.ts", `${unit}/glob.test.ts`, [
    ["IP literals", "if (!acl.allowsIpLiterals && isIpLiteral(host)) return false;", "", "isServerAllowed"],
    ["the deny list", "if (acl.deny.some((glob) => matchesGlob(glob, host))) return false;", "", "isServerAllowed"],
    ["the allow list", "return acl.allow.some((glob) => matchesGlob(glob, host));", "return true;", "isServerAllowed"],
    ["ports", 'return serverName.replace(/:[0-9]{1,5}$/, "");', "return serverName;", "isServerAllowed"],
    ["upper case in names", "hostOf(serverName).toLowerCase()", "hostOf(serverName)", "isServerAllowed"],
    ["IPv6 literals", 'if (host.startsWith("[")) return true;', "", "isServerAllowed"],
  ]),
  ...mutantsOf("shared/matrix/content/server-acl.ts", `${unit}/glob.test.ts`, [
    ["upper case in patterns", ".map((entry) => entry.toLowerCase())", "", "isServerAllowed"],
    ["entries that are no text", 'value.filter((entry) => typeof entry === "string")', "value", "isServerAllowed"],
    [
      "a missing list",
      "if (!Array.isArray(value)) return [];",
      'if (!Array.isArray(value)) return ["*"];',
      "isServerAllowed",
    ],
  ]),
  ...mutantsOf("shared/matrix/state-res/resolve.ts", resolve, [
    ["conflicts beyond the bound", "if (full.size > maxConflictedEvents)", "if (false)", "more contested events"],
    [
      "power events first",
      "withConflictedAuthChains([...full.values()].filter(isPowerEvent), full)",
      "new Set<EventId>()",
      "version 2\\.1|lets a ban win",
      graphs,
    ],
    [
      "an empty start in version 12",
      'conflict.rules.stateResolution === "v2.1" ? () => null : conflict.unconflicted',
      "conflict.unconflicted",
      "room version 12.*A:",
    ],
    [
      "the conflicted subgraph in version 12",
      "for (const eventIds of [conflict.conflicted, subgraph, conflict.authDifference])",
      "for (const eventIds of [conflict.conflicted, conflict.authDifference])",
      "room version 12.*B:",
    ],
    [
      "the auth difference",
      "for (const eventIds of [conflict.conflicted, subgraph, conflict.authDifference])",
      "for (const eventIds of [conflict.conflicted, subgraph])",
      "by version 2$",
      graphs,
    ],
    [
      "what is not contested",
      "if (conflict.unconflicted(type, stateKey) === null) resolved.set",
      "if (true) resolved.set",
      "keeps what is not contested where",
    ],
    [
      "rejected events in version 1",
      "|| conflict.isRejected(eventId)) continue;",
      ") continue;",
      "by version 1",
      graphs,
    ],
  ]),
  ...mutantsOf("shared/matrix/state-res/iterative-auth-checks.ts", graphs, [
    ["rejected events in states", "|| context.isRejected(event.eventId)) continue;", ") continue;", "by version 2"],
    [
      "rejected auth events in resolution",
      "authEvent === null || context.isRejected(authEvent.eventId) ? null",
      "authEvent === null ? null",
      "by version 2",
    ],
    [
      "what is not allowed",
      "if (authorize(event, context.rules, lookupFor(event, state, context)).allowed)",
      "if (true)",
      "by version 2",
    ],
  ]),
  ...mutantsOf("shared/matrix/state-res/auth-difference.ts", resolve, [
    ["a walk of auth chains", "if (visits >= maxVisits) return null;", "", "gives up at its bound"],
  ]),
  ...mutantsOf("shared/matrix/state-res/conflicted-subgraph.ts", resolve, [
    ["a walk of the subgraph", "if (entered.size >= maxVisits) return null;", "", "gives up at its bound"],
    [
      "an auth graph walked once",
      "if (entered.has(top.eventId)) continue;",
      "if (false) continue;",
      "gives up at its bound",
    ],
  ]),
  ...mutantsOf("actors/room/auth-chains.ts", "tests/actors/room/auth-chains.test.ts", [
    ["the budget of a walk", "return this.#left >= 0;", "return true;", "gives up a walk"],
    [
      "links that are needless",
      "const needed = withoutReachable(tx, targets);",
      "const needed = targets;",
      "writes few rows|who join alike",
    ],
  ]),
  ...mutantsOf("actors/room/admit.ts", "tests/actors/room/send.test.ts", [
    ["what one may send", "if (!decision.allowed) throw errors.forbidden(decision.reason);", "", "refuses whoever"],
    ["content that is not canonical", "assertCanonical(pdu);", "", "not canonical JSON"],
    [
      "ten ends of the graph",
      "const maxOwnPrevEvents = 10;",
      "const maxOwnPrevEvents = 30;",
      "follow ten ends",
      "tests/actors/room/receive-forks.test.ts",
    ],
  ]),
  ...mutantsOf("actors/room/send.ts", "tests/actors/room/send.test.ts", [
    [
      "an ACL that shuts us out",
      "if (isServerAllowed(compileServerAcl(acl), room.config.serverName)) return;",
      "return;",
      "shuts out the server itself",
    ],
  ]),
];

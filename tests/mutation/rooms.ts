import { type Mutant, mutantsOf } from "./mutant.ts";

const unit = "tests/unit/matrix";
const resolve = `${unit}/state-res/resolve.test.ts`;
const forget = "tests/federation/forget.test.ts";
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
    ["events that authorize none of the others", "if (!isOfAnother) chain.delete(eventNid);", "", "same auth chains"],
    [
      "events that authorize one by a link",
      "authPosition.sequence <= (linked.get(authPosition.chain) ?? 0));",
      "false);",
      "same auth chains",
    ],
    [
      "events that stand before one that they authorize",
      "(authPosition.sequence < (reach.get(authPosition.chain) ?? 0) ||",
      "(false ||",
      "same auth chains",
    ],
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
  ...mutantsOf("actors/room/log.ts", forget, [
    [
      "devices that know nothing of the leave",
      "return !isIncremental || (since !== null && since >= streamPosition);",
      "return true;",
      "leaves a device",
    ],
    [
      "forgotten rooms in a first answer",
      "return !isIncremental || (since !== null && since >= streamPosition);",
      "return since !== null && since >= streamPosition;",
      "could not be told",
    ],
    [
      "forgotten rooms in later answers",
      "return !isIncremental || (since !== null && since >= streamPosition);",
      "return !isIncremental;",
      "could not be told",
    ],
    [
      "the history of forgotten rooms",
      "member.isForgotten ? partingSection(request, member) : leftSection",
      "leftSection",
      "leaves a device",
    ],
  ]),
  ...mutantsOf("actors/room/remote-membership.ts", "tests/federation/leave.test.ts", [
    [
      "invites that are forgotten",
      "outside.isForgotten ? isTold || !input.isIncremental : isTold && !input.fullState",
      "isTold && !input.fullState",
      "gone from all devices",
    ],
    [
      "devices that know nothing of a forgotten invite's end",
      "outside.isForgotten ? isTold || !input.isIncremental : isTold && !input.fullState",
      "outside.isForgotten || (isTold && !input.fullState)",
      "gone from all devices",
    ],
  ]),
  ...mutantsOf("actors/user/rooms.ts", forget, [
    [
      "a late wake of a forgotten room",
      "wake.membershipPosition <= forgotten.membershipPosition",
      "false",
      "a wake that",
    ],
    [
      "a late forgetting",
      "if (known !== null && known.membershipPosition > through) return;",
      "",
      "an answer that comes late",
    ],
    [
      "devices that wait while a room is forgotten",
      "will say nothing any more.\n  wakeWaiters(user);",
      "will say nothing any more.",
      "tells waiting devices",
      "tests/actors/user/forgotten-rooms.test.ts",
    ],
  ]),
  ...mutantsOf("actors/user/sync/finish.ts", forget, [
    [
      "rooms that are forgotten while they are asked",
      "for (const { roomNid } of untold) tx.rooms.setForgottenAt(roomNid, next);",
      "",
      "answered meanwhile",
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
  ...mutantsOf("actors/room/upgrade-state.ts", "tests/actors/room/upgrade.test.ts", [
    ["what was redacted before an upgrade", "record.redactedBy === null || ", "true || ", "brings nothing back"],
    ["protection that was redacted", "|| kept.has(record.type)", "", "but for what protects"],
  ]),
];

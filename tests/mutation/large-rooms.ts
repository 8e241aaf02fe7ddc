import { type Mutant, mutantsOf } from "./mutant.ts";

const resumed = "tests/federation/completion-resumed.test.ts";
const large = "tests/federation/missing-large.test.ts";
const crash = "tests/federation/join-crash.test.ts";
const partial = "tests/federation/partial-state.test.ts";

/** What lets large rooms come in pieces, from servers that answer as they like. */
export const largeRoomMutants: Mutant[] = [
  ...mutantsOf("actors/room/complete-state.ts", resumed, [
    [
      "answers of two servers",
      "if (begun !== null && begun.server !== server) tx.partialState.dropFetched();",
      "",
      "mixes nothing",
    ],
    [
      "of whom a state is that is whole",
      "const isOf = partial.begun?.server === input.server;",
      "const isOf = true;",
      "does not take for whole",
    ],
    [
      "one worker at a time",
      "partial.workerId !== null && awaited.get(room) === partial.workerId",
      "partial.workerId === null && awaited.get(room) === partial.workerId",
      "does not begin a second time",
    ],
    ["an answer that was begun", "begun: partial.begun }", "begun: null }", "takes only what was not taken before"],
  ]),
  ...mutantsOf("actors/room/settings.ts", partial, [
    ["members that are not known yet", "(lacksMembers(room.store) ? null : false)", "false", "says of nobody"],
  ]),
  ...mutantsOf("workers/egress/procedures/state-batches.ts", resumed, [
    [
      "an answer in another order",
      "this.#progress.events === begun.events && this.#progress.digest !== begun.digest",
      "false",
      "another order",
    ],
    ["an answer that is shorter", "this.#progress.events < this.#begun.events", "false", "is shorter now"],
  ]),
  ...mutantsOf("workers/egress/procedures/keys-of-answer.ts", resumed, [
    ["keys that are known", "events.filter((event) => !this.#isAnswered(event))", "events", "keys once"],
  ]),
  ...mutantsOf("workers/egress/procedures/fetch-state.ts", large, [
    ["how much of a state is kept", "this.#keptLength + event.pdu.length > maxKeptLength", "false", "by asking again"],
    ["states that are asked for again", "if (lost === 0 || taken === 0) break;", "break;", "by asking again"],
  ]),
  ...mutantsOf("actors/server/seek-missing.ts", large, [
    [
      "a part of a state",
      "if (remaining.length > search.requestsLeft) {",
      "if (false) {",
      "nothing is built on a part",
    ],
  ]),
  ...mutantsOf("actors/room/new-members.ts", resumed, [
    [
      "members of a state that was dropped",
      "tx.memberships.dropTold([...noted.difference(wanted)]);",
      "",
      "mixes nothing",
    ],
  ]),
  ...mutantsOf("actors/room/join-lease.ts", crash, [
    [
      "who is there after a power cut",
      "if (lease.untilTs > now) return null;",
      "if (lease.untilTs > now || (new RemoteJoinStore(room.sql).find()?.leaseTs ?? 0) > now) return null;",
      "keeps nobody waiting",
    ],
  ]),
  ...mutantsOf("actors/room/join-remote.ts", partial, [
    ["joins without members that are switched off", "room.config.partialStateJoins && ", "", "operator has it off"],
  ]),
];

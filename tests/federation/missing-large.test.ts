/** A gap in a large room: the state where it ends is more than anybody holds, and comes piece by piece. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonValue } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { Federation } from "../support/federation.ts";
import { answerHonestly, type HonestAnswers } from "../support/honest-answers.ts";
import { user } from "../support/room-builder.ts";
import { type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";

let federation: Federation;
let room: SharedRoom;
/** The longest and the largest batch that the room was given, and how many. */
let batches: { count: number; events: number; length: number };

const mebibyte = 2 ** 20;
const transaction = 50;

beforeEach(async () => {
  federation = new Federation();
  room = await shareRoom(federation, "12", { power_level_content_override: { users: { "@bob:peer.test": 50 } } });
  batches = { count: 0, events: 0, length: 0 };
  room.server.onArguments = (method, [input]) => {
    if (method !== "receiveOutliers") return;
    const { pdus } = input as { pdus: string[] };
    batches.count += 1;
    batches.events = Math.max(batches.events, pdus.length);
    batches.length = Math.max(batches.length, pdus.join("").length);
  };
});
afterEach(() => federation.close());

/** Joins of as many users, whose events have so many bytes each. */
function join(count: number, bytes: number): MatrixEvent[] {
  const { built } = room;
  const first = built.events.length;
  return Array.from({ length: count }, (_, index) => {
    const name = user(`@user${first + index}:peer.test`);
    return built.member(name, "join", name, { "org.example.about": "x".repeat(bytes) });
  });
}

/** More messages than are fetched one by one. @returns the last */
function widenGap(): MatrixEvent {
  let last = room.built.create;
  for (let index = 0; index < 30; index += 1) last = room.built.message(room.bob, `m${index}`);
  return last;
}

/** Has the peer tell whole states as `tell` says. */
function tellStates(tell: (state: MatrixEvent[], answers: HonestAnswers) => JsonValue | Response | null): void {
  const answers = answerHonestly(room);
  room.peer.on(/\/v1\/state\//, (request) => {
    const event = answers.find(new URL(request.url).searchParams.get("event_id") ?? "");
    return event === null ? null : tell([...answers.stateBefore(event).values()], answers);
  });
}

const joinedHere = (): number =>
  room.server
    .sql("room", room.roomId)
    .one<{ count: number }>("SELECT COUNT(*) AS count FROM room_memberships WHERE membership = 'join'")?.count ?? 0;

const stateAnswers = (): number => federation.exchanges.filter(({ path }) => path.includes("/v1/state/")).length;

describe("a gap behind which the state has more than 16 MiB", () => {
  it("is filled, though nobody holds all of it", async () => {
    const known = join(350, 50_000);
    for (let start = 0; start < known.length; start += transaction) {
      await send(room, { pdus: known.slice(start, start + transaction) });
      await federation.settle();
    }
    join(60, 10_000);
    const last = widenGap();
    answerHonestly(room);
    await send(room, { pdus: [last] });
    await federation.settle();
    expect(statusOf(room, last.eventId)).toBe("accepted");
    expect(joinedHere()).toBe(2 + 350 + 60);
    expect(stateAnswers()).toBe(1);
    expect(batches.count).toBeGreaterThan(4);
    expect(batches.length).toBeLessThan(4.5 * mebibyte);
    expect(batches.events).toBeLessThanOrEqual(500);
  });
});

describe("a gap behind which there is a state of more than is asked for one by one", () => {
  it("is filled by asking again, where more than is kept comes before what authorizes it", async () => {
    // What all of the members are authorized by is not here either.
    room.built.setJoinRule(room.bob, "public");
    join(110, 55_000);
    const last = widenGap();
    tellStates((state, answers) => {
      const backwards = [...state].sort((left, right) => right.depth - left.depth);
      return {
        pdus: backwards.map(({ pdu }) => pdu),
        auth_chain: answers.authChain(state).map(({ pdu }) => pdu),
      };
    });
    await send(room, { pdus: [last] });
    await federation.settle();
    expect(statusOf(room, last.eventId)).toBe("accepted");
    expect(joinedHere()).toBe(2 + 110);
    expect(stateAnswers()).toBe(2);
  });

  it("is filled later where the answer breaks off, and nothing is built on a part of it", async () => {
    join(400, 1_000);
    const last = widenGap();
    let isBroken = true;
    tellStates((state) =>
      isBroken ? new Response(JSON.stringify({ pdus: state.map(({ pdu }) => pdu) }).slice(0, 200_000)) : null,
    );
    await send(room, { pdus: [last] });
    await federation.settle();
    expect(statusOf(room, last.eventId)).toBeNull();
    isBroken = false;
    await federation.advance(120_000);
    expect(statusOf(room, last.eventId)).toBe("accepted");
    expect(joinedHere()).toBe(2 + 400);
  });
});

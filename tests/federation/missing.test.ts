/** Events whose ancestors are not here: what is missing is fetched, and no state is taken on trust. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { objectField } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { Federation } from "../support/federation.ts";
import { answerHonestly } from "../support/honest-answers.ts";
import { user } from "../support/room-builder.ts";
import { eventAt, messagesSeen, type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

const minute = 60_000;

/** A room in which the peer's user may change the state. */
const roomWithPower = (version = "12") =>
  shareRoom(federation, version, {
    name: "Attic",
    // A creator of version 12 has more power than any level.
    power_level_content_override: {
      users: { "@bob:peer.test": 50, ...(version === "12" ? {} : { "@alice:one.test": 100 }) },
    },
  });

function messages({ built, bob }: SharedRoom, count: number, name = "m"): MatrixEvent[] {
  return Array.from({ length: count }, (_, index) => built.message(bob, `${name}${index + 1}`));
}

const asked = ({ peer }: SharedRoom, endpoint: string) =>
  peer.received.filter(({ path }) => path.includes(`/${endpoint}/`));

const waiting = ({ server }: SharedRoom): number =>
  server.sql("server", "peer.test").one<{ count: number }>("SELECT COUNT(*) AS count FROM inbox_events")?.count ?? 0;

async function roomName({ alice, roomId }: SharedRoom): Promise<string> {
  const reply = await alice.get(`v3/rooms/${encodeURIComponent(roomId)}/state/m.room.name`);
  return String(reply.body.name);
}

describe("an event that follows others which are not here", () => {
  it("is taken once they are fetched, and all of them reach users in their order", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const [join] = room.built.heads;
    const sent = messages(room, 3);
    const [, , last] = sent;

    const answer = await send(room, { pdus: [last?.pdu ?? {}] });
    expect(answer.json).toEqual({ pdus: { [last?.eventId ?? ""]: {} } });
    await federation.settle();

    expect(await messagesSeen(room.alice, room.roomId)).toEqual(["m1", "m2", "m3"]);
    expect(asked(room, "get_missing_events")).toEqual([
      expect.objectContaining({
        body: { latest_events: [last?.eventId], earliest_events: [join], limit: 20, min_depth: 1 },
      }),
    ]);
    expect(asked(room, "state_ids")).toEqual([]);
    expect(waiting(room)).toBe(0);
  });

  it("is taken behind a gap that is too wide, on the state that its server tells of the gap's end", async () => {
    const room = await roomWithPower();
    answerHonestly(room);
    messages(room, 10, "a");
    room.built.sendState(room.bob, "m.room.name", { name: "Cellar" });
    const after = messages(room, 30, "b");

    await send(room, { pdus: after.slice(-1) });
    await federation.settle();

    expect(statusOf(room, idOf(after.at(-1)))).toBe("accepted");
    expect(await messagesSeen(room.alice, room.roomId)).toEqual(after.slice(-21).map(bodyOf));
    expect(await roomName(room)).toBe("Cellar");
    expect(asked(room, "state_ids")).toHaveLength(1);
    expect(waiting(room)).toBe(0);
    // And the room goes on from both ends.
    const own = await room.alice.put(`v3/rooms/${encodeURIComponent(room.roomId)}/send/m.room.message/1`, {
      msgtype: "m.text",
      body: "ours",
    });
    expect(eventAt(room, String(own.body.event_id)).prevEvents).toContain(after.at(-1)?.eventId);
  });

  it("gets the events that authorize it with the state of the gap's end", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    messages(room, 10, "a");
    room.built.join(room.bob);
    const after = messages(room, 30, "b");

    await send(room, { pdus: after.slice(-1) });
    await federation.settle();

    expect(statusOf(room, idOf(after.at(-1)))).toBe("accepted");
    expect(asked(room, "state_ids")).toHaveLength(1);
    expect(asked(room, "event_auth")).toEqual([]);
  });

  it("is not placed where its server keeps back what authorizes the gap's end", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const hidden = room.built.join(room.bob);
    room.built.join(room.bob);
    const after = messages(room, 30);
    const refusal = () => new Response("{}", { status: 404 });
    room.peer.on(/\/event_auth\//, refusal);
    room.peer.on(/\/event\//, ({ url }) => (decodeURIComponent(url).endsWith(hidden.eventId) ? refusal() : null));

    await send(room, { pdus: after.slice(-1) });
    await federation.settle();

    expect(statusOf(room, idOf(after.at(-1)))).toBeNull();
    expect(asked(room, "state_ids")).toHaveLength(1);
  });

  describe("in which a server has joined whose keys nobody has", () => {
    const carol = user("@carol:late.test");
    let room: SharedRoom;
    let after: MatrixEvent[];
    let isAway: boolean;

    beforeEach(async () => {
      room = await shareRoom(federation);
      answerHonestly(room);
      new TestPeer(federation, "late.test");
      isAway = true;
      federation.beforeExchange = (_from, to) => {
        if (to === "late.test" && isAway) throw new Error("nobody is there");
      };
      room.built.join(carol);
      after = messages(room, 30);
      await send(room, { pdus: after.slice(-1) });
      await federation.settle();
    });

    it("waits for those keys, so that its users are in the room", async () => {
      expect(statusOf(room, idOf(after.at(-1)))).toBeNull();
      isAway = false;
      await federation.advance(30 * minute);
      const last = room.built.message(carol, "I have come");
      await send(room, { pdus: [last] });
      await federation.settle();
      expect([idOf(after.at(-1)), last.eventId].map((id) => statusOf(room, id))).toEqual(["accepted", "accepted"]);
      expect(waiting(room)).toBe(0);
    });

    it("does not wait for ever", async () => {
      await federation.advance(100 * minute);
      expect(statusOf(room, idOf(after.at(-1)))).toBe("accepted");
      expect(waiting(room)).toBe(0);
    });
  });

  it("may be by a user who joined in the gap", async () => {
    const room = await roomWithPower();
    answerHonestly(room);
    const carol = user("@carol:peer.test");
    room.built.join(carol);
    messages(room, 30);
    const greeting = room.built.message(carol, "hello");
    await send(room, { pdus: [greeting] });
    await federation.settle();
    expect(statusOf(room, greeting.eventId)).toBe("accepted");
    const members = await room.alice.get(`v3/rooms/${encodeURIComponent(room.roomId)}/joined_members`);
    expect(Object.keys(objectField(members.body, "joined") ?? {}).sort()).toEqual([
      "@alice:one.test",
      "@bob:peer.test",
      "@carol:peer.test",
    ]);
  });

  it("is taken in rooms of every version", async () => {
    for (const version of ["1", "2", "3", "6", "8", "10", "11"]) {
      const fresh = new Federation();
      const room = await shareRoom(fresh, version);
      answerHonestly(room);
      const sent = messages(room, 30);
      await send(room, { pdus: sent.slice(-1) });
      await fresh.settle();
      expect(await messagesSeen(room.alice, room.roomId), version).toEqual(sent.slice(-21).map(bodyOf));
      fresh.close();
    }
  });

  it("survives a crash before anything was fetched", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const sent = messages(room, 3);
    federation.beforeExchange = () => {
      throw new Error("cut");
    };
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    room.server.evict();
    expect(waiting(room)).toBe(1);
    federation.beforeExchange = () => undefined;

    await federation.advance(2 * minute);

    expect(await messagesSeen(room.alice, room.roomId)).toEqual(["m1", "m2", "m3"]);
    expect(waiting(room)).toBe(0);
  });

  it("is given up after a few tries, and asked for anew by the next that follows it", async () => {
    const room = await shareRoom(federation);
    const sent = messages(room, 3);
    const answers = () => answerHonestly(room);
    await send(room, { pdus: sent.slice(-1) });
    await federation.advance(180 * minute);
    expect(asked(room, "get_missing_events")).toHaveLength(8);
    expect(waiting(room)).toBe(0);
    expect(room.server.logged.filter(({ message }) => message === "event given up")).toHaveLength(1);

    answers();
    const next = room.built.message(room.bob, "m4");
    await send(room, { pdus: [next] });
    await federation.settle();
    expect(statusOf(room, next.eventId)).toBe("accepted");
  });

  it("is looked for anew as soon as its server sends another that follows it", async () => {
    const room = await shareRoom(federation);
    const sent = messages(room, 3);
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    expect(waiting(room)).toBe(1);

    answerHonestly(room);
    const next = room.built.message(room.bob, "m4");
    await send(room, { pdus: [next] });
    await federation.settle();
    expect(await messagesSeen(room.alice, room.roomId)).toEqual(["m1", "m2", "m3", "m4"]);
    expect(asked(room, "get_missing_events").at(-1)?.body).toMatchObject({ latest_events: [next.eventId] });
    expect(waiting(room)).toBe(0);
  });

  it("brings those after it in the same order, however they arrive", async () => {
    const room = await shareRoom(federation);
    const [first, second, third, fourth] = messages(room, 4);
    await send(room, { pdus: [fourth?.pdu ?? {}] });
    await send(room, { pdus: [third?.pdu ?? {}] });
    await federation.settle();
    expect(await messagesSeen(room.alice, room.roomId)).toEqual([]);
    await send(room, { pdus: [second?.pdu ?? {}, first?.pdu ?? {}] });
    await federation.advance(minute);
    expect(await messagesSeen(room.alice, room.roomId)).toEqual(["m1", "m2", "m3", "m4"]);
    expect(waiting(room)).toBe(0);
  });

  it("waits with 99 others of its room at most", async () => {
    const room = await shareRoom(federation);
    const hidden = messages(room, 1);
    const forks = Array.from({ length: 120 }, (_, index) => {
      const fork = room.built.fork();
      return fork.message(room.bob, `f${index}`);
    });
    expect(hidden).toHaveLength(1);
    const answers = [];
    for (let start = 0; start < 120; start += 40) {
      answers.push(await send(room, { pdus: forks.slice(start, start + 40) }));
    }
    const refused = answers.flatMap(({ body }) => Object.values(objectField(body, "pdus") ?? {}));
    expect(refused).toHaveLength(120);
    expect(refused.filter((result) => JSON.stringify(result) !== "{}")).toHaveLength(20);
    expect(waiting(room)).toBe(100);
  });
});

describe("what a server answers when it is asked for missing events", () => {
  it("counts for nothing where it gives none: the event is not taken on its word", async () => {
    const room = await roomWithPower();
    answerHonestly(room);
    room.peer.on(/get_missing_events/, () => ({ events: [] }));
    messages(room, 1);
    const usurped = room.built.sendState(room.bob, "m.room.name", { name: "Mine" });
    await send(room, { pdus: [usurped] });
    await federation.advance(180 * minute);
    expect(statusOf(room, usurped.eventId)).toBeNull();
    expect(asked(room, "state_ids")).toEqual([]);
    expect(await roomName(room)).toBe("Attic");
  });

  it.each([
    ["nothing but the create event", (state: readonly MatrixEvent[]) => state.slice(0, 1)],
    ["no power levels", (state: readonly MatrixEvent[]) => state.filter(({ type }) => type !== "m.room.power_levels")],
    [
      "none of our members",
      (state: readonly MatrixEvent[]) => state.filter(({ stateKey }) => stateKey !== "@alice:one.test"),
    ],
    ["no state at all", () => []],
  ])("never replaces our state: %s", async (_name, part) => {
    const room = await roomWithPower("11");
    const answers = answerHonestly(room);
    room.peer.on(/\/state_ids\//, (request) => {
      const event = answers.find(new URL(request.url).searchParams.get("event_id") ?? "");
      if (event === null) return null;
      const kept = part([...answers.stateBefore(event).values()]);
      return { pdu_ids: kept.map(({ eventId }) => eventId), auth_chain_ids: [] };
    });
    const before = await room.alice.get(`v3/rooms/${encodeURIComponent(room.roomId)}/state`);
    const sent = messages(room, 30);
    await send(room, { pdus: sent.slice(-1) });
    await federation.advance(180 * minute);
    expect(asked(room, "state_ids").length).toBeGreaterThan(0);

    const after = await room.alice.get(`v3/rooms/${encodeURIComponent(room.roomId)}/state`);
    expect(idsIn(after.json)).toEqual(idsIn(before.json));
    const own = await room.alice.put(`v3/rooms/${encodeURIComponent(room.roomId)}/state/m.room.name`, { name: "Loft" });
    expect(own.status, own.text).toBe(200);
    expect(room.server.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("is no verdict where it tells a state without a beginning: another answer may come", async () => {
    const room = await shareRoom(federation);
    const state = { pdu_ids: [] as string[], auth_chain_ids: [] as string[] };
    answerHonestly(room);
    let isLying = true;
    room.peer.on(/\/state_ids\//, () => (isLying ? state : null));
    const sent = messages(room, 30);
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    expect(asked(room, "state_ids")).toHaveLength(1);
    for (const event of sent.slice(10)) expect(statusOf(room, event.eventId)).toBeNull();
    isLying = false;
    await federation.advance(minute);
    expect(statusOf(room, idOf(sent[29]))).toBe("accepted");
  });

  it.each([
    ["nonsense", () => new Response("<html>", { status: 200 })],
    ["a list of no events", () => ({ events: [1, null, "x", [], {}] })],
    ["no list", () => ({ events: { a: 1 } })],
    ["an error", () => new Response("{}", { status: 500 })],
    ["more than can be read", () => new Response("x".repeat(5_000_000), { status: 200 })],
  ])("may be %s", async (_name, answer) => {
    const room = await shareRoom(federation);
    room.peer.on(/get_missing_events/, answer);
    const sent = messages(room, 2);
    await send(room, { pdus: sent.slice(-1) });
    await federation.advance(180 * minute);
    expect(statusOf(room, idOf(sent[1]))).toBeNull();
    expect(waiting(room)).toBe(0);
    expect(room.server.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("is checked event by event: of 20 with one bad signature, one is dropped", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const sent = messages(room, 21);
    const bad = sent[9];
    const forged = { ...bad?.pdu, signatures: { "peer.test": { "ed25519:test": "x".repeat(86) } } };
    room.peer.on(/get_missing_events/, () => ({
      events: sent.slice(0, 20).map((event) => (event === bad ? forged : event.pdu)),
    }));
    room.peer.on(/\/event\//, () => ({ pdus: [forged] }));
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    const seen = await messagesSeen(room.alice, room.roomId);
    expect(seen.slice(0, 9)).toEqual(sent.slice(0, 9).map(bodyOf));
    expect(seen).not.toContain("m10");
  });

  it("is not asked for by its id again where it is no event of the room's version", async () => {
    const room = await shareRoom(federation);
    const [hidden, last] = messages(room, 2);
    const broken = { ...hidden?.pdu, content: { body: "m1", level: 1.5 } };
    room.peer.on(/\/get_missing_events\//, () => ({ events: [broken] }));
    await send(room, { pdus: [last?.pdu ?? {}] });
    await federation.settle();
    expect(asked(room, "get_missing_events")).toHaveLength(1);
    expect(asked(room, "event")).toEqual([]);
    expect(waiting(room)).toBe(1);
  });

  it("may hold events of other rooms: they are not taken", async () => {
    const room = await shareRoom(federation);
    const other = await room.alice.post("v3/createRoom", { preset: "public_chat" });
    expect(other.status).toBe(200);
    const foreignIds = room.server
      .sql("room", String(other.body.room_id))
      .all<{ json: string }>("SELECT json FROM events")
      .map(({ json }) => JSON.parse(json));
    room.peer.on(/get_missing_events/, () => ({ events: foreignIds }));
    const sent = messages(room, 2);
    const countBefore = count(room);
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    expect(count(room)).toBe(countBefore);
  });

  it("is looked at no further than was asked for (R30)", async () => {
    const room = await shareRoom(federation);
    const sent = messages(room, 60);
    const before = count(room);
    room.peer.on(/get_missing_events/, () => ({ events: sent.slice(0, 59).map((event) => event.pdu) }));
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    expect(count(room) - before).toBe(20);
  });

  it("makes this server ask no more than so often (R30)", async () => {
    const room = await shareRoom(federation);
    const answers = answerHonestly(room);
    const invented = Array.from({ length: 5_000 }, (_, n) => `$${String(n).padStart(43, "x")}`);
    room.peer.on(/\/state_ids\//, () => ({ pdu_ids: invented, auth_chain_ids: invented.toReversed() }));
    room.peer.on(/\/state\//, () => new Response("no", { status: 500 }));
    room.peer.on(/\/event\//, () => null);
    const sent = messages(room, 30);
    expect(answers.find(idOf(sent[0]))).not.toBeNull();
    await send(room, { pdus: sent.slice(-1) });
    await federation.settle();
    const requests = room.peer.received.filter(({ path }) => path.startsWith("/_matrix/federation/"));
    expect(requests.length).toBeLessThanOrEqual(200);
    expect(statusOf(room, idOf(sent[29]))).toBeNull();
  });

  it("makes this server ask no more than so often, in however many places something is missing (R30)", async () => {
    const room = await shareRoom(federation);
    const id = (n: number) => trusted.eventId(`$${String(n).padStart(43, "x")}`);
    const make = (prevEvents: MatrixEvent["eventId"][]) =>
      room.built.make({ sender: room.bob, type: "m.room.message", content: {}, prevEvents });
    const wide = Array.from({ length: 20 }, (_, n) => make([id(n)]));
    const last = make(wide.map(({ eventId }) => eventId));
    room.peer.on(/get_missing_events/, () => ({ events: wide.map(({ pdu }) => pdu) }));
    let states = 0;
    room.peer.on(/\/state_ids\//, () => {
      states += 1;
      return { pdu_ids: Array.from({ length: 45 }, (_, n) => id(1_000 * states + n)), auth_chain_ids: [] };
    });
    room.peer.on(/\/event\//, () => null);
    await send(room, { pdus: [last] });
    await federation.settle();
    const requests = room.peer.received.filter(({ path }) => path.startsWith("/_matrix/federation/"));
    expect(requests.length).toBeGreaterThan(150);
    expect(requests.length).toBeLessThanOrEqual(200);
    expect(statusOf(room, last.eventId)).toBeNull();
  });

  it("does not make this server ask for the states before many events at once", async () => {
    const room = await shareRoom(federation);
    const ids = Array.from({ length: 6 }, (_, n) => trusted.eventId(`$${String(n).padStart(43, "x")}`));
    const wide = room.built.make({ sender: room.bob, type: "m.room.message", content: {}, prevEvents: ids });
    const last = room.built.make({ sender: room.bob, type: "m.room.message", content: {}, prevEvents: [wide.eventId] });
    room.peer.on(/get_missing_events/, () => ({ events: [wide.pdu] }));
    await send(room, { pdus: [last] });
    await federation.settle();
    expect(asked(room, "get_missing_events")).toHaveLength(1);
    expect(asked(room, "state_ids")).toEqual([]);
  });
});

describe("an event of a server that the ACL has shut out since", () => {
  it("is taken where others follow it, but not by itself", async () => {
    const room = await roomWithPower();
    answerHonestly(room);
    new TestPeer(federation, "third.test");
    const carol = user("@carol:third.test");
    const joined = room.built.join(carol);
    await send(room, { pdus: [joined] });
    expect(statusOf(room, joined.eventId)).toBe("accepted");
    const before = room.built.message(carol, "before");
    const after = room.built.message(room.bob, "after");
    const acl = { allow: ["*"], deny: ["third.test"] };
    const path = `v3/rooms/${encodeURIComponent(room.roomId)}/state/m.room.server_acl`;
    expect((await room.alice.put(path, acl)).status).toBe(200);

    await send(room, { pdus: [before] });
    await federation.settle();
    expect(statusOf(room, before.eventId)).toBeNull();
    await send(room, { pdus: [after] });
    await federation.settle();
    expect([statusOf(room, before.eventId), statusOf(room, after.eventId)]).toEqual(["accepted", "accepted"]);
  });
});

describe("an event whose auth events are not here", () => {
  it("is taken once its auth chain is fetched", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const carol = user("@carol:peer.test");
    const ours = room.built.heads;
    const joined = room.built.join(carol);
    const message = room.built.send({
      sender: carol,
      type: "m.room.message",
      content: { msgtype: "m.text", body: "hello" },
      // As if the join were in a fork that this event does not follow.
      prevEvents: ours,
    });
    await send(room, { pdus: [message] });
    await federation.settle();
    expect(asked(room, "event_auth")).toHaveLength(1);
    expect(statusOf(room, joined.eventId)).toBe("outlier");
    // In the state before it, its sender is not in the room.
    expect(statusOf(room, message.eventId)).toBe("rejected");
  });

  it("does not keep those waiting that follow it once it is refused", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const carol = user("@carol:peer.test");
    const ours = room.built.heads;
    room.built.join(carol);
    const content = { msgtype: "m.text", body: "hello" };
    const refused = room.built.send({ sender: carol, type: "m.room.message", content, prevEvents: ours });
    const prevEvents = [refused.eventId];
    const next = room.built.send({ sender: room.bob, type: "m.room.message", content, prevEvents });
    await send(room, { pdus: [refused, next] });
    await federation.settle();
    expect(statusOf(room, refused.eventId)).toBe("rejected");
    expect(statusOf(room, next.eventId)).toBe("accepted");
    expect(asked(room, "event_auth")).toHaveLength(1);
    expect(asked(room, "get_missing_events")).toEqual([]);
  });

  it("of another room, is never taken (R6)", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const other = await room.alice.post("v3/createRoom", { preset: "public_chat" });
    const otherId = String(other.body.room_id);
    const foreign = room.server
      .sql("room", otherId)
      .all<{ event_id: string; json: string }>("SELECT event_id, json FROM events WHERE type = 'm.room.power_levels'");
    const borrowed = foreign.map(({ event_id }) => eventAt({ ...room, roomId: otherId }, event_id).eventId);
    const message = room.built.make({
      sender: room.bob,
      type: "m.room.message",
      content: { body: "x" },
      authEvents: [
        ...room.built.authEventsFor({ type: "m.room.message", sender: room.bob, stateKey: null, content: {} }),
        ...borrowed,
      ],
    });
    room.peer.on(/event_auth|\/event\//, () => ({
      auth_chain: foreign.map(({ json }) => JSON.parse(json)),
      pdus: foreign.map(({ json }) => JSON.parse(json)),
    }));
    await send(room, { pdus: [message] });
    await federation.advance(180 * minute);
    expect(statusOf(room, message.eventId)).toBeNull();
    expect(statusOf(room, borrowed[0] ?? message.eventId)).toBeNull();
  });
});

describe("an event of a server whose keys cannot be had", () => {
  it("waits until they can", async () => {
    const room = await shareRoom(federation);
    answerHonestly(room);
    const dave = user("@dave:third.test");
    const joined = room.built.join(dave);
    await send(room, { pdus: [joined] });
    await federation.settle();
    expect(statusOf(room, joined.eventId)).toBeNull();
    expect(waiting(room)).toBe(1);

    new TestPeer(federation, "third.test");
    await federation.advance(10 * minute);
    expect(statusOf(room, joined.eventId)).toBe("accepted");
  });
});

function idOf(event: MatrixEvent | undefined): MatrixEvent["eventId"] {
  if (event === undefined) throw new Error("there is no such event");
  return event.eventId;
}

const bodyOf = (event: MatrixEvent): string => String(event.content.body);

const idsIn = (state: unknown): string[] =>
  Array.isArray(state) ? state.map((event) => String(event.event_id)).sort() : [];

const count = ({ server, roomId }: SharedRoom): number =>
  server.sql("room", roomId).one<{ count: number }>("SELECT COUNT(*) AS count FROM events")?.count ?? 0;

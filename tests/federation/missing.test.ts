/** Events whose ancestors are not here: what is missing is fetched, and no state is taken on trust. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { objectField } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { Federation } from "../support/federation.ts";
import { answerHonestly } from "../support/honest-answers.ts";
import { asked, bodyOf, idOf, messages, roomName, roomWithPower, waiting } from "../support/missing-events.ts";
import { user } from "../support/room-builder.ts";
import { eventAt, messagesSeen, type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

const minute = 60_000;

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
    const room = await roomWithPower(federation);
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
    const room = await roomWithPower(federation);
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

describe("an event of a server that the ACL has shut out since", () => {
  it("is taken where others follow it, but not by itself", async () => {
    const room = await roomWithPower(federation);
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

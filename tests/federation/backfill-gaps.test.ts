/** Gaps in the past of a room, and what servers give to fill them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fetchKeyRing } from "../../shared/federation-api/key-ring.ts";
import { trusted } from "../../shared/ids.ts";
import { type JsonObject, objectField, withFields } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { Federation } from "../support/federation.ts";
import { answerHonestly, type HonestAnswers } from "../support/honest-answers.ts";
import { bodiesOf, historyPage, listOf, readBack } from "../support/read-history.ts";
import { type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

/** Has the peer answer what it is asked about the room's past. */
function answerBackfill({ peer }: SharedRoom, answers: HonestAnswers, change = (pdus: JsonObject[]) => pdus): void {
  peer.on(/\/backfill\//, (request) => {
    const query = new URL(request.url).searchParams;
    const found: JsonObject[] = [];
    const queue = query.getAll("v");
    const seen = new Set(queue);
    for (let id = queue.shift(); id !== undefined && found.length < Number(query.get("limit")); id = queue.shift()) {
      const event = answers.find(id);
      if (event === null) continue;
      found.push(event.pdu);
      for (const prev of event.prevEvents) if (!seen.has(prev)) queue.push(prev);
      for (const prev of event.prevEvents) seen.add(prev);
    }
    return { origin: peer.name, origin_server_ts: 1, pdus: change(found) };
  });
}

/** A room in which this server missed so much that it has only the newest of it. */
async function roomWithGap(missed: number, between: (room: SharedRoom) => void = () => undefined) {
  const room = await shareRoom(federation);
  const answers = answerHonestly(room);
  await send(room, { pdus: [room.built.message(room.bob, "early 1"), room.built.message(room.bob, "early 2")] });
  for (let index = 1; index <= missed; index += 1) room.built.message(room.bob, `missed ${index}`);
  between(room);
  const after = Array.from({ length: 21 }, (_, index) => room.built.message(room.bob, `late ${index + 1}`));
  await send(room, { pdus: after.slice(-1) });
  await federation.settle();
  return { room, answers };
}

const newestFirst = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${name} ${count - index}`);

describe("a gap", () => {
  it("is filled where it is, when a user reads back to it", async () => {
    const { room, answers } = await roomWithGap(250);
    const { alice: reader, roomId } = room;
    await reader.sync();
    expect(bodiesOf(await readBack(reader, roomId))).toEqual([...newestFirst("late", 21), ...newestFirst("early", 2)]);
    await federation.advance(10 * 60_000);
    answerBackfill(room, answers);

    const here = await readBack(reader, roomId, 30);

    expect(bodiesOf(here)).toEqual([
      ...newestFirst("late", 21),
      ...newestFirst("missed", 250),
      ...newestFirst("early", 2),
    ]);
    expect(here.at(-1)?.type).toBe("m.room.create");
    const rows = room.server.sql("room", roomId).all("SELECT event_id FROM event_backward_extremities");
    expect(rows).toEqual([]);
    expect((await reader.sync()).rooms).toBeUndefined();
    const forward = await historyPage(reader, roomId, "dir=f&limit=400");
    expect(bodiesOf(listOf(forward.body.chunk))).toEqual(bodiesOf(here).reverse());
  });

  it("ends the timeline of those who follow the room, so that they read back into it", async () => {
    const room = await shareRoom(federation);
    const answers = answerHonestly(room);
    answerBackfill(room, answers);
    await send(room, { pdus: [room.built.message(room.bob, "early 1")] });
    await room.alice.sync();
    for (let index = 1; index <= 40; index += 1) room.built.message(room.bob, `missed ${index}`);
    const after = Array.from({ length: 21 }, (_, index) => room.built.message(room.bob, `late ${index + 1}`));
    await send(room, { pdus: after.slice(-1) });
    await federation.settle();
    const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 50 } } }));
    const synced = await room.alice.sync(`&filter=${filter}`);
    const timeline = objectField(
      objectField(objectField(objectField(synced, "rooms") ?? {}, "join") ?? {}, room.roomId) ?? {},
      "timeline",
    );
    expect(timeline?.limited).toBe(true);
    expect(bodiesOf(listOf(timeline?.events))).toEqual(newestFirst("late", 21).reverse());
    const back = await historyPage(room.alice, room.roomId, `dir=b&limit=41&from=${timeline?.prev_batch}`);
    expect(bodiesOf(listOf(back.body.chunk))).toEqual([...newestFirst("missed", 40), "early 1"]);
  });

  it("is read over where nobody has what is missing", async () => {
    const { room } = await roomWithGap(5);
    const here = await readBack(room.alice, room.roomId, 10);
    expect(bodiesOf(here)).toEqual([...newestFirst("late", 21), ...newestFirst("early", 2)]);
  });
});

describe("of what a server gives as the past", () => {
  it("nothing is taken that nothing follows", async () => {
    const stray: MatrixEvent[] = [];
    const { room, answers } = await roomWithGap(5, ({ built, bob: member }) => {
      stray.push(built.fork().message(member, "never sent"));
    });
    answerBackfill(room, answers, (pdus) => [...pdus, ...stray.map((event) => event.pdu)]);
    const here = await readBack(room.alice, room.roomId);
    expect(bodiesOf(here)).toContain("missed 1");
    expect(bodiesOf(here)).not.toContain("never sent");
    expect(statusOf(room, stray[0]?.eventId ?? trusted.eventId(""))).toBeNull();
  });

  it("one bad event does not take the others with it, but for those that follow it", async () => {
    const { room, answers } = await roomWithGap(10);
    const isThird = (pdu: JsonObject) => JSON.stringify(pdu).includes('"missed 3"');
    answerBackfill(room, answers, (pdus) =>
      pdus.map((pdu) => (isThird(pdu) ? withFields(pdu, { signatures: { "peer.test": { "ed25519:x": "AA" } } }) : pdu)),
    );
    const here = bodiesOf(await readBack(room.alice, room.roomId));
    expect(here).not.toContain("missed 3");
    expect(here).toEqual(expect.arrayContaining(["missed 10", "missed 9", "missed 4"]));
    expect(here).toEqual(expect.arrayContaining(newestFirst("early", 2)));
  });

  it("what the rules forbid is rejected, and what stands before it is fetched all the same", async () => {
    const { room, answers } = await roomWithGap(120, ({ built, bob: member }) => {
      // Bob has no power for this.
      built.append(built.make({ sender: member, type: "m.room.name", stateKey: "", content: { name: "Mine" } }));
    });
    answerBackfill(room, answers);
    const here = await readBack(room.alice, room.roomId, 50);
    expect(bodiesOf(here)).toEqual([
      ...newestFirst("late", 21),
      ...newestFirst("missed", 120),
      ...newestFirst("early", 2),
    ]);
    expect(JSON.stringify(here)).not.toContain("Mine");
  });

  it("nothing is shown of what was redacted, though the server has not done so", async () => {
    const { room, answers } = await roomWithGap(3, ({ built, bob: member }) => {
      const secret = built.message(member, "secret");
      built.send({ sender: member, type: "m.room.redaction", content: { redacts: secret.eventId } });
      built.message(member, "after it");
    });
    answerBackfill(room, answers);
    const here = await readBack(room.alice, room.roomId, 100);
    expect(bodiesOf(here)).toContain("after it");
    expect(JSON.stringify(here)).not.toContain("secret");
  });

  it("events are taken that name more than is allowed now", async () => {
    const { room, answers } = await roomWithGap(3, ({ built, bob: member }) => {
      const forks = Array.from({ length: 25 }, (_, index) => built.fork().message(member, `branch ${index}`));
      built.append(
        built.make({
          sender: member,
          type: "m.room.message",
          content: { body: "merged" },
          prevEvents: forks.map((event) => event.eventId),
        }),
      );
      built.message(member, "after it");
    });
    answerBackfill(room, answers);
    const here = bodiesOf(await readBack(room.alice, room.roomId, 100));
    expect(here).toContain("merged");
    expect(here).toContain("branch 24");
    expect(here).toContain("missed 1");
  });
});

describe("the room", () => {
  /** What a server's actor gives a room of its past. */
  async function give(room: SharedRoom, events: readonly MatrixEvent[], after: number | null) {
    const keys = await fetchKeyRing(
      room.server,
      events.map(({ pdu }) => pdu),
    );
    const pdus = events.map(({ pdu }) => JSON.stringify(pdu));
    return await room.server.actors.room(trusted.roomId(room.roomId)).receiveHistory({ after, pdus, keys, states: [] });
  }

  const gapOf = (room: SharedRoom) =>
    room.server
      .sql("room", room.roomId)
      .one<{ event_id: string; after_position: number }>("SELECT * FROM event_backward_extremities");

  it("takes nothing of its past that this server has left meanwhile", async () => {
    const { room } = await roomWithGap(3);
    const gap = gapOf(room);
    const missing = room.built.byId(trusted.eventId(gap?.event_id ?? ""));
    await room.alice.post(`v3/rooms/${encodeURIComponent(room.roomId)}/leave`);
    const [outcome] = await give(room, [missing], gap?.after_position ?? 0);
    expect(outcome).toEqual({ kind: "dropped", eventId: null, reason: "this server is not in the room" });
  });

  it("takes no more into a gap than is free, and says so", async () => {
    const { room } = await roomWithGap(3);
    const gap = gapOf(room);
    const sql = room.server.sql("room", room.roomId);
    // All but one of its places are taken.
    const lowest = Number(gap?.after_position) + 2;
    sql.run(
      "UPDATE events SET stream_position = ? WHERE stream_position = (SELECT MIN(stream_position) FROM events WHERE stream_position > ?)",
      lowest,
      Number(gap?.after_position),
    );
    const missing = [3, 2, 1].map((index) =>
      room.built.events.find(({ content }) => content.body === `missed ${index}`),
    );
    const events = missing.filter((event) => event !== undefined);
    const outcomes = await give(room, events, Number(gap?.after_position));
    const reasons = outcomes.map((outcome) => ("reason" in outcome ? outcome.reason : outcome.kind));
    expect(reasons).toEqual(["missing", "the gap is full", "the gap is full"]);
  });

  it("does not take what is no event, and refuses more than it asked for", async () => {
    const { room } = await roomWithGap(3);
    const input = { after: null, keys: {}, states: [] };
    const { actors } = room.server;
    const pdus = ["1", "[]", "{}"];
    const outcomes = await actors.room(trusted.roomId(room.roomId)).receiveHistory({ ...input, pdus });
    expect(outcomes.map(({ kind }) => kind)).toEqual(["dropped", "dropped", "dropped"]);
    const many = Array.from({ length: 101 }, () => "{}");
    await expect(actors.room(trusted.roomId(room.roomId)).receiveHistory({ ...input, pdus: many })).rejects.toThrow();
  });
});

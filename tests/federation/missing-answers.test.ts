/** What a server answers when it is asked for events that are not here: nothing of it is taken on trust, and it is bounded. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { Federation } from "../support/federation.ts";
import { answerHonestly } from "../support/honest-answers.ts";
import { asked, bodyOf, idOf, messages, roomName, roomWithPower, waiting } from "../support/missing-events.ts";
import { messagesSeen, type SharedRoom, send, shareRoom, statusOf } from "../support/shared-room.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

const minute = 60_000;

describe("what a server answers when it is asked for missing events", () => {
  it("counts for nothing where it gives none: the event is not taken on its word", async () => {
    const room = await roomWithPower(federation);
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
    const room = await roomWithPower(federation, "11");
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

const idsIn = (state: unknown): string[] =>
  Array.isArray(state) ? state.map((event) => String(event.event_id)).sort() : [];

const count = ({ server, roomId }: SharedRoom): number =>
  server.sql("room", roomId).one<{ count: number }>("SELECT COUNT(*) AS count FROM events")?.count ?? 0;

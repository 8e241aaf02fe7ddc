import { describe, expect, it, vi } from "vitest";
import { onRoomAlarm, transactionLifetimeMs } from "../../../actors/room/maintenance.ts";
import { findNoUser } from "../../../actors/room/power-level-users.ts";
import { findCurrentState } from "../../../actors/room/state.ts";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject, JsonValue } from "../../../shared/json.ts";
import { canonicalJson } from "../../../shared/matrix/canonical-json.ts";
import {
  alice,
  bob,
  carol,
  createWorld,
  membership,
  message,
  refusalOf,
  serverName,
  state,
  storedEvents,
  storedPdu,
  type TestRoom,
  type World,
} from "./world.ts";

async function publicRoom(): Promise<{ world: World; room: TestRoom }> {
  const world = createWorld();
  const room = await world.create({ preset: "public_chat" });
  await room.rpc.changeMembership(membership("join", bob));
  await world.settle();
  return { world, room };
}

const dump = (room: TestRoom): string =>
  JSON.stringify(
    [
      "events",
      "room",
      "event_edges",
      "event_forward_extremities",
      "state_keys",
      "current_state_events",
      "transactions",
    ].map((table) => room.sql.all(`SELECT * FROM ${table}`)),
  );

describe("sendMessage", () => {
  it("answers a repeated transaction id with the first event, whatever it carries", async () => {
    const { room } = await publicRoom();
    const first = await room.rpc.sendEvent(message(bob, "one", "t1"));
    const repeat = await room.rpc.sendEvent(message(bob, "another", "t1"));
    expect(repeat).toEqual(first);
    room.evict();
    expect(await room.rpc.sendEvent(message(bob, "after a restart", "t1"))).toEqual(first);
  });

  it("refuses power levels of what is no user", async () => {
    const { room } = await publicRoom();
    const levels = (users: JsonObject) => refusalOf(room.rpc.sendEvent(state(alice, "m.room.power_levels", { users })));
    expect(await levels({ "@a:b c": 5 })).toEqual([400, "M_BAD_JSON"]);
    expect(await levels({ nobody: 5, [bob]: 5 })).toEqual([400, "M_BAD_JSON"]);
    const { rpc } = room;
    await rpc.sendEvent(state(alice, "m.room.power_levels", { users: { [bob]: 5 } }));
    expect(findNoUser({ users: { "@a:b c": 5, "@d:e f": 5 } }, { users: { "@a:b c": 9 } })).toBe("@d:e f");
    expect(findNoUser({ users: { "@a:b c": 5, [bob]: 5 } }, { users: { "@a:b c": 9 } })).toBeNull();
    expect(findNoUser({})).toBeNull();
  });

  it("tells transaction ids of other devices, users and paths apart", async () => {
    const { room } = await publicRoom();
    const { eventId } = await room.rpc.sendEvent(message(bob, "one", "t1"));
    const other = { ...message(bob, "one", "t1"), deviceId: trusted.deviceId("another") };
    const reaction = { ...message(bob, "one", "t1"), type: "m.reaction" };
    const redaction = { ...message(bob, "", "t1"), type: "m.room.redaction", content: {}, redacts: eventId };
    const ids = new Set([eventId]);
    for (const input of [other, message(alice, "one", "t1"), reaction, redaction])
      ids.add((await room.rpc.sendEvent(input)).eventId);
    const [, second = eventId] = ids;
    ids.add((await room.rpc.sendEvent({ ...redaction, redacts: second })).eventId);
    expect(ids.size).toBe(6);
  });

  it("commits a concurrent repeat of a transaction id once", async () => {
    const { room } = await publicRoom();
    const before = storedEvents(room).length;
    const answers = await Promise.all(Array.from({ length: 20 }, () => room.rpc.sendEvent(message(bob, "hi", "t"))));
    expect(new Set(answers.map((answer) => answer.eventId)).size).toBe(1);
    expect(storedEvents(room)).toHaveLength(before + 1);
  });

  it("forgets transaction ids after a day, by alarm", async () => {
    const { world, room } = await publicRoom();
    const { eventId } = await room.rpc.sendEvent(message(bob, "one", "t1"));
    expect(room.alarmAt).not.toBeNull();
    world.clock.advance(transactionLifetimeMs - 1);
    await onRoomAlarm(room.context);
    expect((await room.rpc.sendEvent(message(bob, "one", "t1"))).eventId).toBe(eventId);
    world.clock.advance(60 * 60 * 1000);
    await onRoomAlarm(room.context);
    expect(room.context.store.transactions.oldestTs()).toBeNull();
    expect((await room.rpc.sendEvent(message(bob, "one", "t1"))).eventId).not.toBe(eventId);
  });

  it("refuses whoever is not in the room, the same for a room that does not exist", async () => {
    const { world, room } = await publicRoom();
    expect(await refusalOf(room.rpc.sendEvent(message(carol, "hi")))).toEqual([403, "M_FORBIDDEN"]);
    const nowhere = world.room(trusted.roomId(`!nowhere:${serverName}`));
    expect(await refusalOf(nowhere.rpc.sendEvent(message(carol, "hi")))).toEqual([403, "M_FORBIDDEN"]);
  });

  it("refuses content that is not canonical JSON, and stores nothing", async () => {
    const { room } = await publicRoom();
    const before = dump(room);
    const bad = [1.5, 2 ** 53, "\ud800"];
    for (const value of bad) {
      const input = { ...message(bob, "x", "t"), content: { value } };
      expect(await refusalOf(room.rpc.sendEvent(input))).toEqual([400, "M_BAD_JSON"]);
    }
    let deep: JsonValue = 1;
    for (let depth = 0; depth < 70; depth += 1) deep = [deep];
    const input = { ...message(bob, "x"), content: { deep } };
    expect(await refusalOf(room.rpc.sendEvent(input))).toEqual([400, "M_BAD_JSON"]);
    expect(dump(room)).toBe(before);
  });

  it("takes events of up to 65,536 bytes", async () => {
    const { room } = await publicRoom();
    // Every event of the room but for its body has the same size: the depth must not gain a digit on the way.
    while (storedEvents(room).length < 9) await room.rpc.sendEvent(message(bob, "fill"));
    const { eventId } = await room.rpc.sendEvent(message(bob, ""));
    const overhead = new TextEncoder().encode(canonicalJson(storedPdu(room, eventId))).length;
    const sized = (bytes: number) => message(bob, "x".repeat(bytes - overhead));
    expect(await refusalOf(room.rpc.sendEvent(sized(65_535)))).toBeNull();
    expect(await refusalOf(room.rpc.sendEvent(sized(65_536)))).toBeNull();
    const before = dump(room);
    expect(await refusalOf(room.rpc.sendEvent(sized(65_537)))).toEqual([413, "M_TOO_LARGE"]);
    expect(dump(room)).toBe(before);
  });

  it.each([
    ["type", 254, null],
    ["type", 255, null],
    ["type", 256, [413, "M_TOO_LARGE"]],
    ["state key", 254, null],
    ["state key", 255, null],
    ["state key", 256, [413, "M_TOO_LARGE"]],
  ])("bounds the %s: %i bytes", async (what, bytes, refusal) => {
    const { room } = await publicRoom();
    const text = "é".repeat(Math.floor(bytes / 2)) + "x".repeat(bytes % 2);
    const input = what === "type" ? state(alice, text, {}) : state(alice, "m.x", {}, text);
    expect(await refusalOf(room.rpc.sendEvent(input))).toEqual(refusal);
  });

  it("writes few rows for a message", async () => {
    const { room } = await publicRoom();
    await room.rpc.sendEvent(message(bob, "warm", "t0"));
    const before = room.sql.usage.rowsWritten;
    await room.rpc.sendEvent(message(bob, "hi", "t1"));
    expect(room.sql.usage.rowsWritten - before).toBeLessThanOrEqual(10);
  });

  it("follows the forward extremities and leaves itself as the only one", async () => {
    const { room } = await publicRoom();
    const [before] = room.context.store.extremities.forward(10);
    const { eventId } = await room.rpc.sendEvent(message(bob, "hi"));
    expect(storedPdu(room, eventId)).toMatchObject({ prev_events: [before?.eventId], depth: (before?.depth ?? 0) + 1 });
    expect(room.context.store.extremities.forward(10).map((end) => end.eventId)).toEqual([eventId]);
  });

  it("gives positions densely, in order", async () => {
    const { room } = await publicRoom();
    for (let count = 0; count < 5; count += 1) await room.rpc.sendEvent(message(bob, "hi"));
    const rows = room.sql.all<{ stream_position: number }>("SELECT stream_position FROM events ORDER BY event_nid");
    expect(rows.map((row) => row.stream_position)).toEqual(rows.map((_, index) => index + 1));
    expect(room.context.store.room.get().streamPosition).toBe(rows.length);
  });

  it("stores nothing of an event when storing it fails half-way", async () => {
    const { room } = await publicRoom();
    room.sql.run(
      "CREATE TRIGGER fail BEFORE INSERT ON event_forward_extremities BEGIN SELECT RAISE(ABORT, 'planted'); END",
    );
    const before = dump(room);
    await expect(room.rpc.sendEvent(state(alice, "m.room.name", { name: "lost" }))).rejects.toThrow("planted");
    expect(dump(room)).toBe(before);
    room.sql.run("DROP TRIGGER fail");
    // Nothing of what was undone is remembered: numbers are given out anew and mean what is stored.
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "kept" }));
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "kept" }));
    expect(findCurrentState(room.context.store, "m.room.name", "")?.event.content).toEqual({ name: "kept" });
    expect(findCurrentState(room.context.store, "m.room.topic", "")?.event.content).toEqual({ topic: "kept" });
  });
});

describe("group commit", () => {
  it("stores what arrived during a commit in the next one, each request with an answer of its own", async () => {
    const { world, room } = await publicRoom();
    let commits = 0;
    let release = (): void => undefined;
    world.durable = () => {
      commits += 1;
      return new Promise<void>((resolve) => (release = resolve));
    };
    await room.rpc.sendEvent(message(bob, "first"));
    expect(commits).toBe(1);
    const submitted = vi.spyOn(room.context.memory.commits, "submit");
    const waiting = [
      room.rpc.sendEvent(message(bob, "second")),
      room.rpc.sendEvent(message(carol, "refused")),
      room.rpc.sendEvent(state(alice, "m.room.name", { name: "third" })),
      room.rpc.sendEvent(state(bob, "m.room.name", { name: "refused" })),
      room.rpc.sendEvent(message(alice, "fourth")),
    ];
    const outcomes = Promise.allSettled(waiting);
    // All but Carol's, who is not in the room and is refused before.
    await vi.waitFor(() => expect(submitted).toHaveBeenCalledTimes(waiting.length - 1));
    expect(commits).toBe(1);
    release();
    expect((await outcomes).map((outcome) => outcome.status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(commits).toBe(2);
    release();
    expect(storedEvents(room).slice(-3)).toEqual([
      ["m.room.message", null],
      ["m.room.name", ""],
      ["m.room.message", null],
    ]);
    expect(findCurrentState(room.context.store, "m.room.name", "")?.event.content).toEqual({ name: "third" });
  });

  it("rejects every request of a commit that could not be stored", async () => {
    const { room } = await publicRoom();
    const before = dump(room);
    room.sql.run("CREATE TRIGGER fail BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END");
    const outcomes = await Promise.allSettled([1, 2, 3].map((n) => room.rpc.sendEvent(message(bob, `${n}`))));
    expect(outcomes.every((outcome) => outcome.status === "rejected")).toBe(true);
    room.sql.run("DROP TRIGGER fail");
    expect(dump(room)).toBe(before);
    expect(await refusalOf(room.rpc.sendEvent(message(bob, "works again")))).toBeNull();
  });
});

describe("setRoomStateWithKey", () => {
  it("answers with the present event when the same user sets the same content", async () => {
    const { room } = await publicRoom();
    const first = await room.rpc.sendEvent(state(alice, "m.room.name", { name: "A", extra: [1, 2] }));
    const before = storedEvents(room).length;
    expect(await room.rpc.sendEvent(state(alice, "m.room.name", { extra: [1, 2], name: "A" }))).toEqual(first);
    expect(storedEvents(room)).toHaveLength(before);
    expect(await room.rpc.sendEvent(state(alice, "m.room.name", { name: "B" }))).not.toEqual(first);
  });

  it("refuses whoever lacks the power, and another user's state key", async () => {
    const { room } = await publicRoom();
    expect(await refusalOf(room.rpc.sendEvent(state(bob, "m.room.name", { name: "x" })))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(room.rpc.sendEvent(state(alice, "m.x", {}, bob)))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(room.rpc.sendEvent(state(alice, "m.x", {}, alice)))).toBeNull();
  });

  it("takes for malformed what nobody may send: another create event, a level for a creator", async () => {
    const { room } = await publicRoom();
    const send = (type: string, content: JsonObject) => refusalOf(room.rpc.sendEvent(state(alice, type, content)));
    expect(await send("m.room.create", { room_version: "12" })).toEqual([400, "M_INVALID_PARAM"]);
    expect(await send("m.room.power_levels", { users: { [alice]: 100 } })).toEqual([400, "M_BAD_JSON"]);
    expect(await send("m.room.power_levels", { users: { [bob]: 50 } })).toBeNull();
  });

  it("keeps roots of the state before and after each event", async () => {
    const { room } = await publicRoom();
    const { eventId } = await room.rpc.sendEvent(state(alice, "m.room.name", { name: "A" }));
    const sent = await room.rpc.sendEvent(message(alice, "hi"));
    const { events } = room.context.store;
    const named = events.byId(eventId);
    const said = events.byId(sent.eventId);
    expect(named?.stateRootBefore).not.toBe(named?.stateRootAfter);
    expect(said?.stateRootBefore).toBe(named?.stateRootAfter);
    expect(said?.stateRootAfter).toBe(said?.stateRootBefore);
  });

  it("refuses a server ACL that shuts out the server itself", async () => {
    const { room } = await publicRoom();
    const set = (content: JsonObject) => refusalOf(room.rpc.sendEvent(state(alice, "m.room.server_acl", content)));
    expect(await set({ allow: ["elsewhere.test"] })).toEqual([400, "M_UNKNOWN"]);
    expect(await set({ allow: ["*"], deny: ["*.test"] })).toEqual([400, "M_UNKNOWN"]);
    expect(await set({ allow: ["*"], deny: ["evil.example"] })).toBeNull();
  });

  it("checks that new aliases are valid and point here", async () => {
    const { world, room } = await publicRoom();
    const here = trusted.roomAlias(`#here:${serverName}`);
    world.aliases.set(here, room.roomId);
    world.aliases.set(trusted.roomAlias(`#there:${serverName}`), trusted.roomId("!other"));
    const set = (content: Parameters<typeof state>[2]) =>
      refusalOf(room.rpc.sendEvent(state(alice, "m.room.canonical_alias", content)));
    expect(await set({ alias: `#there:${serverName}` })).toEqual([400, "M_BAD_ALIAS"]);
    expect(await set({ alias: `#nowhere:${serverName}` })).toEqual([400, "M_BAD_ALIAS"]);
    expect(await set({ alias: here, alt_aliases: ["#x:elsewhere.test"] })).toEqual([400, "M_BAD_ALIAS"]);
    expect(await set({ alias: "here" })).toEqual([400, "M_INVALID_PARAM"]);
    expect(await set({ alt_aliases: [5] })).toEqual([400, "M_INVALID_PARAM"]);
    expect(await set({ alt_aliases: "no list" })).toEqual([400, "M_INVALID_PARAM"]);
    expect(await set({ alias: here })).toBeNull();
    // Present aliases are not checked again, not even when they point elsewhere by now.
    world.aliases.delete(here);
    expect(await set({ alt_aliases: [here] })).toBeNull();
    expect(await set({})).toBeNull();
  });
});

describe("redactEvent", () => {
  const redact = (sender: typeof alice, redacts: ReturnType<typeof trusted.eventId>) => ({
    ...message(sender, "", "r"),
    type: "m.room.redaction",
    content: { reason: "spam" },
    redacts,
  });
  const redactedBy = (room: TestRoom, eventId: string) =>
    room.sql.one<{ redacted_by: string | null }>("SELECT redacted_by FROM events WHERE event_id = ?", eventId)
      ?.redacted_by;

  it("lets users redact their own events, and those with the power anybody's", async () => {
    const { room } = await publicRoom();
    const bobs = await room.rpc.sendEvent(message(bob, "mine"));
    const alices = await room.rpc.sendEvent(message(alice, "hers"));
    expect(await refusalOf(room.rpc.sendEvent(redact(bob, alices.eventId)))).toEqual([403, "M_FORBIDDEN"]);
    expect(redactedBy(room, alices.eventId)).toBeNull();
    const own = await room.rpc.sendEvent(redact(bob, bobs.eventId));
    expect(redactedBy(room, bobs.eventId)).toBe(own.eventId);
    const third = await room.rpc.sendEvent(message(bob, "again"));
    const moderated = await room.rpc.sendEvent(redact(alice, third.eventId));
    expect(redactedBy(room, third.eventId)).toBe(moderated.eventId);
    expect(storedPdu(room, moderated.eventId)).toMatchObject({ content: { reason: "spam", redacts: third.eventId } });
  });

  it("refuses to redact what is unknown, the create event and server ACLs", async () => {
    const { room } = await publicRoom();
    const unknown = trusted.eventId("$unknown");
    expect(await refusalOf(room.rpc.sendEvent(redact(bob, unknown)))).toEqual([404, "M_NOT_FOUND"]);
    const create = findCurrentState(room.context.store, "m.room.create", "")?.eventId ?? unknown;
    expect(await refusalOf(room.rpc.sendEvent(redact(alice, create)))).toEqual([403, "M_FORBIDDEN"]);
    const acl = await room.rpc.sendEvent(state(alice, "m.room.server_acl", { allow: ["*"] }));
    expect(await refusalOf(room.rpc.sendEvent(redact(alice, acl.eventId)))).toEqual([403, "M_FORBIDDEN"]);
  });

  it("holds for a redaction sent as any other event", async () => {
    const { room } = await publicRoom();
    const alices = await room.rpc.sendEvent(message(alice, "hers"));
    const asMessage = (sender: typeof alice, redacts: string) => ({
      ...message(sender, ""),
      type: "m.room.redaction",
      content: { redacts },
    });
    expect(await refusalOf(room.rpc.sendEvent(asMessage(bob, alices.eventId)))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(room.rpc.sendEvent(asMessage(alice, "no event id")))).toEqual([400, "M_BAD_JSON"]);
    const sent = await room.rpc.sendEvent(asMessage(alice, alices.eventId));
    expect(redactedBy(room, alices.eventId)).toBe(sent.eventId);
  });

  it("lets redacted state be set again", async () => {
    const { room } = await publicRoom();
    const named = await room.rpc.sendEvent(state(alice, "m.room.name", { name: "A" }));
    await room.rpc.sendEvent(redact(alice, named.eventId));
    const again = await room.rpc.sendEvent(state(alice, "m.room.name", { name: "A" }));
    expect(again.eventId).not.toBe(named.eventId);
  });
});

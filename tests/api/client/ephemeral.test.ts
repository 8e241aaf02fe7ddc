import { describe, expect, it } from "vitest";
import type { TestUser } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, say, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

const start = async (user: TestUser) => String((await user.get("v3/sync")).body.next_batch);

/** What the next sync that has anything says of one room. */
async function next(user: TestUser, roomId: string, since: string) {
  const { body } = await user.get(`v3/sync?since=${since}&timeout=20000`);
  return { room: Object(body.rooms).join?.[roomId] ?? {}, since: String(body.next_batch) };
}

describe("setTyping", () => {
  it("is seen by others until it ends", async () => {
    const [alice, bob] = [await server.user("alice"), await server.user("bob")];
    const roomId = await roomOf(alice, bob);
    const at = path`v3/rooms/${roomId}/typing/${alice.userId}`;
    const since = await start(bob);
    const waiting = next(bob, roomId, since);
    expectOk(await alice.put(at, { typing: true, timeout: 20_000 }), {});
    const seen = await waiting;
    expect(seen.room.ephemeral.events).toContainEqual({ type: "m.typing", content: { user_ids: [alice.userId] } });
    expectOk(await alice.put(at, { typing: false }), {});
    const ended = await next(bob, roomId, seen.since);
    expect(ended.room.ephemeral.events).toContainEqual({ type: "m.typing", content: { user_ids: [] } });
  });

  it("is one's own, in a room that one is in", async () => {
    const [carol, dora] = [await server.user("carol"), await server.user("dora")];
    const roomId = await roomOf(carol);
    const typing = { typing: true, timeout: 1000 };
    expectError(await dora.put(path`v3/rooms/${roomId}/typing/${carol.userId}`, typing), 403, "M_FORBIDDEN");
    expectError(await dora.put(path`v3/rooms/${roomId}/typing/${dora.userId}`, typing), 403, "M_FORBIDDEN");
    const at = path`v3/rooms/${roomId}/typing/${carol.userId}`;
    expectError(await carol.put(at, {}), 400, "M_MISSING_PARAM");
    expectError(await carol.put(at, { typing: "yes" }), 400, "M_BAD_JSON");
    expectError(await carol.put(at, { typing: true, timeout: -1 }), 400, "M_INVALID_PARAM");
  });
});

describe("postReceipt", () => {
  it("is seen by others, when public", async () => {
    const [erin, frank] = [await server.user("erin"), await server.user("frank")];
    const roomId = await roomOf(erin, frank);
    const eventId = await say(erin, roomId, "read me");
    const since = await start(erin);
    expectOk(await frank.post(path`v3/rooms/${roomId}/receipt/m.read/${eventId}`, {}), {});
    const { room } = await next(erin, roomId, since);
    expect(room.ephemeral.events[0].content[eventId]["m.read"][frank.userId]).toMatchObject({ ts: expect.any(Number) });
  });

  it("is seen by oneself only, when private", async () => {
    const [gina, hal] = [await server.user("gina"), await server.user("hal")];
    const roomId = await roomOf(gina, hal);
    const eventId = await say(gina, roomId, "read me");
    const [ofGina, ofHal] = [await start(gina), await start(hal)];
    expectOk(await hal.post(path`v3/rooms/${roomId}/receipt/m.read.private/${eventId}`));
    const { room } = await next(hal, roomId, ofHal);
    expect(room.ephemeral.events[0].content[eventId]["m.read.private"]).toHaveProperty([hal.userId]);
    expect((await gina.get(`v3/sync?since=${ofGina}`)).text).not.toContain("m.read.private");
  });

  it("refuses other kinds, threads that are none, and rooms of others", async () => {
    const [ida, jon] = [await server.user("ida"), await server.user("jon")];
    const roomId = await roomOf(ida);
    const eventId = await say(ida, roomId, "x");
    const post = (kind: string, body: { thread_id?: string | number } = {}) =>
      ida.post(path`v3/rooms/${roomId}/receipt/${kind}/${eventId}`, body);
    expectError(await post("m.unread"), 400, "M_INVALID_PARAM");
    for (const threadId of [1, ""]) expectError(await post("m.read", { thread_id: threadId }), 400, "M_INVALID_PARAM");
    expectError(await post("m.fully_read", { thread_id: "main" }), 400, "M_INVALID_PARAM");
    expectOk(await post("m.read", { thread_id: "main" }));
    expectError(await jon.post(path`v3/rooms/${roomId}/receipt/m.read/${eventId}`, {}), 403, "M_FORBIDDEN");
  });
});

describe("setReadMarker", () => {
  it("moves the fully read marker and the receipts", async () => {
    const kim = await server.user("kim");
    const roomId = await roomOf(kim);
    const eventId = await say(kim, roomId, "here");
    const since = await start(kim);
    const markers = { "m.fully_read": eventId, "m.read": eventId };
    expectOk(await kim.post(path`v3/rooms/${roomId}/read_markers`, markers), {});
    const { room } = await next(kim, roomId, since);
    expect(room.account_data.events).toEqual([{ type: "m.fully_read", content: { event_id: eventId } }]);
    const later = await say(kim, roomId, "there");
    expectOk(await kim.post(path`v3/rooms/${roomId}/receipt/m.fully_read/${later}`, {}));
    expectOk(await kim.get(path`v3/user/${kim.userId}/rooms/${roomId}/account_data/m.fully_read`), { event_id: later });
  });

  it("does not move the fully read marker back", async () => {
    const nora = await server.user("nora");
    const roomId = await roomOf(nora);
    const [first, second] = [await say(nora, roomId, "one"), await say(nora, roomId, "two")];
    const read = path`v3/user/${nora.userId}/rooms/${roomId}/account_data/m.fully_read`;
    expectOk(await nora.post(path`v3/rooms/${roomId}/read_markers`, { "m.fully_read": second }));
    const since = await start(nora);
    // A device that was away says what it has read by now.
    expectOk(await nora.post(path`v3/rooms/${roomId}/read_markers`, { "m.fully_read": first }));
    expectOk(await nora.post(path`v3/rooms/${roomId}/receipt/m.fully_read/${first}`, {}));
    expectOk(await nora.get(read), { event_id: second });
    expect((await nora.get(`v3/sync?since=${since}`)).body.rooms).toBeUndefined();
  });

  it("takes only events of the room", async () => {
    const leo = await server.user("leo");
    const [roomId, elsewhere] = [await roomOf(leo), await roomOf(leo)];
    const foreign = await say(leo, elsewhere, "foreign");
    expectError(await leo.post(path`v3/rooms/${roomId}/read_markers`, { "m.fully_read": foreign }), 404, "M_NOT_FOUND");
    expectError(
      await leo.post(path`v3/rooms/${roomId}/read_markers`, { "m.read": "nonsense" }),
      400,
      "M_INVALID_PARAM",
    );
    expectError(await leo.post(path`v3/rooms/${roomId}/read_markers`, { "m.read": 5 }), 400, "M_BAD_JSON");
    expectOk(await leo.post(path`v3/rooms/${roomId}/read_markers`, {}), {});
  });
});

/** The past of a room that this server joined, or was away from: fetched where a user reads back to it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { bodiesOf, historyPage, listOf, readBack } from "../support/read-history.ts";

let federation: Federation;
let one: FederatedServer;
let two: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;

beforeEach(async () => {
  federation = new Federation();
  one = federation.server("one.test");
  two = federation.server("two.test");
  alice = await one.user("alice");
  bob = await two.user("bob");
});
afterEach(() => federation.close());

const encoded = encodeURIComponent;

async function createRoom(body: JsonObject = {}): Promise<string> {
  const reply = await alice.post("v3/createRoom", { preset: "public_chat", ...body });
  expect(reply.status, reply.text).toBe(200);
  return String(reply.body.room_id);
}

let messages = 0;

async function say(person: FederatedUser, roomId: string, body: string): Promise<string> {
  messages += 1;
  const path = `v3/rooms/${encoded(roomId)}/send/m.room.message/m${messages}`;
  const reply = await person.put(path, { msgtype: "m.text", body });
  expect(reply.status, reply.text).toBe(200);
  return String(reply.body.event_id);
}

async function join(person: FederatedUser, roomId: string, via = "one.test"): Promise<void> {
  const reply = await person.post(`v3/join/${encoded(roomId)}?via=${via}`);
  expect(reply.status, reply.text).toBe(200);
  await federation.settle();
}

const asked = (part: string): number => federation.exchanges.filter((exchange) => exchange.path.includes(part)).length;

describe("reading back to before this server joined", () => {
  it.each(["1", "6", "10", "12"])("gives the whole past, to the beginning, in room version %s", async (version) => {
    const roomId = await createRoom({ room_version: version, name: "Attic" });
    for (let index = 0; index < 30; index += 1) await say(alice, roomId, `message ${index}`);
    await join(bob, roomId);
    const there = await readBack(alice, roomId);

    const here = await readBack(bob, roomId);

    expect(bodiesOf(here)).toEqual(Array.from({ length: 30 }, (_, index) => `message ${29 - index}`));
    expect(here.map((event) => event.event_id)).toEqual(there.map((event) => event.event_id));
    expect(here.at(-1)?.type).toBe("m.room.create");
    const before = federation.exchanges.length;
    expect(await readBack(bob, roomId)).toEqual(here);
    expect(federation.exchanges.length).toBe(before);
  });

  it("reaches 500 old messages", async () => {
    const roomId = await createRoom();
    for (let index = 0; index < 500; index += 1) await say(alice, roomId, `message ${index}`);
    await join(bob, roomId);
    const here = await readBack(bob, roomId, 50);
    expect(bodiesOf(here)).toEqual(Array.from({ length: 500 }, (_, index) => `message ${499 - index}`));
    expect(asked("/backfill/")).toBeLessThan(10);
  }, 60_000);
});

/** What a server has of a room's current state. */
function stateOf(server: FederatedServer, roomId: string): string[] {
  return server
    .sql("room", roomId)
    .all<{ line: string }>(
      `SELECT type || '|' || state_key || ' = ' || event_id AS line FROM current_state_events
       JOIN events USING (event_nid) ORDER BY line`,
    )
    .map(({ line }) => line);
}

describe("what was fetched of the past", () => {
  it("changes nothing of the present", async () => {
    const roomId = await createRoom({ topic: "first" });
    const topic = (content: JsonObject) => alice.put(`v3/rooms/${encoded(roomId)}/state/m.room.topic`, content);
    for (let index = 0; index < 5; index += 1) expect((await topic({ topic: `topic ${index}` })).status).toBe(200);
    await join(bob, roomId);
    await bob.sync();
    const state = stateOf(two, roomId);
    const ends = two.sql("room", roomId).all("SELECT event_nid FROM event_forward_extremities");
    const position = () =>
      two.sql("room", roomId).one<{ position: number }>("SELECT stream_position AS position FROM room")?.position;
    const before = position();

    await readBack(bob, roomId);

    expect(stateOf(two, roomId)).toEqual(state);
    expect(two.sql("room", roomId).all("SELECT event_nid FROM event_forward_extremities")).toEqual(ends);
    expect(position()).toBe(before);
    expect((await bob.sync()).rooms).toBeUndefined();
  });

  it("is without what was redacted, also where the redaction came first", async () => {
    const roomId = await createRoom();
    const secret = await say(alice, roomId, "secret");
    const later = await say(alice, roomId, "told later");
    await alice.put(`v3/rooms/${encoded(roomId)}/redact/${encoded(secret)}/r1`, {});
    await join(bob, roomId);
    const redaction = await alice.put(`v3/rooms/${encoded(roomId)}/redact/${encoded(later)}/r2`, {});
    expect(redaction.status).toBe(200);
    await federation.settle();
    await federation.advance(20_000);
    const here = await readBack(bob, roomId);
    expect(JSON.stringify(here)).not.toContain("secret");
    expect(JSON.stringify(here)).not.toContain("told later");
    expect(here.map((event) => event.event_id)).toContain(secret);
  });

  it("is nothing that the user may not see", async () => {
    const roomId = await createRoom({
      initial_state: [{ type: "m.room.history_visibility", state_key: "", content: { history_visibility: "joined" } }],
    });
    await say(alice, roomId, "among us");
    await join(bob, roomId);
    await say(alice, roomId, "among all");
    await federation.settle();
    const here = await readBack(bob, roomId);
    expect(JSON.stringify(here)).not.toContain("among us");
    // The other server keeps it to itself, too.
    const rows = two.sql("room", roomId).all<{ json: string }>("SELECT json FROM events");
    expect(JSON.stringify(rows)).not.toContain("among us");
  });
});

describe("when the other server", () => {
  it("is away, the user is given what is here, and the server is left in peace", async () => {
    const roomId = await createRoom();
    await say(alice, roomId, "before");
    await join(bob, roomId);
    one.isUp = false;
    const first = await historyPage(bob, roomId, "dir=b&limit=50");
    expect(first.status).toBe(200);
    expect(listOf(first.body.chunk).length).toBeGreaterThan(0);
    const requests = asked("/backfill/");
    await historyPage(bob, roomId, "dir=b&limit=50");
    expect(asked("/backfill/")).toBe(requests);
    one.isUp = true;
    await federation.advance(10 * 60_000);
    expect(bodiesOf(await readBack(bob, roomId))).toEqual(["before"]);
  });

  it("takes too long, the user is not kept waiting, and is given it the next time", async () => {
    const roomId = await createRoom();
    await say(alice, roomId, "before");
    await join(bob, roomId);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    federation.beforeExchange = (_from, _to, path) => (path.includes("/backfill/") ? held : undefined);
    federation.pause = async () => undefined;
    const first = await historyPage(bob, roomId, "dir=b&limit=50");
    expect(bodiesOf(listOf(first.body.chunk))).toEqual([]);
    expect(first.body.end).toBeDefined();
    release();
    await federation.settle();
    federation.pause = () => new Promise(() => undefined);
    expect(bodiesOf(await readBack(bob, roomId))).toEqual(["before"]);
  });
});

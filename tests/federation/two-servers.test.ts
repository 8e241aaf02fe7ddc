/** Two servers of ours in one room: what one user does, the other sees. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { messagesSeen } from "../support/shared-room.ts";
import { wrapActors } from "../support/wrap-actors.ts";

let federation: Federation;
let alice: FederatedUser;
let bob: FederatedUser;
let roomId: string;

const minute = 60_000;

beforeEach(async () => {
  federation = new Federation();
  alice = await federation.server("one.test").user("alice");
  bob = await federation.server("two.test").user("bob");
  const levels = { users: { [bob.userId]: 50 } };
  const created = await alice.post("v3/createRoom", { preset: "public_chat", power_level_content_override: levels });
  roomId = String(created.body.room_id);
  const joined = await bob.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`);
  expect(joined.status, joined.text).toBe(200);
  await federation.settle();
});
afterEach(() => federation.close());

let transactions = 0;

async function say(person: FederatedUser, text: string): Promise<void> {
  transactions += 1;
  const path = `v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/t${transactions}`;
  const reply = await person.put(path, { msgtype: "m.text", body: text });
  expect(reply.status, reply.text).toBe(200);
}

async function set(person: FederatedUser, type: string, content: JsonObject): Promise<void> {
  const reply = await person.put(`v3/rooms/${encodeURIComponent(roomId)}/state/${type}`, content);
  expect(reply.status, reply.text).toBe(200);
}

/** `type|state_key = event id` of the current state. */
function stateOf(server: FederatedServer): string[] {
  return server
    .sql("room", roomId)
    .all<{ line: string }>(
      `SELECT e.type || '|' || e.state_key || ' = ' || e.event_id AS line
       FROM current_state_events JOIN events e USING (event_nid) ORDER BY line`,
    )
    .map(({ line }) => line);
}

const states = (): string[][] => [...federation.servers.values()].map(stateOf);

describe("what happens in a room while a user joins it", () => {
  it("is taken once they are in", async () => {
    const carol = await federation.server("three.test").user("carol");
    let reach: () => void = () => undefined;
    let release: () => void = () => undefined;
    const reached = new Promise<void>((resolve) => {
      reach = resolve;
    });
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const restore = wrapActors(carol.server, async (_kind, method) => {
      if (method !== "takeJoinState") return;
      reach();
      await held;
    });
    const joining = carol.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`);
    await reached;
    await say(alice, "are you there?");
    const waiting = () => carol.server.sql("server", "one.test").all("SELECT event_id FROM inbox_events").length;
    for (let turn = 0; turn < 1_000 && waiting() === 0; turn += 1) await new Promise(setImmediate);
    expect(waiting()).toBe(1);
    restore();
    release();
    expect((await joining).status).toBe(200);
    await federation.advance(minute);
    expect(await messagesSeen(carol, roomId)).toEqual(["are you there?"]);
    expect(waiting()).toBe(0);
  });
});

describe("two servers in a room", () => {
  it("give their users the same messages, each once", async () => {
    for (let n = 0; n < 20; n += 1) {
      await say(alice, `a${n}`);
      await say(bob, `b${n}`);
    }
    await federation.settle();
    await federation.advance(minute);
    const [here, there] = [await messagesSeen(alice, roomId), await messagesSeen(bob, roomId)];
    expect(here.toSorted()).toEqual(there.toSorted());
    expect(new Set(here).size).toBe(40);
    expect(here.filter((text) => text.startsWith("b"))).toEqual(Array.from({ length: 20 }, (_, n) => `b${n}`));
    expect(there.filter((text) => text.startsWith("a"))).toEqual(Array.from({ length: 20 }, (_, n) => `a${n}`));
  });

  it("come to the same state after they could not reach each other", async () => {
    federation.beforeExchange = () => {
      throw new Error("cut");
    };
    for (let n = 0; n < 3; n += 1) {
      await set(alice, "m.room.name", { name: `alice ${n}` });
      await set(bob, "m.room.topic", { topic: `bob ${n}` });
      await set(bob, "m.room.name", { name: `bob ${n}` });
      await federation.advance(minute);
    }
    const [apart, other] = states();
    expect(apart).not.toEqual(other);
    federation.beforeExchange = () => undefined;
    await federation.advance(120 * minute);
    await say(alice, "together");
    await say(bob, "again");
    await federation.advance(minute);
    const [here, there] = states();
    expect(here).toEqual(there);
    expect(await messagesSeen(bob, roomId)).toContain("together");
  });

  it("show who types and who has read", async () => {
    await say(alice, "hello");
    await federation.settle();
    await bob.sync();
    await alice.sync();
    const room = encodeURIComponent(roomId);
    await bob.put(`v3/rooms/${room}/typing/${encodeURIComponent(bob.userId)}`, { typing: true, timeout: 30_000 });
    await federation.advance(1_000);
    expect(JSON.stringify(await alice.sync())).toContain(`{"user_ids":["${bob.userId}"]}`);
    const messages = await bob.get(`v3/rooms/${room}/messages?dir=b&limit=1`);
    const [last] = Array.isArray(messages.body.chunk) ? messages.body.chunk : [];
    const eventId = JSON.parse(JSON.stringify(last)).event_id;
    const read = await bob.post(`v3/rooms/${room}/receipt/m.read/${encodeURIComponent(eventId)}`);
    expect(read.status, read.text).toBe(200);
    await federation.advance(1_000);
    const synced = JSON.stringify(await alice.sync());
    expect(synced).toContain("m.receipt");
    expect(synced).toContain(bob.userId);
  });
});

/** Rooms in which something is wrong (R35): a user's `/sync` goes on with all the others. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { InvitingPeer } from "../support/inviting-peer.ts";

let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let good: string;

beforeEach(async () => {
  federation = new Federation();
  one = federation.server("one.test");
  alice = await one.user("alice");
  good = String((await alice.post("v3/createRoom", { name: "Good" })).body.room_id);
});
afterEach(() => federation.close());

const member = { type: "m.room.member", state_key: "@mallory:peer.test", sender: "@mallory:peer.test" };
const name = { type: "m.room.name", state_key: "", sender: "@mallory:peer.test", content: { name: "x" } };

/** What may stand where a list of stripped state belongs. */
const shapes: readonly JsonValue[] = [
  ...[null, true, 0, "", "x", {}, { state: [] }, [], [null], [1], ["x"], [[]], [[[]]], [{}], [true]],
  ...[
    { type: 1 },
    { type: null },
    { type: {} },
    { type: [] },
    { state_key: 1 },
    { state_key: null },
    { sender: 1 },
  ].map((change) => [{ ...name, ...change }]),
  ...[null, 1, "x", [], true, { name: 1 }, { name: {} }, { name: [] }, { name: null }].map((content) => [
    { ...name, content },
  ]),
  ...["__proto__", "constructor", "toString"].map((type) => [
    { ...name, type },
    { ...name, state_key: type },
  ]),
  ...[{ membership: 1 }, { membership: "x" }, { displayname: {} }, { avatar_url: [] }].map((content) => [
    { ...member, content },
  ]),
  [{ ...name, unsigned: [] }],
  [{ ...name, content: {} }, "x", null, name],
  [{ ...name, sender: "not a user" }],
  [{ ...name, state_key: "x".repeat(10_000) }],
  Array.from({ length: 10_000 }, () => name),
  [{ ...name, content: { name: "x".repeat(200_000) } }],
];

async function joinedRooms(): Promise<string[]> {
  const reply = await alice.get("v3/sync?timeout=0");
  expect(reply.status, reply.text).toBe(200);
  return Object.keys(objectField(objectField(reply.body, "rooms") ?? {}, "join") ?? {});
}

async function invites(): Promise<JsonObject> {
  const { body } = await alice.get("v3/sync?timeout=0");
  return objectField(objectField(body, "rooms") ?? {}, "invite") ?? {};
}

describe("state of odd shapes that comes with an invite", () => {
  it("leaves the sync of everything else whole, as is what is shown of it", async () => {
    expect(shapes.length).toBeGreaterThan(40);
    for (const shape of shapes) {
      const inviting = new InvitingPeer(federation, one, { version: "10" });
      const answer = await inviting.send(inviting.invite(alice.userId), { state: shape });
      expect([200, 400], answer.text).toContain(answer.status);
      expect(await joinedRooms()).toEqual([good]);
      for (const room of Object.values(await invites())) {
        const events = isObject(room) ? objectField(room, "invite_state")?.events : null;
        for (const event of Array.isArray(events) ? events : []) {
          const { type, state_key, sender, content } = isObject(event) ? event : {};
          const kinds = [type, state_key, sender].map((value) => typeof value);
          expect([...kinds, isObject(content ?? null)]).toEqual(["string", "string", "string", true]);
        }
      }
    }
  }, 60_000);
});

describe("a room whose database holds what it should not", () => {
  const damages: readonly [what: string, sql: string][] = [
    ["an event that is no JSON", "UPDATE events SET json = '{'"],
    ["an event that is something else", "UPDATE events SET json = '[]'"],
    ["an event without content", `UPDATE events SET json = '{"type":"m.room.name"}'`],
    ["a version that nobody knows", "UPDATE room SET room_version = '99'"],
    ["no state", "DELETE FROM state_nodes"],
    ["no events", "DELETE FROM events"],
  ];

  it.each(damages)("%s: is left out, and all others are there", async (_what, damage) => {
    const bad = String((await alice.post("v3/createRoom", { name: "Bad" })).body.room_id);
    expect((await joinedRooms()).sort()).toEqual([good, bad].sort());
    one.sql("room", bad).run("PRAGMA foreign_keys = OFF");
    one.sql("room", bad).run(damage);
    one.evict("room", bad);
    expect(await joinedRooms()).toEqual([good]);
    expect(one.logged.filter(({ level }) => level === "error").map(({ message }) => message)).toContain(
      "room left out of sync",
    );
    // And what comes next in the good one is told to who goes on from there.
    const { body } = await alice.get("v3/sync?timeout=0");
    await alice.put(`v3/rooms/${encodeURIComponent(good)}/send/m.room.message/1`, { body: "news" });
    const next = await alice.get(`v3/sync?timeout=0&since=${String(body.next_batch)}`);
    expect(next.text).toContain("news");
  });
});

/** A server that joins while others are apart: what comes of the forks from before its time. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FederatedUser, Federation } from "../support/federation.ts";
import { bodiesOf, readBack } from "../support/read-history.ts";

let federation: Federation;

beforeEach(() => {
  federation = new Federation();
});
afterEach(() => federation.close());

const minute = 60_000;
let transactions = 0;

async function say(person: FederatedUser, roomId: string, body: string): Promise<void> {
  transactions += 1;
  const path = `v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/t${transactions}`;
  const reply = await person.put(path, { msgtype: "m.text", body });
  expect(reply.status, reply.text).toBe(200);
}

describe("an event that follows a fork from before this server came", () => {
  it("is taken, though the fork is less deep than all that is here", async () => {
    const alice = await federation.server("one.test").user("alice");
    const bob = await federation.server("two.test").user("bob");
    const carol = await federation.server("three.test").user("carol");
    const created = await alice.post("v3/createRoom", { preset: "public_chat" });
    const roomId = String(created.body.room_id);
    const join = (person: FederatedUser) => person.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`);
    expect((await join(bob)).status).toBe(200);
    await federation.settle();

    // Bob's server is cut off; its word reaches Alice's after Carol's has joined, and never Carol's.
    federation.beforeExchange = (from, to) => {
      if (from === "two.test" || to === "two.test") throw new Error("cut");
    };
    await say(bob, roomId, "from the fork");
    for (let n = 0; n < 5; n += 1) await say(alice, roomId, `a${n}`);
    expect((await join(carol)).status).toBe(200);
    federation.beforeExchange = (from, to) => {
      if (from === "two.test" && to === "three.test") throw new Error("cut");
    };
    await federation.advance(120 * minute);
    await say(alice, roomId, "after both");
    await federation.settle();

    expect(bodiesOf(await readBack(carol, roomId))).toContain("after both");
    const waiting = carol.server.sql("server", "one.test").all("SELECT event_id FROM inbox_events");
    expect(waiting).toEqual([]);
  });

  it("puts a server's last user out, though by then that server is not in the room any more", async () => {
    const alice = await federation.server("one.test").user("alice");
    const bob = await federation.server("two.test").user("bob");
    const carol = await federation.server("three.test").user("carol");
    const created = await alice.post("v3/createRoom", { preset: "public_chat" });
    const roomId = String(created.body.room_id);
    const join = (person: FederatedUser) => person.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`);
    expect((await join(bob)).status).toBe(200);
    await federation.settle();

    federation.beforeExchange = (from, to) => {
      if (from === "two.test" || to === "two.test") throw new Error("cut");
    };
    await say(bob, roomId, "from the fork");
    for (let n = 0; n < 5; n += 1) await say(alice, roomId, `a${n}`);
    expect((await join(carol)).status).toBe(200);
    // Carol's server is away while Bob's word arrives at Alice's.
    federation.beforeExchange = (_from, to) => {
      if (to === "three.test") throw new Error("cut");
    };
    await federation.advance(120 * minute);
    const kicked = await alice.post(`v3/rooms/${encodeURIComponent(roomId)}/kick`, { user_id: carol.userId });
    expect(kicked.status, kicked.text).toBe(200);
    await federation.settle();
    federation.beforeExchange = (from, to) => {
      if (from === "two.test" && to === "three.test") throw new Error("cut");
    };
    await federation.advance(24 * 60 * minute);

    const state = await carol.get(`v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${carol.userId}`);
    expect(state.body.membership, state.text).toBe("leave");
  });
});

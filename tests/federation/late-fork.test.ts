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

const join = (person: FederatedUser, roomId: string) =>
  person.post(`v3/join/${encodeURIComponent(roomId)}?via=one.test`);

/** Cuts what one server asks of another. */
function cut(isCut: (from: string, to: string) => boolean): void {
  federation.beforeExchange = (from, to) => {
    if (isCut(from, to)) throw new Error("cut");
  };
}

/** Alice's room. Bob's server is cut off, and has said something there, when Carol's joins. */
async function joinBesideFork(): Promise<{ alice: FederatedUser; carol: FederatedUser; roomId: string }> {
  const alice = await federation.server("one.test").user("alice");
  const bob = await federation.server("two.test").user("bob");
  const carol = await federation.server("three.test").user("carol");
  const created = await alice.post("v3/createRoom", { preset: "public_chat" });
  const roomId = String(created.body.room_id);
  expect((await join(bob, roomId)).status).toBe(200);
  await federation.settle();
  cut((from, to) => from === "two.test" || to === "two.test");
  await say(bob, roomId, "from the fork");
  for (let n = 0; n < 5; n += 1) await say(alice, roomId, `a${n}`);
  expect((await join(carol, roomId)).status).toBe(200);
  return { alice, carol, roomId };
}

describe("an event that follows a fork from before this server came", () => {
  it("is taken, though the fork is less deep than all that is here", async () => {
    const { alice, carol, roomId } = await joinBesideFork();
    // Bob's word reaches Alice's server now, and never Carol's.
    cut((from, to) => from === "two.test" && to === "three.test");
    await federation.advance(120 * minute);
    await say(alice, roomId, "after both");
    await federation.settle();

    expect(bodiesOf(await readBack(carol, roomId))).toContain("after both");
    const waiting = carol.server.sql("server", "one.test").all("SELECT event_id FROM inbox_events");
    expect(waiting).toEqual([]);
  });

  it("puts a server's last user out, though by then that server is not in the room any more", async () => {
    const { alice, carol, roomId } = await joinBesideFork();
    // Carol's server is away while Bob's word arrives at Alice's.
    cut((_from, to) => to === "three.test");
    await federation.advance(120 * minute);
    const kicked = await alice.post(`v3/rooms/${encodeURIComponent(roomId)}/kick`, { user_id: carol.userId });
    expect(kicked.status, kicked.text).toBe(200);
    await federation.settle();
    cut((from, to) => from === "two.test" && to === "three.test");
    await federation.advance(24 * 60 * minute);

    const state = await carol.get(`v3/rooms/${encodeURIComponent(roomId)}/state/m.room.member/${carol.userId}`);
    expect(state.body.membership, state.text).toBe("leave");
  });
});

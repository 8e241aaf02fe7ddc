/** A server that is put out of a room by what nobody sends it: who let it in tells it. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";

const minute = 60_000;

describe("a server that is put out of a room by a fork that it was not sent", () => {
  let federation: Federation;
  let alice: FederatedUser;
  let bob: FederatedUser;
  let carol: FederatedUser;
  let dave: FederatedUser;
  let roomId: string;

  /** Alice's room, with Carol of three.test and Dave of four.test. */
  beforeEach(async () => {
    federation = new Federation();
    alice = await federation.server("one.test").user("alice");
    bob = await federation.server("two.test").user("bob");
    carol = await federation.server("three.test").user("carol");
    dave = await federation.server("four.test").user("dave");
    roomId = String((await alice.post("v3/createRoom", { preset: "public_chat" })).body.room_id);
    for (const person of [carol, dave]) await join(person, "one.test");
    // What is set from now on is newer.
    federation.tick(minute);
  });
  afterEach(() => federation.close());

  const path = () => `v3/rooms/${encodeURIComponent(roomId)}`;

  async function did(reply: Promise<FederatedReply>): Promise<FederatedReply> {
    const { status, text } = await reply;
    expect(status, text).toBe(200);
    await federation.settle();
    return await reply;
  }

  const join = (person: FederatedUser, via: string) =>
    did(person.post(`v3/join/${encodeURIComponent(roomId)}?via=${via}`));

  /** @returns the event's id */
  async function setState(person: FederatedUser, type: string, content: Record<string, string>): Promise<string> {
    return String((await did(person.put(`${path()}/state/${type}/`, content))).body.event_id);
  }

  /** Alice's server on one side, the others' on the other; Bob's and Alice's reach each other, but have no reason to. */
  function part(): void {
    federation.beforeExchange = (from, to) => {
      const ends = [from, to];
      if (ends.includes("one.test") && !ends.includes("two.test")) throw new Error("cut");
    };
  }

  async function heal(): Promise<void> {
    federation.beforeExchange = () => undefined;
    await federation.advance(24 * 60 * minute);
  }

  /** The membership that a server takes a user to have; undefined: none. */
  const memberAt = (server: FederatedServer, { userId }: FederatedUser): string | undefined =>
    server.sql("room", roomId).one<{ membership: string }>(
      `SELECT json ->> '$.content.membership' AS membership FROM current_state_events JOIN events USING (event_nid)
       WHERE type = 'm.room.member' AND state_key = ?`,
      userId,
    )?.membership;

  const placesOf = (person: FederatedUser): unknown[] =>
    [alice, bob, carol].map(({ server }) => memberAt(server, person));

  /** How many events of a user a server has sent to another. */
  function sent(from: string, to: string, { userId }: FederatedUser): number {
    const sends = federation.exchanges.filter(
      (exchange) => exchange.from === from && exchange.to === to && exchange.path.includes("/send/"),
    );
    return sends.reduce((count, { body }) => count + JSON.stringify(body).split(`"sender":"${userId}"`).length - 1, 0);
  }

  /** Alice closes the room while Bob is let into it by Carol's server. */
  async function joinWhatIsClosed(): Promise<void> {
    part();
    await setState(alice, "m.room.join_rules", { join_rule: "invite" });
    await join(bob, "three.test");
    expect(placesOf(bob)).toEqual([undefined, "join", "join"]);
    await heal();
  }

  it("is told by the server that let it in, and nobody else is", async () => {
    await joinWhatIsClosed();

    expect(placesOf(bob)).toEqual([undefined, undefined, undefined]);
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    // What the others are sent next comes after it.
    await did(carol.put(`${path()}/send/m.room.message/t1`, { msgtype: "m.text", body: "next" }));
    expect(sent("three.test", "four.test", carol)).toBe(1);
    expect(sent("three.test", "two.test", alice)).toBe(1);
    expect(sent("three.test", "four.test", alice)).toBe(0);
    expect(sent("three.test", "one.test", alice)).toBe(0);
  });

  it("is told of a ban from when it was not in the room", async () => {
    await join(bob, "one.test");
    await did(bob.post(`${path()}/leave`));
    part();
    await did(alice.post(`${path()}/ban`, { user_id: bob.userId }));
    await join(bob, "three.test");
    expect(memberAt(bob.server, bob)).toBe("join");
    await heal();

    expect(placesOf(bob)).toEqual(["ban", "ban", "ban"]);
  });

  it("is told later if it does not answer at the time", async () => {
    part();
    await setState(alice, "m.room.join_rules", { join_rule: "invite" });
    await join(bob, "three.test");
    federation.beforeExchange = (from, to) => {
      if (from === "two.test" || to === "two.test") throw new Error("cut");
    };
    await federation.advance(120 * minute);
    expect(placesOf(bob)).toEqual([undefined, "join", undefined]);
    await heal();

    expect(placesOf(bob)).toEqual([undefined, undefined, undefined]);
  });

  it("is not told what its users may not see", async () => {
    await setState(alice, "m.room.history_visibility", { history_visibility: "joined" });
    await joinWhatIsClosed();

    expect(memberAt(carol.server, bob)).toBe(undefined);
    expect(sent("three.test", "two.test", alice)).toBe(0);
  });

  it("is told by nobody but the sender of what puts it out while it is in the room", async () => {
    await join(bob, "three.test");
    await federation.advance(minute);
    await did(alice.post(`${path()}/kick`, { user_id: bob.userId }));
    await federation.advance(minute);

    expect(placesOf(bob)).toEqual(["leave", "leave", "leave"]);
    expect(sent("one.test", "two.test", alice)).toBe(1);
    expect(sent("three.test", "two.test", alice)).toBe(0);
  });
});

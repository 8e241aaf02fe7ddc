/** A server that was in a room joins it again by way of one that does not know all that this one has known. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { setEntries } from "../../actors/room/state-tree.ts";
import { RoomStore } from "../../actors/room/store/index.ts";
import { trusted } from "../../shared/ids.ts";
import { objectField } from "../../shared/json.ts";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { hour, PartialScene, second } from "../support/partial-scene.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const minute = 60_000;
/** More than one resolution takes up. */
const tooMany = 20_001;

/** Makes the state after an event differ so much from all others that it can be resolved with none. */
function swell(server: FederatedServer, roomId: string, eventId: string): void {
  const sql = server.sql("room", roomId);
  new RoomStore(sql).transaction((tx) => {
    const entries = Array.from({ length: tooMany }, (_, index) => [100_000 + index, 1] as const);
    const before = tx.events.byId(trusted.eventId(eventId))?.stateRootAfter ?? null;
    const after = setEntries(tx.stateNodes, before, new Map(entries));
    sql.run("UPDATE events SET state_root_after = ? WHERE event_id = ?", after, eventId);
  });
  server.evict("room", roomId);
}

describe("a server that joins a room again", () => {
  let federation: Federation;
  let alice: FederatedUser;
  let bob: FederatedUser;
  let carol: FederatedUser;
  let roomId: string;
  let transactions = 0;

  /** Alice's room, with Bob of two.test and Carol of three.test. */
  beforeEach(async () => {
    federation = new Federation();
    alice = await federation.server("one.test").user("alice");
    bob = await federation.server("two.test").user("bob");
    carol = await federation.server("three.test").user("carol");
    roomId = String((await alice.post("v3/createRoom", { preset: "public_chat" })).body.room_id);
    for (const person of [bob, carol]) expect((await join(person, "one.test")).status).toBe(200);
    await federation.settle();
  });
  afterEach(() => federation.close());

  const path = () => `v3/rooms/${encodeURIComponent(roomId)}`;
  const join = (person: FederatedUser, ...via: string[]): Promise<FederatedReply> =>
    person.post(`v3/join/${encodeURIComponent(roomId)}?${via.map((name) => `via=${name}`).join("&")}`);

  async function act(person: FederatedUser, action: string, target: FederatedUser): Promise<void> {
    const reply = await person.post(`${path()}/${action}`, { user_id: target.userId });
    expect(reply.status, reply.text).toBe(200);
    await federation.settle();
  }

  async function say(person: FederatedUser): Promise<string> {
    transactions += 1;
    const reply = await person.put(`${path()}/send/m.room.message/t${transactions}`, { msgtype: "m.text", body: "…" });
    expect(reply.status, reply.text).toBe(200);
    await federation.settle();
    return String(reply.body.event_id);
  }

  /** Nothing gets through between two servers any more. */
  function part(one: string, other: string): void {
    federation.beforeExchange = (from, to) => {
      if ([from, to].sort().join() === [one, other].sort().join()) throw new Error("cut");
    };
  }

  /** Nothing gets through to a server, or from it. */
  function isolate(name: string): void {
    federation.beforeExchange = (from, to) => {
      if (from === name || to === name) throw new Error("cut");
    };
  }

  async function heal(): Promise<void> {
    federation.beforeExchange = () => undefined;
    await federation.advance(120 * minute);
  }

  const endsAt = (server: FederatedServer): string[] =>
    server
      .sql("room", roomId)
      .all<{ event_id: string }>("SELECT event_id FROM event_forward_extremities JOIN events USING (event_nid)")
      .map((row) => row.event_id);

  /** The event of a user's membership at a server, and what it is. */
  function memberAt(
    server: FederatedServer,
    { userId }: FederatedUser,
  ): { event_id: string; membership: string } | null {
    return server.sql("room", roomId).one<{ event_id: string; membership: string }>(
      `SELECT event_id, json ->> '$.content.membership' AS membership FROM current_state_events JOIN events USING (event_nid)
       WHERE type = 'm.room.member' AND state_key = ?`,
      userId,
    );
  }

  const placesOf = (person: FederatedUser): unknown[] =>
    [...federation.servers.values()].map((server) => memberAt(server, person)?.membership);

  it("holds to a ban that the server by way of which it joins has not got", async () => {
    part("one.test", "three.test");
    await act(alice, "ban", bob);
    const known = memberAt(bob.server, bob);
    expect(known?.membership).toBe("ban");
    await bob.sync();

    const refused = await join(bob, "three.test");
    expect([refused.status, refused.body.errcode], refused.text).toEqual([403, "M_FORBIDDEN"]);
    // It was let in there, for what that server knows.
    expect(memberAt(carol.server, bob)?.membership).toBe("join");
    expect(memberAt(bob.server, bob)).toEqual(known);
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    // Nor is it tried again behind the user's back.
    expect(bob.server.sql("room", roomId).all("SELECT * FROM remote_join")).toEqual([]);

    await heal();
    await say(alice);
    await federation.advance(24 * 60 * minute);
    expect(placesOf(bob)).toEqual(["ban", "ban", "ban"]);
    expect([carol.server, bob.server].map((server) => memberAt(server, bob))).toEqual([known, known]);
  });

  it("stays out where nobody else would see that it is in", async () => {
    isolate("three.test");
    const left = await bob.post(`${path()}/leave`);
    expect(left.status, left.text).toBe(200);
    await federation.settle();
    const known = memberAt(bob.server, bob);
    part("one.test", "three.test");
    // A join of before the leave, by the server's own clock, does not win against it.
    federation.tick(-minute);
    const refused = await join(bob, "three.test");
    expect([refused.status, refused.body.errcode], refused.text).toEqual([403, "M_FORBIDDEN"]);
    expect(memberAt(bob.server, bob)).toEqual(known);
    await heal();
    for (const person of [alice, carol]) await say(person);
    expect(placesOf(bob)).toEqual(["leave", "leave", "leave"]);
  });

  it("joins by way of another server that knows that the ban is over", async () => {
    part("one.test", "three.test");
    await act(alice, "ban", bob);
    await act(alice, "unban", bob);
    const joined = await join(bob, "three.test", "one.test");
    expect(joined.status, joined.text).toBe(200);
    expect(memberAt(bob.server, bob)?.membership).toBe("join");
    expect(endsAt(bob.server)).toHaveLength(1);
    await heal();
    for (const person of [alice, bob, carol]) await say(person);
    expect(placesOf(bob)).toEqual(["join", "join", "join"]);
  });

  it("builds on a kick that the other server has not got, beside its join", async () => {
    part("one.test", "three.test");
    await act(alice, "kick", bob);
    const kick = memberAt(bob.server, bob);
    expect(kick?.membership).toBe("leave");
    expect((await join(bob, "three.test")).status).toBe(200);
    const ends = endsAt(bob.server);
    expect(ends).toContain(kick?.event_id);
    expect(ends).toHaveLength(2);

    const said = await say(bob);
    const row = bob.server
      .sql("room", roomId)
      .one<{ json: string }>("SELECT json FROM events WHERE event_id = ?", said);
    expect(JSON.parse(row?.json ?? "{}").prev_events.sort()).toEqual(ends.sort());
    await heal();
    for (const person of [alice, carol]) await say(person);
    const [first, ...others] = [...federation.servers.values()].map((server) => memberAt(server, bob));
    expect(first?.membership).toBe("join");
    for (const other of others) expect(other).toEqual(first);
  });

  it("keeps nothing of old ends that the join comes after", async () => {
    part("one.test", "three.test");
    // An end of which nothing can be said.
    await say(carol);
    await act(alice, "kick", bob);
    expect(endsAt(bob.server)).toHaveLength(2);
    expect((await join(bob, "one.test")).status).toBe(200);
    const own = memberAt(bob.server, bob);
    expect(endsAt(bob.server)).toEqual([own?.event_id]);

    await act(bob, "leave", bob);
    expect((await join(bob, "one.test")).status).toBe(200);
    expect(endsAt(bob.server)).toEqual([memberAt(bob.server, bob)?.event_id]);
  });

  it("lets go of an old end whose state cannot be resolved with what it is told", async () => {
    part("one.test", "three.test");
    await act(alice, "kick", bob);
    swell(bob.server, roomId, memberAt(bob.server, bob)?.event_id ?? "");
    expect((await join(bob, "three.test")).status).toBe(200);
    expect(endsAt(bob.server)).toEqual([memberAt(bob.server, bob)?.event_id]);
    await say(bob);
  });

  it("holds to what it knows of another of its users", async () => {
    const dora = await bob.server.user("dora");
    expect((await join(dora, "one.test")).status).toBe(200);
    await act(bob, "leave", bob);
    part("one.test", "three.test");
    await act(alice, "ban", dora);
    const known = memberAt(bob.server, dora);
    isolate("one.test");
    federation.tick(second);
    expect((await join(bob, "three.test")).status).toBe(200);
    expect(memberAt(carol.server, dora)?.membership).toBe("join");
    expect(memberAt(bob.server, dora)).toEqual(known);
    await heal();
    for (const person of [alice, bob, carol]) await say(person);
    expect(placesOf(dora)).toEqual(["ban", "ban", "ban"]);
    expect(placesOf(bob)).toEqual(["join", "join", "join"]);
  });
});

describe("a room that is joined again without its members", () => {
  const carol = user("@carol:example.org");
  let scene: PartialScene;
  let built: RoomBuilder;
  let bob: FederatedUser;

  /** Bob has been in the room, and was banned by an event that the resident has not got. */
  async function banned(options: { isKick?: boolean; isSwollen?: boolean } = {}): Promise<string> {
    built = RoomBuilder.open();
    built.join(carol);
    const misbehaviour: { omitsMembers?: boolean } = {};
    scene = new PartialScene(built, misbehaviour);
    bob = await scene.two.user("bob");
    scene.tellsState = true;
    await scene.join(bob);
    const fork = built.fork();
    const ban = fork.member(built.creator, options.isKick === true ? "leave" : "ban", bob.userId);
    await scene.give([ban]);
    expect(scene.stateHere()).toContain(`m.room.member|${bob.userId} = ${ban.eventId}`);
    if (options.isSwollen === true) swell(scene.two, built.roomId, ban.eventId);
    misbehaviour.omitsMembers = true;
    scene.tellsState = false;
    await scene.join(bob);
    expect(scene.rows("partial_state")).toHaveLength(1);
    return ban.eventId;
  }

  afterEach(() => scene.federation.close());

  const ends = (): string[] =>
    scene.two
      .sql("room", built.roomId)
      .all<{ event_id: string }>("SELECT event_id FROM event_forward_extremities JOIN events USING (event_nid)")
      .map((row) => row.event_id)
      .sort();
  const ownLine = (): string => scene.stateHere().find((line) => line.includes(`|${bob.userId} `)) ?? "";
  const makeWhole = async (): Promise<void> => {
    scene.tellsState = true;
    await scene.federation.advance(hour);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.two.logged.filter(({ level }) => level === "error")).toEqual([]);
  };

  it("puts out, once it is whole, who was banned as far as this server knows", async () => {
    const ban = await banned();
    await bob.sync();
    await makeWhole();
    expect(ownLine()).toContain(ban);
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    const left = objectField(objectField(await bob.sync(), "rooms") ?? {}, "leave");
    expect(Object.keys(left ?? {})).toEqual([built.roomId]);
  });

  it("goes on, once it is whole, from what it knew before, too", async () => {
    const kick = await banned({ isKick: true });
    await makeWhole();
    expect(ownLine()).not.toContain(kick);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    expect(ends()).toEqual([kick, scene.resident.taken.at(-1)?.eventId].sort());
  });

  it("becomes whole where what it knew before cannot be resolved with the rest", async () => {
    await banned({ isSwollen: true });
    await makeWhole();
    expect(scene.stateHere()).toEqual(scene.stateThere());
    expect(ends()).toEqual([scene.resident.taken.at(-1)?.eventId]);
  });

  it("goes on from what it knew before where something could not be verified at first", async () => {
    built = RoomBuilder.open();
    built.join(carol);
    scene = new PartialScene(built, {});
    scene.tellsState = true;
    bob = await scene.two.user("bob");
    await scene.join(bob);
    const kick = built.fork().member(built.creator, "leave", bob.userId);
    await scene.give([kick]);
    let isAway = true;
    scene.federation.beforeExchange = (_from, to) => {
      if (isAway && to === "far.test") throw new Error("nobody is there");
    };
    built.join(user("@dave:far.test"));
    await scene.join(bob);
    expect(scene.rows("partial_state")).toHaveLength(1);
    const both = [kick.eventId, scene.resident.taken.at(-1)?.eventId].sort();
    expect(ends()).toEqual(both);
    isAway = false;
    await makeWhole();
    expect(ends()).toEqual(both);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("does not take members that it is not told of for unknown", async () => {
    built = RoomBuilder.open();
    built.join(carol);
    const misbehaviour: { omitsMembers?: boolean } = {};
    scene = new PartialScene(built, misbehaviour);
    scene.tellsState = true;
    bob = await scene.two.user("bob");
    const dora = await scene.two.user("dora");
    await scene.join(bob);
    const ban = built.member(built.creator, "ban", dora.userId);
    await scene.give([ban, built.member(built.creator, "leave", bob.userId)]);
    built.message(carol, "that this server has not seen");
    misbehaviour.omitsMembers = true;
    await scene.join(bob);
    await makeWhole();
    expect(ends()).toEqual([scene.resident.taken.at(-1)?.eventId]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { knownRoomVersions } from "../../shared/matrix/room-version.ts";
import { type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

let federation: Federation;
let bob: FederatedUser;
let two: FederatedServer;

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  bob = await two.user("bob");
});
afterEach(() => federation.close());

const path = (roomId: string) => encodeURIComponent(roomId);

/** A room of a user of one of our servers. */
async function createRoom(creator: FederatedUser, body: JsonObject = {}): Promise<string> {
  const made = await creator.post("v3/createRoom", { preset: "public_chat", ...body });
  expect(made.status, made.text).toBe(200);
  return String(made.body.room_id);
}

async function join(person: FederatedUser, roomId: string, via: readonly string[] = ["one.test"]) {
  const reply = await person.post(`v3/join/${path(roomId)}?${via.map((server) => `via=${server}`).join("&")}`);
  await federation.settle();
  return reply;
}

/** `[type, state_key] = event id` of the current state of a room at a server. */
function stateOf(server: FederatedServer, roomId: string): string[] {
  return server
    .sql("room", roomId)
    .all<{ line: string }>(
      `SELECT type || '|' || state_key || ' = ' || event_id AS line FROM current_state_events
       JOIN events USING (event_nid) ORDER BY line`,
    )
    .map(({ line }) => line);
}

function sentTo(server: string, part: string): number {
  return federation.exchanges.filter((exchange) => exchange.to === server && exchange.path.includes(part)).length;
}

describe("joinRoom, by way of another server", () => {
  it.each(knownRoomVersions)(
    "joins a public room of version %s, whose state is then the same at both",
    async (version) => {
      const alice = await federation.server("one.test").user("alice");
      const roomId = await createRoom(alice, { name: "The room", topic: "Things", room_version: version });
      await alice.sync();
      const joined = await join(bob, roomId);
      expect(joined.text).toBe(JSON.stringify({ room_id: roomId }));
      expect(stateOf(two, roomId)).toEqual(stateOf(alice.server, roomId));
      expect(stateOf(two, roomId).join()).toContain("m.room.member|@bob:two.test");

      const rooms = JSON.stringify((await bob.sync()).rooms);
      for (const part of ["The room", "Things", "@alice:one.test", '"join":']) expect(rooms).toContain(part);
      expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([roomId]);
      const members = await bob.get(`v3/rooms/${path(roomId)}/joined_members`);
      expect(Object.keys(members.body.joined ?? {}).sort()).toEqual(["@alice:one.test", "@bob:two.test"]);
      expect(JSON.stringify((await alice.sync()).rooms)).toContain("@bob:two.test");
    },
  );

  it("carries the user's profile and reason", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice);
    await bob.put(`v3/profile/${bob.userId}/displayname`, { displayname: "Bob" });
    expect((await bob.post(`v3/join/${path(roomId)}?server_name=one.test`, { reason: "curious" })).status).toBe(200);
    const member = await alice.get(`v3/rooms/${path(roomId)}/state/m.room.member/${bob.userId}`);
    expect(member.body).toEqual({ membership: "join", displayname: "Bob", reason: "curious" });
  });

  it("carries what else the client says, but for what the servers decide", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice);
    const said = { "org.example.mood": "good", displayname: "Bob, here" };
    const forged = { membership: "ban", join_authorised_via_users_server: alice.userId };
    const url = `v3/join/${path(roomId)}?via=one.test`;
    expect((await bob.post(url, { mood: 1.5 })).body.errcode).toBe("M_BAD_JSON");
    expect((await bob.post(url, { ...said, ...forged, reason: "curious" })).status).toBe(200);
    const member = await alice.get(`v3/rooms/${path(roomId)}/state/m.room.member/${bob.userId}`);
    expect(member.body).toEqual({ ...said, membership: "join", reason: "curious" });
  });

  it("gives who loads members lazily those at the beginning of the first timeline", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice);
    await join(bob, roomId);
    const { timeline } = Object((await bob.sync()).rooms).join[roomId];
    const members = await bob.get(`v3/rooms/${path(roomId)}/members?at=${timeline.prev_batch}`);
    const chunk = Array.isArray(members.body.chunk) ? members.body.chunk : [];
    expect(chunk.map((event) => Object(event).state_key).sort()).toEqual(["@alice:one.test", "@bob:two.test"]);
  });

  it("needs one handshake for many users at once", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice);
    const people = await Promise.all(Array.from({ length: 20 }, (_, index) => two.user(`user${index}`)));
    const replies = await Promise.all(people.map((person) => join(person, roomId)));
    expect(replies.map((reply) => reply.status)).toEqual(people.map(() => 200));
    expect(sentTo("one.test", "/send_join/")).toBe(1);
    const members = await bob.get(`v3/rooms/${path(roomId)}/joined_members`);
    expect(members.status).toBe(403);
    const joined = await people[0]?.get(`v3/rooms/${path(roomId)}/joined_members`);
    expect(Object.keys(joined?.body.joined ?? {})).toHaveLength(21);
  });

  it("goes on with the next server where one cannot help, and says 502 when none can", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice);
    federation.foreign.set("broken.test", () => new Response("oops", { status: 500 }));
    federation.foreign.set("silent.test", () => Promise.reject(new Error("connection refused")));
    federation.foreign.set("stranger.test", () =>
      Response.json({ errcode: "M_NOT_FOUND", error: "?" }, { status: 404 }),
    );
    const others = ["broken.test", "silent.test", "stranger.test", "gone.test", "two.test"];
    const failed = await join(bob, "!nowhere:gone.test", others);
    expect([failed.status, failed.body.errcode]).toEqual([502, "M_UNKNOWN"]);
    expect((await join(bob, roomId, [...others, "one.test"])).status).toBe(200);
  });

  it("says M_NOT_FOUND, and keeps nothing, where no server is known", async () => {
    const version12 = `!${"a".repeat(43)}`;
    const reply = await join(bob, version12, []);
    expect([reply.status, reply.body.errcode]).toEqual([404, "M_NOT_FOUND"]);
    const failed = await join(bob, version12, ["gone.test"]);
    expect([failed.status, failed.body.errcode]).toEqual([502, "M_UNKNOWN"]);
    expect(two.sql("room", version12).all("SELECT * FROM remote_join")).toEqual([]);
    expect(two.sql("room", version12).all("SELECT * FROM room")).toEqual([]);
  });

  it("passes on what the other server says of the room", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice, { preset: "private_chat" });
    const refused = await join(bob, roomId);
    expect([refused.status, refused.body.errcode]).toEqual([403, "M_FORBIDDEN"]);
    expect(refused.body.error).toContain("not invited");
    expect(sentTo("one.test", "/send_join/")).toBe(0);
  });

  it("follows an alias of another server, and asks the servers that it names", async () => {
    const built = RoomBuilder.open();
    const resident = new Resident(federation, "example.org", built);
    resident.peer.on(/\/query\/directory\?room_alias=%23attic%3Aexample.org$/, () => ({
      room_id: built.roomId,
      servers: ["gone.test", 5, "not a server", "example.org"],
    }));
    const reply = await bob.post(`v3/join/${path("#attic:example.org")}`);
    expect(reply.text).toBe(JSON.stringify({ room_id: built.roomId }));
    const unknown = await bob.post(`v3/join/${path("#cellar:example.org")}`);
    expect([unknown.status, unknown.body.errcode]).toEqual([404, "M_NOT_FOUND"]);
    const away = await bob.post(`v3/join/${path("#attic:gone.test")}`);
    expect([away.status, away.body.errcode]).toEqual([502, "M_UNKNOWN"]);
  });

  it("asks the server of the room id where the client names none", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice, { room_version: "11" });
    const reply = await bob.post(`v3/rooms/${path(roomId)}/join`);
    expect(reply.status, reply.text).toBe(200);
  });

  it("uses the first version of send_join with a server that knows no other", async () => {
    const resident = new Resident(federation, "example.org", RoomBuilder.open());
    resident.peer.on(/\/v2\/send_join\//, () => new Response("<h1>404</h1>", { status: 404 }));
    resident.peer.on(/\/v1\/send_join\//, () => [
      200,
      { state: [...resident.built.state.values()].map(({ pdu }) => pdu), auth_chain: [] },
    ]);
    expect((await join(bob, resident.roomId, ["example.org"])).status).toBe(200);
  });

  it("comes back to a room that was left, to its state of now", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice, { name: "Before" });
    await join(bob, roomId);
    await bob.sync();
    expect((await bob.post(`v3/rooms/${path(roomId)}/leave`)).status).toBe(200);
    await federation.settle();
    await federation.advance(60_000);
    const carol = await alice.server.user("carol");
    await join(carol, roomId);
    await alice.put(`v3/rooms/${path(roomId)}/state/m.room.name`, { name: "After" });
    await alice.post(`v3/rooms/${path(roomId)}/kick`, { user_id: carol.userId });
    expect(JSON.stringify(stateOf(two, roomId))).not.toContain("carol");
    await bob.sync();

    expect((await join(bob, roomId)).status).toBe(200);
    expect(stateOf(two, roomId)).toEqual(stateOf(alice.server, roomId));
    const rooms = JSON.stringify((await bob.sync()).rooms);
    expect(rooms).toContain("After");
    const sent = await bob.put(`v3/rooms/${path(roomId)}/send/m.room.message/1`, { msgtype: "m.text", body: "back" });
    expect(sent.status, sent.text).toBe(200);
    const facts = two.sql("room", roomId).one<{ joined_members: number }>("SELECT joined_members FROM room");
    expect(facts?.joined_members).toBe(2);
  });
});

describe("joinRoom, of a room that was left", () => {
  it("asks the servers of then only where the client names none", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice);
    await join(bob, roomId);
    await bob.post(`v3/rooms/${path(roomId)}/leave`);
    await federation.settle();
    const before = sentTo("one.test", "/make_join/");
    federation.server("three.test");
    expect((await join(bob, roomId, ["three.test"])).status).toBe(502);
    expect(sentTo("one.test", "/make_join/")).toBe(before);
    expect((await join(bob, roomId, [])).status).toBe(200);
  });
});

describe("what a state event has taken the place of", () => {
  it("is shown of what another server told at the join", async () => {
    const alice = await federation.server("one.test").user("alice");
    const roomId = await createRoom(alice, { name: "Before" });
    await join(bob, roomId);
    await bob.sync();
    await alice.put(`v3/rooms/${path(roomId)}/state/m.room.name`, { name: "After" });
    await federation.settle();
    const rooms = JSON.stringify((await bob.sync()).rooms);
    expect(rooms).toContain('"prev_content":{"name":"Before"}');
  });
});

describe("a restricted room", () => {
  async function restrictedRoom(alice: FederatedUser, allowed: string, members: JsonObject = {}): Promise<string> {
    const content = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: allowed }] };
    return createRoom(alice, {
      preset: "private_chat",
      initial_state: [{ type: "m.room.join_rules", state_key: "", content }],
      power_level_content_override: { invite: 50, ...members },
    });
  }

  it.each(["8", "9", "10", "11", "12"])("is joined by a server's leave, in room version %s", async (version) => {
    const alice = await federation.server("one.test").user("alice");
    const space = await createRoom(alice);
    const content = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: space }] };
    const roomId = await createRoom(alice, {
      room_version: version,
      preset: "private_chat",
      initial_state: [{ type: "m.room.join_rules", state_key: "", content }],
    });
    expect((await join(bob, roomId)).status).toBe(403);
    await join(bob, space);
    const joined = await join(bob, roomId);
    expect(joined.status, joined.text).toBe(200);
    const member = await bob.get(`v3/rooms/${path(roomId)}/state/m.room.member/${bob.userId}`);
    expect(member.body.join_authorised_via_users_server).toBe(alice.userId);
    expect(stateOf(two, roomId)).toEqual(stateOf(alice.server, roomId));
  });

  it("is joined by way of another server where nobody here may let others in", async () => {
    const alice = await federation.server("one.test").user("alice");
    const space = await createRoom(alice);
    const roomId = await restrictedRoom(alice, space);
    const carol = await two.user("carol");
    for (const person of [bob, carol]) await join(person, space);
    expect((await join(bob, roomId)).status).toBe(200);
    expect(sentTo("one.test", "/send_join/")).toBe(2);
    // This server is in the room now, but bob may not invite.
    const joined = await join(carol, roomId, []);
    expect(joined.status, joined.text).toBe(200);
    expect(stateOf(two, roomId)).toEqual(stateOf(alice.server, roomId));
  });

  it("is joined by this server's own leave where it can give it", async () => {
    const alice = await federation.server("one.test").user("alice");
    const space = await createRoom(alice);
    const roomId = await restrictedRoom(alice, space, { invite: 0 });
    const carol = await two.user("carol");
    for (const person of [bob, carol]) await join(person, space);
    await join(bob, roomId);
    const before = sentTo("one.test", "/send_join/");
    expect((await join(carol, roomId, [])).status).toBe(200);
    expect(sentTo("one.test", "/send_join/")).toBe(before);
  });

  it("is not joined by a leave that the other server has not signed, or that it gives in our name", async () => {
    const built = RoomBuilder.open({ joinRule: "restricted" });
    built.join(user("@mod:example.org"));
    const unsigned = new Resident(federation, "example.org", built, { answer: (answer) => ({ ...answer, event: {} }) });
    unsigned.authoriser = built.creator;
    expect((await join(bob, built.roomId, ["example.org"])).status).toBe(502);
    unsigned.authoriser = user("@bob:two.test");
    const before = unsigned.taken.length;
    expect((await join(bob, built.roomId, ["example.org"])).status).toBe(502);
    expect(unsigned.taken).toHaveLength(before);
  });
});

/** Questions that servers answer for one another: profiles, aliases, directories, spaces, OpenID tokens, times. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import { type FederatedReply, type FederatedServer, type FederatedUser, Federation } from "../support/federation.ts";
import { bodiesOf, listOf } from "../support/read-history.ts";
import { TestPeer } from "../support/test-peer.ts";

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

async function createRoom(person: FederatedUser, body: JsonObject = {}): Promise<string> {
  const reply = await person.post("v3/createRoom", { preset: "public_chat", ...body });
  expect(reply.status, reply.text).toBe(200);
  await federation.settle();
  await federation.advance(31_000);
  return String(reply.body.room_id);
}

async function join(person: FederatedUser, roomId: string, via: string): Promise<void> {
  const reply = await person.post(`v3/join/${encoded(roomId)}?via=${via}`);
  expect(reply.status, reply.text).toBe(200);
  await federation.settle();
}

const refusal = ({ status, body }: FederatedReply) => [status, body.errcode];
const asked = (part: string): number => federation.exchanges.filter(({ path }) => path.includes(part)).length;

describe("a profile of a user of another server", () => {
  it("is what that server says, whole or by its fields", async () => {
    await alice.put(`v3/profile/${alice.userId}/displayname`, { displayname: "Alice" });
    await alice.put(`v3/profile/${alice.userId}/m.tz`, { "m.tz": "Europe/Berlin" });
    const whole = await bob.get(`v3/profile/${alice.userId}`);
    expect(whole.body).toEqual({ displayname: "Alice", "m.tz": "Europe/Berlin" });
    expect((await bob.get(`v3/profile/${alice.userId}/displayname`)).body).toEqual({ displayname: "Alice" });
    expect(refusal(await bob.get(`v3/profile/${alice.userId}/avatar_url`))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await bob.get("v3/profile/@nobody:one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("is a bad gateway where that server cannot be asked, and nothing where it may not be", async () => {
    one.isUp = false;
    expect((await bob.get(`v3/profile/${alice.userId}`)).status).toBe(502);
    const apart = federation.server("apart.test", { FEDERATION: "off" });
    const carol = await apart.user("carol");
    const before = federation.exchanges.length;
    expect(refusal(await carol.get(`v3/profile/${alice.userId}`))).toEqual([404, "M_NOT_FOUND"]);
    expect(federation.exchanges.length).toBe(before);
  });

  it("reaches the client only as JSON that a client can read", async () => {
    const peer = new TestPeer(federation, "peer.test");
    const deep = JSON.parse(`${'{"a":'.repeat(200)}1${"}".repeat(200)}`);
    const answers: [unknown, number][] = [
      [{ displayname: null, avatar_url: "mxc://peer.test/x" }, 200],
      [["no object"], 502],
      [{ displayname: deep }, 502],
    ];
    for (const [answer, status] of answers) {
      peer.on(/\/query\/profile/, () => Response.json(answer));
      const reply = await bob.get("v3/profile/@carol:peer.test");
      expect(reply.status, reply.text).toBe(status);
      if (status === 200) expect(reply.body).toEqual({ avatar_url: "mxc://peer.test/x" });
    }
    peer.on(/\/query\/profile/, () => Response.json({ errcode: "M_EVIL", error: "<script>" }, { status: 403 }));
    const refused = await bob.get("v3/profile/@carol:peer.test");
    expect(refusal(refused)).toEqual([403, "M_FORBIDDEN"]);
    expect(refused.text).not.toContain("script");
  });

  it("is counted by the address of who asks, where one is known", async () => {
    const limited = federation.server("limited.test", { RATE_LIMITS: "on", REGISTRATION: "open" });
    const services = limited.services.bind(limited);
    limited.services = (request) => ({ ...services(request), clientAddress: "192.0.2.1" });
    const statuses: number[] = [];
    for (let index = 0; index < 40; index += 1) {
      statuses.push((await limited.request("GET", `/_matrix/client/v3/profile/${alice.userId}`)).status);
    }
    expect(statuses.slice(0, 30)).not.toContain(429);
    expect(statuses.slice(-1)).toEqual([429]);
  });
});

describe("queryProfile, queryRoomDirectory and queryInfo", () => {
  const peer = () => new TestPeer(federation, "peer.test");
  const query = (from: TestPeer, path: string) => from.request(one, "GET", `/_matrix/federation/v1/query/${path}`);

  it("answer for what is of this server, and for nothing else", async () => {
    const from = peer();
    const roomId = await createRoom(alice, { room_alias_name: "attic" });
    await alice.put(`v3/profile/${alice.userId}/displayname`, { displayname: "Alice" });
    expect((await query(from, `profile?user_id=${alice.userId}`)).body).toEqual({ displayname: "Alice" });
    expect((await query(from, `profile?user_id=${alice.userId}&field=displayname`)).body).toEqual({
      displayname: "Alice",
    });
    expect((await query(from, `profile?user_id=${alice.userId}&field=__proto__`)).json).toEqual({});
    expect(refusal(await query(from, "profile?user_id=@bob:two.test"))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await query(from, "profile?user_id=@nobody:one.test"))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await query(from, "profile"))).toEqual([400, "M_MISSING_PARAM"]);
    const alias = encoded("#attic:one.test");
    expect((await query(from, `directory?room_alias=${alias}`)).body).toEqual({
      room_id: roomId,
      servers: ["one.test"],
    });
    expect(refusal(await query(from, `directory?room_alias=${encoded("#x:two.test")}`))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await query(from, `directory?room_alias=${encoded("#x:one.test")}`))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await query(from, "weather?room_alias=x"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("ask who asks", async () => {
    const reply = await one.request("GET", `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`);
    expect(refusal(reply)).toEqual([401, "M_UNAUTHORIZED"]);
  });
});

describe("an alias of another server", () => {
  it("leads where that server says", async () => {
    const roomId = await createRoom(alice, { room_alias_name: "attic" });
    const alias = encoded("#attic:one.test");
    const found = await bob.get(`v3/directory/room/${alias}`);
    expect(found.body).toEqual({ room_id: roomId, servers: ["one.test"] });
    expect(refusal(await bob.get(`v3/directory/room/${encoded("#x:one.test")}`))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("leads to all servers in the room, also once nobody of that server is in it any more", async () => {
    const roomId = await createRoom(alice, { room_alias_name: "attic" });
    const alias = encoded("#attic:one.test");
    await join(bob, roomId, "one.test");
    const servers = async (person: FederatedUser) => (await person.get(`v3/directory/room/${alias}`)).body.servers;
    expect(await servers(bob)).toEqual(["one.test", "two.test"]);
    expect(await servers(alice)).toEqual(["one.test", "two.test"]);

    await alice.post(`v3/rooms/${encoded(roomId)}/leave`);
    await federation.settle();

    expect(await servers(alice)).toEqual(["two.test"]);
    const carol = await federation.server("three.test").user("carol");
    const joined = await carol.post(`v3/join/${alias}`);
    expect(joined.status, joined.text).toBe(200);
  });

  it("may be a room's name if it leads there", async () => {
    const roomId = await createRoom(alice, {
      room_alias_name: "attic",
      power_level_content_override: { users_default: 50 },
    });
    await createRoom(alice, { room_alias_name: "cellar" });
    await join(bob, roomId, "one.test");
    const path = `v3/rooms/${encoded(roomId)}/state/m.room.canonical_alias/`;
    const named = { alias: "#attic:one.test", alt_aliases: ["#attic:one.test"] };
    for (const alias of ["#cellar:one.test", "#x:one.test", "#attic:away.test", "#attic:two.test"]) {
      expect(refusal(await bob.put(path, { ...named, alt_aliases: [alias] })), alias).toEqual([400, "M_BAD_ALIAS"]);
    }
    expect((await bob.put(path, named)).status).toBe(200);
    // What the room is called already need not be asked for again.
    one.isUp = false;
    expect((await bob.put(path, { alias: "#attic:one.test" })).status).toBe(200);
  });
});

describe("the rooms that another server lists", () => {
  it("are listed, searched and paged through", async () => {
    const listed: string[] = [];
    for (const name of ["Attic", "Cellar", "Garden"]) {
      listed.push(await createRoom(alice, { name, visibility: "public" }));
    }
    await createRoom(alice, { name: "Hidden" });
    const whole = await bob.get("v3/publicRooms?server=one.test");
    expect(listOf(whole.body.chunk).map((room) => room.room_id)).toEqual(expect.arrayContaining(listed));
    expect(whole.body.total_room_count_estimate).toBe(3);
    expect(whole.text).not.toContain("Hidden");
    const search = { filter: { generic_search_term: "cellar" } };
    const found = await bob.post("v3/publicRooms?server=one.test", search);
    expect(listOf(found.body.chunk).map((room) => room.name)).toEqual(["Cellar"]);
    const spaces = await bob.post("v3/publicRooms?server=one.test", { filter: { room_types: ["m.space"] } });
    expect(listOf(spaces.body.chunk)).toEqual([]);
    const first = await bob.get("v3/publicRooms?server=one.test&limit=2");
    expect(listOf(first.body.chunk)).toHaveLength(2);
    const next = await bob.get(
      `v3/publicRooms?server=one.test&limit=2&since=${encoded(String(first.body.next_batch))}`,
    );
    expect(listOf(next.body.chunk)).toHaveLength(1);
    expect(listOf((await bob.get("v3/publicRooms?server=two.test")).body.chunk)).toEqual([]);
  });

  it("are those that other servers' users may join", async () => {
    await createRoom(alice, { name: "Attic", visibility: "public" });
    await createRoom(alice, { name: "Ours", visibility: "public", creation_content: { "m.federate": false } });
    const names = (reply: FederatedReply) => listOf(reply.body.chunk).map((room) => room.name);
    const listed = await bob.get("v3/publicRooms?server=one.test");
    expect(names(listed)).toEqual(["Attic"]);
    expect(listed.body.total_room_count_estimate).toBe(1);
    const search = { filter: { generic_search_term: "ours" } };
    expect(names(await bob.post("v3/publicRooms?server=one.test", search))).toEqual([]);
    expect(names(await alice.get("v3/publicRooms"))).toEqual(expect.arrayContaining(["Attic", "Ours"]));
  });

  it("are refused where the server is none, is away, or says something else", async () => {
    expect(refusal(await bob.get("v3/publicRooms?server=a%20b"))).toEqual([400, "M_INVALID_PARAM"]);
    expect((await bob.get("v3/publicRooms?server=away.test")).status).toBe(502);
    const peer = new TestPeer(federation, "peer.test");
    peer.on(/publicRooms/, () => Response.json({ chunk: "none" }));
    expect((await bob.get("v3/publicRooms?server=peer.test")).status).toBe(502);
    peer.on(/publicRooms/, () => Response.json({ chunk: [1, { room_id: "!x:peer.test" }], surprise: true }));
    const reply = await bob.get("v3/publicRooms?server=peer.test");
    expect(reply.json).toEqual({ chunk: [{ room_id: "!x:peer.test" }] });
  });
});

describe("an OpenID token", () => {
  const request = (person: FederatedUser) => person.post(`v3/user/${person.userId}/openid/request_token`);
  const exchange = (token: string) =>
    one.request("GET", `/_matrix/federation/v1/openid/userinfo?access_token=${encoded(token)}`);

  it("proves who made it, for an hour", async () => {
    const made = await request(alice);
    expect(made.body).toMatchObject({ token_type: "Bearer", matrix_server_name: "one.test", expires_in: 3600 });
    const token = String(made.body.access_token);
    expect((await exchange(token)).json).toEqual({ sub: alice.userId });
    await federation.advance(60 * 60_000 - 1);
    expect((await exchange(token)).status).toBe(200);
    await federation.advance(1);
    expect(refusal(await exchange(token))).toEqual([401, "M_UNKNOWN_TOKEN"]);
  });

  it("is good for nothing else, and nothing else is good for it", async () => {
    const token = String((await request(alice)).body.access_token);
    const asClient = await one.request("GET", "/_matrix/client/v3/account/whoami", { token });
    expect(refusal(asClient)).toEqual([401, "M_UNKNOWN_TOKEN"]);
    for (const other of [alice.token, "", "x", `${token}x`, token.replace("tso_", "tsr_")]) {
      expect((await exchange(other)).status, other).toBe(401);
    }
    const forBob = await alice.post(`v3/user/${bob.userId}/openid/request_token`);
    expect(refusal(forBob)).toEqual([403, "M_FORBIDDEN"]);
    expect(refusal(await one.request("POST", `/_matrix/client/v3/user/${alice.userId}/openid/request_token`))).toEqual([
      401,
      "M_MISSING_TOKEN",
    ]);
  });

  it("ends with the account, and the oldest of very many", async () => {
    const token = String((await request(alice)).body.access_token);
    for (let index = 0; index < 100; index += 1) {
      await federation.advance(1);
      await request(alice);
    }
    expect((await exchange(token)).status).toBe(401);
    const last = String((await request(alice)).body.access_token);
    const auth = {
      type: "m.login.password",
      identifier: { type: "m.id.user", user: "alice" },
      password: "a good password",
    };
    const session = (await alice.post("v3/account/deactivate", {})).body.session ?? null;
    const done = await alice.post("v3/account/deactivate", { auth: { ...auth, session } });
    expect(done.status, done.text).toBe(200);
    expect((await exchange(last)).status).toBe(401);
  });
});

describe("a summary of a room of another server", () => {
  const summary = (person: FederatedUser, room: string, query = "") =>
    person.get(`v1/room_summary/${encoded(room)}${query}`);

  it("is what that server tells, by way of an alias, of the servers named, or of the room id's", async () => {
    const fields = { name: "Attic", room_alias_name: "attic" };
    const roomId = await createRoom(alice, fields);
    const old = await createRoom(alice, { name: "Old", room_version: "10" });
    const told = { room_id: roomId, name: "Attic", join_rule: "public", num_joined_members: 1, room_version: "12" };
    for (const reply of [await summary(bob, "#attic:one.test"), await summary(bob, roomId, "?via=one.test")]) {
      expect(reply.status, reply.text).toBe(200);
      expect(reply.body).toMatchObject(told);
      expect(reply.body).not.toHaveProperty("membership");
    }
    expect((await summary(bob, old)).body).toMatchObject({ name: "Old" });
    // The id of a room of version 12 does not say whom to ask.
    expect(refusal(await summary(bob, roomId))).toEqual([404, "M_NOT_FOUND"]);
    one.isUp = false;
    expect(refusal(await summary(bob, roomId, "?via=one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("is given to nobody who could neither join nor read it, though it is told to their server", async () => {
    const carol = await two.user("carol");
    const roomId = await createRoom(alice, { name: "Secret", preset: "private_chat" });
    expect(refusal(await summary(bob, roomId, "?via=one.test"))).toEqual([404, "M_NOT_FOUND"]);
    await alice.post(`v3/rooms/${encoded(roomId)}/invite`, { user_id: bob.userId });
    await federation.settle();
    const told = await summary(bob, roomId, "?via=one.test");
    expect(told.body).toMatchObject({ name: "Secret", membership: "invite" });
    expect(refusal(await summary(carol, roomId, "?via=one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });
});

describe("a space", () => {
  const space = { creation_content: { type: "m.space" } };

  async function add(person: FederatedUser, parent: string, child: string, content: JsonObject): Promise<void> {
    const path = `v3/rooms/${encoded(parent)}/state/m.space.child/${encoded(child)}`;
    const reply = await person.put(path, content);
    expect(reply.status, reply.text).toBe(200);
  }

  const hierarchy = (person: FederatedUser, roomId: string, query = "") =>
    person.get(`v1/rooms/${encoded(roomId)}/hierarchy${query}`);
  const names = (reply: FederatedReply) => listOf(reply.body.rooms).map((room) => room.name);

  /** A space at one.test with rooms and a space in it; its second level is at two.test. */
  async function tree() {
    const root = await createRoom(alice, { ...space, name: "Root" });
    const plain = await createRoom(alice, { name: "Plain" });
    const secret = await createRoom(alice, { name: "Secret", preset: "private_chat" });
    const inner = await createRoom(bob, { ...space, name: "Inner" });
    const far = await createRoom(bob, { name: "Far" });
    const farSecret = await createRoom(bob, { name: "Far secret", preset: "private_chat" });
    await add(alice, root, plain, { via: ["one.test"], order: "b" });
    await add(alice, root, inner, { via: ["two.test"], order: "a", suggested: true });
    await add(alice, root, secret, { via: ["one.test"] });
    await add(bob, inner, far, { via: ["two.test"] });
    await add(bob, inner, farSecret, { via: ["two.test"] });
    await add(bob, inner, root, { via: ["one.test"] });
    return { root, plain, secret, inner, far };
  }

  it("is walked through in depth, in its order, over servers, each room once", async () => {
    const { root, inner } = await tree();
    const carol = await one.user("carol");
    const reply = await hierarchy(carol, root);
    expect(reply.status, reply.text).toBe(200);
    expect(names(reply)).toEqual(["Root", "Inner", "Far", "Plain"]);
    expect(names(await hierarchy(alice, root))).toEqual(["Root", "Inner", "Far", "Plain", "Secret"]);
    const [first, second] = listOf(reply.body.rooms);
    expect(first).toMatchObject({
      room_id: root,
      room_type: "m.space",
      join_rule: "public",
      num_joined_members: 1,
      world_readable: false,
      guest_can_join: false,
      room_version: "12",
    });
    expect(listOf(first?.children_state).map((event) => event.state_key)[0]).toBe(inner);
    expect(listOf(first?.children_state)[0]).toEqual({
      type: "m.space.child",
      state_key: inner,
      sender: alice.userId,
      content: { via: ["two.test"], order: "a", suggested: true },
      origin_server_ts: expect.any(Number),
    });
    expect(listOf(second?.children_state)).toHaveLength(3);
    // Of the rooms in it, the other server has told with it.
    expect(asked("/hierarchy/")).toBe(2);
  });

  it("is cut to its suggested rooms and to a depth, and comes in pages", async () => {
    const { root } = await tree();
    expect(names(await hierarchy(alice, root, "?suggested_only=true"))).toEqual(["Root", "Inner"]);
    expect(names(await hierarchy(alice, root, "?max_depth=0"))).toEqual(["Root"]);
    expect(names(await hierarchy(alice, root, "?max_depth=1"))).toEqual(["Root", "Inner", "Plain", "Secret"]);
    const all: unknown[] = [];
    let from = "";
    for (let pages = 0; pages < 10; pages += 1) {
      const reply = await hierarchy(alice, root, `?limit=2${from}`);
      all.push(...names(reply));
      if (reply.body.next_batch === undefined) break;
      from = `&from=${encoded(String(reply.body.next_batch))}`;
    }
    expect(all).toEqual(["Root", "Inner", "Far", "Plain", "Secret"]);
    const first = await hierarchy(alice, root, "?limit=2");
    const token = encoded(String(first.body.next_batch));
    for (const query of [`?from=${token}&max_depth=1`, `?from=${token}&suggested_only=true`, "?from=x", "?limit=0"]) {
      expect(refusal(await hierarchy(alice, root, query)), query).toEqual([400, "M_INVALID_PARAM"]);
    }
  });

  it("is shown to nobody who could neither join nor read it", async () => {
    const root = await createRoom(alice, { ...space, preset: "private_chat" });
    const carol = await one.user("carol");
    expect(refusal(await hierarchy(carol, root))).toEqual([403, "M_FORBIDDEN"]);
    expect(refusal(await hierarchy(carol, "!nothing:one.test"))).toEqual([403, "M_FORBIDDEN"]);
    await alice.post(`v3/rooms/${encoded(root)}/invite`, { user_id: carol.userId });
    expect((await hierarchy(carol, root)).status).toBe(200);
    await alice.post(`v3/rooms/${encoded(root)}/ban`, { user_id: carol.userId });
    expect((await hierarchy(carol, root)).status).toBe(403);
  });

  it("shows a restricted room to members of the rooms that its rule names, over servers too", async () => {
    const { root } = await tree();
    const rule = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: root }] };
    const state = [{ type: "m.room.join_rules", state_key: "", content: rule }];
    const restricted = await createRoom(alice, { name: "Members", preset: "private_chat", initial_state: state });
    await add(alice, root, restricted, { via: ["one.test"] });
    const carol = await one.user("carol");
    expect(names(await hierarchy(carol, root))).not.toContain("Members");
    await carol.post(`v3/join/${encoded(root)}`);
    expect(names(await hierarchy(carol, root))).toContain("Members");
    const remote = () => hierarchy(bob, root);
    await join(bob, root, "one.test");
    const reply = await remote();
    expect(names(reply)).toContain("Members");
    expect(listOf(reply.body.rooms).find((room) => room.name === "Members")?.allowed_room_ids).toEqual([root]);
  });

  it("is told to another server without what its users could not see", async () => {
    const { root, secret, plain } = await tree();
    const peer = new TestPeer(federation, "peer.test");
    const ask = (roomId: string, query = "") =>
      peer.request(one, "GET", `/_matrix/federation/v1/hierarchy/${encoded(roomId)}${query}`);
    const reply = await ask(root);
    expect(reply.status, reply.text).toBe(200);
    expect(reply.body.room).toMatchObject({ room_id: root, name: "Root" });
    expect(listOf(reply.body.children).map((room) => room.room_id)).toEqual([plain]);
    expect(reply.body.inaccessible_children).toEqual([secret]);
    expect(reply.text).not.toContain("Secret");
    expect(listOf((await ask(root, "?suggested_only=true")).body.children)).toEqual([]);
    expect(refusal(await ask(secret))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await ask("!nothing:one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("is not walked without end, whatever a server says is in it", async () => {
    const root = await createRoom(alice, { ...space, name: "Root" });
    const peer = new TestPeer(federation, "peer.test");
    let counter = 0;
    peer.on(/\/hierarchy\//, (request) => {
      const roomId = decodeURIComponent(new URL(request.url).pathname.split("/").pop() ?? "");
      counter += 1;
      const children = Array.from({ length: 400 }, (_, index) => ({
        type: "m.space.child",
        state_key: `!r${counter}x${index}:peer.test`,
        sender: "@eve:peer.test",
        content: { via: ["peer.test"] },
        origin_server_ts: 1,
      }));
      const room = { room_id: roomId, num_joined_members: 1, world_readable: true, guest_can_join: false };
      return {
        room: { ...room, room_type: "m.space", children_state: children },
        children: [],
        inaccessible_children: [],
      };
    });
    await add(alice, root, "!evil:peer.test", { via: ["peer.test"] });
    const reply = await hierarchy(alice, root);
    expect(reply.status).toBe(200);
    expect(counter).toBeLessThanOrEqual(30);
  });
});

describe("the event at a time", () => {
  it("is found here, in both directions", async () => {
    const roomId = await createRoom(alice);
    const times: number[] = [];
    const ids: unknown[] = [];
    for (let index = 0; index < 6; index += 1) {
      await federation.advance(60_000);
      const reply = await alice.put(`v3/rooms/${encoded(roomId)}/send/m.room.message/t${index}`, { body: "x" });
      times.push(federation.clock.now());
      ids.push(reply.body.event_id);
    }
    const at = (person: FederatedUser, ts: number, dir: string) =>
      person.get(`v1/rooms/${encoded(roomId)}/timestamp_to_event?ts=${ts}&dir=${dir}`);
    expect((await at(alice, (times[2] ?? 0) - 1, "f")).body).toEqual({ event_id: ids[2], origin_server_ts: times[2] });
    expect((await at(alice, (times[2] ?? 0) + 1, "b")).body).toEqual({ event_id: ids[2], origin_server_ts: times[2] });
    expect(refusal(await at(alice, (times[5] ?? 0) + 1, "f"))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusal(await at(await one.user("carol"), 1, "f"))).toEqual([403, "M_FORBIDDEN"]);
    expect(refusal(await alice.get(`v1/rooms/${encoded(roomId)}/timestamp_to_event?ts=1`))).toEqual([
      400,
      "M_MISSING_PARAM",
    ]);
  });

  it("is fetched with what lies between, where another server knows a nearer one", async () => {
    const roomId = await createRoom(alice);
    const ids: unknown[] = [];
    const times: number[] = [];
    for (let index = 0; index < 150; index += 1) {
      await federation.advance(1_000);
      const reply = await alice.put(`v3/rooms/${encoded(roomId)}/send/m.room.message/t${index}`, {
        body: `m ${index}`,
      });
      ids.push(reply.body.event_id);
      times.push(federation.clock.now());
    }
    await federation.advance(1_000);
    await join(bob, roomId, "one.test");
    const at = (ts: number, dir: string) =>
      bob.get(`v1/rooms/${encoded(roomId)}/timestamp_to_event?ts=${ts}&dir=${dir}`);
    const found = await at(times[20] ?? 0, "f");
    expect(found.body).toEqual({ event_id: ids[20], origin_server_ts: times[20] });
    const context = await bob.get(`v3/rooms/${encoded(roomId)}/context/${encoded(String(ids[20]))}?limit=4`);
    expect(bodiesOf(listOf(context.body.events_after))).toEqual(["m 21", "m 22"]);
    const requests = federation.exchanges.length;
    // Nobody knows of anything later: one question, and no history is fetched for it.
    await at(federation.clock.now() + 1_000, "f");
    expect(federation.exchanges.length).toBe(requests);
  });
});

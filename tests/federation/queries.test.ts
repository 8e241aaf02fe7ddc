/** Questions that servers answer for one another: profiles, aliases, directories, OpenID tokens. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FederatedReply, FederatedServer, FederatedUser, Federation } from "../support/federation.ts";
import { listOf } from "../support/read-history.ts";
import { TestPeer } from "../support/test-peer.ts";
import { createRoom, joinByBob, refusalIn, type TwoServers, twoServers } from "../support/two-servers.ts";

let scene: TwoServers;
let federation: Federation;
let one: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;

beforeEach(async () => {
  scene = await twoServers();
  ({ federation, one, alice, bob } = scene);
});
afterEach(() => federation.close());

const encoded = encodeURIComponent;

describe("a profile of a user of another server", () => {
  it("is what that server says, whole or by its fields", async () => {
    await alice.put(`v3/profile/${alice.userId}/displayname`, { displayname: "Alice" });
    await alice.put(`v3/profile/${alice.userId}/m.tz`, { "m.tz": "Europe/Berlin" });
    const whole = await bob.get(`v3/profile/${alice.userId}`);
    expect(whole.body).toEqual({ displayname: "Alice", "m.tz": "Europe/Berlin" });
    expect((await bob.get(`v3/profile/${alice.userId}/displayname`)).body).toEqual({ displayname: "Alice" });
    expect(refusalIn(await bob.get(`v3/profile/${alice.userId}/avatar_url`))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusalIn(await bob.get("v3/profile/@nobody:one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("is a bad gateway where that server cannot be asked, and nothing where it may not be", async () => {
    one.isUp = false;
    expect((await bob.get(`v3/profile/${alice.userId}`)).status).toBe(502);
    const apart = federation.server("apart.test", { FEDERATION: "off" });
    const carol = await apart.user("carol");
    const before = federation.exchanges.length;
    expect(refusalIn(await carol.get(`v3/profile/${alice.userId}`))).toEqual([404, "M_NOT_FOUND"]);
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
    expect(refusalIn(refused)).toEqual([403, "M_FORBIDDEN"]);
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
    const roomId = await createRoom(scene, alice, { room_alias_name: "attic" });
    await alice.put(`v3/profile/${alice.userId}/displayname`, { displayname: "Alice" });
    expect((await query(from, `profile?user_id=${alice.userId}`)).body).toEqual({ displayname: "Alice" });
    expect((await query(from, `profile?user_id=${alice.userId}&field=displayname`)).body).toEqual({
      displayname: "Alice",
    });
    expect((await query(from, `profile?user_id=${alice.userId}&field=__proto__`)).json).toEqual({});
    expect(refusalIn(await query(from, "profile?user_id=@bob:two.test"))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusalIn(await query(from, "profile?user_id=@nobody:one.test"))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusalIn(await query(from, "profile"))).toEqual([400, "M_MISSING_PARAM"]);
    const alias = encoded("#attic:one.test");
    expect((await query(from, `directory?room_alias=${alias}`)).body).toEqual({
      room_id: roomId,
      servers: ["one.test"],
    });
    expect(refusalIn(await query(from, `directory?room_alias=${encoded("#x:two.test")}`))).toEqual([
      404,
      "M_NOT_FOUND",
    ]);
    expect(refusalIn(await query(from, `directory?room_alias=${encoded("#x:one.test")}`))).toEqual([
      404,
      "M_NOT_FOUND",
    ]);
    expect(refusalIn(await query(from, "weather?room_alias=x"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("ask who asks", async () => {
    const reply = await one.request("GET", `/_matrix/federation/v1/query/profile?user_id=${alice.userId}`);
    expect(refusalIn(reply)).toEqual([401, "M_UNAUTHORIZED"]);
  });
});

describe("an alias of another server", () => {
  it("leads where that server says", async () => {
    const roomId = await createRoom(scene, alice, { room_alias_name: "attic" });
    const alias = encoded("#attic:one.test");
    const found = await bob.get(`v3/directory/room/${alias}`);
    expect(found.body).toEqual({ room_id: roomId, servers: ["one.test"] });
    expect(refusalIn(await bob.get(`v3/directory/room/${encoded("#x:one.test")}`))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("leads to all servers in the room, also once nobody of that server is in it any more", async () => {
    const roomId = await createRoom(scene, alice, { room_alias_name: "attic" });
    const alias = encoded("#attic:one.test");
    await joinByBob(scene, roomId);
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
    const roomId = await createRoom(scene, alice, {
      room_alias_name: "attic",
      power_level_content_override: { users_default: 50 },
    });
    await createRoom(scene, alice, { room_alias_name: "cellar" });
    await joinByBob(scene, roomId);
    const path = `v3/rooms/${encoded(roomId)}/state/m.room.canonical_alias/`;
    const named = { alias: "#attic:one.test", alt_aliases: ["#attic:one.test"] };
    for (const alias of ["#cellar:one.test", "#x:one.test", "#attic:away.test", "#attic:two.test"]) {
      expect(refusalIn(await bob.put(path, { ...named, alt_aliases: [alias] })), alias).toEqual([400, "M_BAD_ALIAS"]);
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
      listed.push(await createRoom(scene, alice, { name, visibility: "public" }));
    }
    await createRoom(scene, alice, { name: "Hidden" });
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
    await createRoom(scene, alice, { name: "Attic", visibility: "public" });
    await createRoom(scene, alice, { name: "Ours", visibility: "public", creation_content: { "m.federate": false } });
    const names = (reply: FederatedReply) => listOf(reply.body.chunk).map((room) => room.name);
    const listed = await bob.get("v3/publicRooms?server=one.test");
    expect(names(listed)).toEqual(["Attic"]);
    expect(listed.body.total_room_count_estimate).toBe(1);
    const search = { filter: { generic_search_term: "ours" } };
    expect(names(await bob.post("v3/publicRooms?server=one.test", search))).toEqual([]);
    expect(names(await alice.get("v3/publicRooms"))).toEqual(expect.arrayContaining(["Attic", "Ours"]));
  });

  it("are refused where the server is none, is away, or says something else", async () => {
    expect(refusalIn(await bob.get("v3/publicRooms?server=a%20b"))).toEqual([400, "M_INVALID_PARAM"]);
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
    expect(refusalIn(await exchange(token))).toEqual([401, "M_UNKNOWN_TOKEN"]);
  });

  it("is good for nothing else, and nothing else is good for it", async () => {
    const token = String((await request(alice)).body.access_token);
    const asClient = await one.request("GET", "/_matrix/client/v3/account/whoami", { token });
    expect(refusalIn(asClient)).toEqual([401, "M_UNKNOWN_TOKEN"]);
    for (const other of [alice.token, "", "x", `${token}x`, token.replace("tso_", "tsr_")]) {
      expect((await exchange(other)).status, other).toBe(401);
    }
    const forBob = await alice.post(`v3/user/${bob.userId}/openid/request_token`);
    expect(refusalIn(forBob)).toEqual([403, "M_FORBIDDEN"]);
    expect(
      refusalIn(await one.request("POST", `/_matrix/client/v3/user/${alice.userId}/openid/request_token`)),
    ).toEqual([401, "M_MISSING_TOKEN"]);
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

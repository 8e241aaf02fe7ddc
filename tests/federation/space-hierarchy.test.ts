/** Rooms and spaces of other servers, as clients are told of them before they join. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject } from "../../shared/json.ts";
import type { FederatedReply, FederatedServer, FederatedUser, Federation } from "../support/federation.ts";
import { listOf } from "../support/read-history.ts";
import { TestPeer } from "../support/test-peer.ts";
import { createRoom, joinByBob, refusalIn, type TwoServers, twoServers } from "../support/two-servers.ts";

let scene: TwoServers;
let federation: Federation;
let one: FederatedServer;
let two: FederatedServer;
let alice: FederatedUser;
let bob: FederatedUser;

beforeEach(async () => {
  scene = await twoServers();
  ({ federation, one, two, alice, bob } = scene);
});
afterEach(() => federation.close());

const encoded = encodeURIComponent;

const asked = (part: string): number => federation.exchanges.filter(({ path }) => path.includes(part)).length;

describe("a summary of a room of another server", () => {
  const summary = (person: FederatedUser, room: string, query = "") =>
    person.get(`v1/room_summary/${encoded(room)}${query}`);

  it("is what that server tells, by way of an alias, of the servers named, or of the room id's", async () => {
    const fields = { name: "Attic", room_alias_name: "attic" };
    const roomId = await createRoom(scene, alice, fields);
    const old = await createRoom(scene, alice, { name: "Old", room_version: "10" });
    const told = { room_id: roomId, name: "Attic", join_rule: "public", num_joined_members: 1, room_version: "12" };
    for (const reply of [await summary(bob, "#attic:one.test"), await summary(bob, roomId, "?via=one.test")]) {
      expect(reply.status, reply.text).toBe(200);
      expect(reply.body).toMatchObject(told);
      expect(reply.body).not.toHaveProperty("membership");
    }
    expect((await summary(bob, old)).body).toMatchObject({ name: "Old" });
    // The id of a room of version 12 does not say whom to ask.
    expect(refusalIn(await summary(bob, roomId))).toEqual([404, "M_NOT_FOUND"]);
    one.isUp = false;
    expect(refusalIn(await summary(bob, roomId, "?via=one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("is given to nobody who could neither join nor read it, though it is told to their server", async () => {
    const carol = await two.user("carol");
    const roomId = await createRoom(scene, alice, { name: "Secret", preset: "private_chat" });
    expect(refusalIn(await summary(bob, roomId, "?via=one.test"))).toEqual([404, "M_NOT_FOUND"]);
    await alice.post(`v3/rooms/${encoded(roomId)}/invite`, { user_id: bob.userId });
    await federation.settle();
    const told = await summary(bob, roomId, "?via=one.test");
    expect(told.body).toMatchObject({ name: "Secret", membership: "invite" });
    expect(refusalIn(await summary(carol, roomId, "?via=one.test"))).toEqual([404, "M_NOT_FOUND"]);
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
    const root = await createRoom(scene, alice, { ...space, name: "Root" });
    const plain = await createRoom(scene, alice, { name: "Plain" });
    const secret = await createRoom(scene, alice, { name: "Secret", preset: "private_chat" });
    const inner = await createRoom(scene, bob, { ...space, name: "Inner" });
    const far = await createRoom(scene, bob, { name: "Far" });
    const farSecret = await createRoom(scene, bob, { name: "Far secret", preset: "private_chat" });
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
      expect(refusalIn(await hierarchy(alice, root, query)), query).toEqual([400, "M_INVALID_PARAM"]);
    }
  });

  it("is shown to nobody who could neither join nor read it", async () => {
    const root = await createRoom(scene, alice, { ...space, preset: "private_chat" });
    const carol = await one.user("carol");
    expect(refusalIn(await hierarchy(carol, root))).toEqual([403, "M_FORBIDDEN"]);
    expect(refusalIn(await hierarchy(carol, "!nothing:one.test"))).toEqual([403, "M_FORBIDDEN"]);
    await alice.post(`v3/rooms/${encoded(root)}/invite`, { user_id: carol.userId });
    expect((await hierarchy(carol, root)).status).toBe(200);
    await alice.post(`v3/rooms/${encoded(root)}/ban`, { user_id: carol.userId });
    expect((await hierarchy(carol, root)).status).toBe(403);
  });

  it("shows a restricted room to members of the rooms that its rule names, over servers too", async () => {
    const { root } = await tree();
    const rule = { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: root }] };
    const state = [{ type: "m.room.join_rules", state_key: "", content: rule }];
    const restricted = await createRoom(scene, alice, {
      name: "Members",
      preset: "private_chat",
      initial_state: state,
    });
    await add(alice, root, restricted, { via: ["one.test"] });
    const carol = await one.user("carol");
    expect(names(await hierarchy(carol, root))).not.toContain("Members");
    await carol.post(`v3/join/${encoded(root)}`);
    expect(names(await hierarchy(carol, root))).toContain("Members");
    const remote = () => hierarchy(bob, root);
    await joinByBob(scene, root);
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
    expect(refusalIn(await ask(secret))).toEqual([404, "M_NOT_FOUND"]);
    expect(refusalIn(await ask("!nothing:one.test"))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("is not walked without end, whatever a server says is in it", async () => {
    const root = await createRoom(scene, alice, { ...space, name: "Root" });
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

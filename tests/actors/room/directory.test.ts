import { describe, expect, it } from "vitest";
import { writeDirectoryMembers, writeRoomSummary } from "../../../actors/directory/rooms.ts";
import { ensureDirectorySchema } from "../../../actors/directory/schema.ts";
import { searchPublicRooms } from "../../../actors/directory/search-rooms.ts";
import { searchUsers } from "../../../actors/directory/search-users.ts";
import { writeDirectoryUser } from "../../../actors/directory/users.ts";
import { onRoomAlarm } from "../../../actors/room/maintenance.ts";
import { roomSummaryOf } from "../../../actors/room/summary.ts";
import { trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { PublicRoomsQuery } from "../../../shared/rpc/server.ts";
import { type NodeDirectory, openNodeDirectory } from "../../support/node-directory.ts";
import { listAt } from "./sync-client.ts";
import {
  alice,
  bob,
  carol,
  createWorld,
  dave,
  membership,
  message,
  refusalOf,
  serverName,
  state,
  type TestRoom,
  user,
  type World,
} from "./world.ts";

function begin(): { world: World; directory: NodeDirectory } {
  const directory = openNodeDirectory();
  return { world: createWorld({}, directory), directory };
}

const published = { preset: "public_chat", visibility: "public" } as const;

function query(directory: NodeDirectory, changes: Partial<PublicRoomsQuery> = {}): Promise<JsonObject> {
  const all = { limit: 100, since: null, searchTerm: null, roomTypes: null, isForServer: false };
  return searchPublicRooms(directory, { ...all, ...changes });
}

async function namesOf(directory: NodeDirectory, changes: Partial<PublicRoomsQuery> = {}): Promise<unknown[]> {
  return listAt(await query(directory, changes), "chunk").map((room) => room.name);
}

async function join(room: TestRoom, ...users: UserId[]): Promise<void> {
  for (const userId of users) await room.rpc.changeMembership(membership("join", userId));
}

const rowsOf = (directory: NodeDirectory, table: string): unknown[] =>
  directory.database.prepare(`SELECT * FROM ${table}`).all();

describe("a room's copy in the directory", () => {
  it("shows a published room as it is", async () => {
    const { world, directory } = begin();
    const room = await world.create({
      ...published,
      name: "Cheese",
      topic: "Tasty",
      creationContent: { type: "m.space" },
      initialState: [
        { type: "m.room.history_visibility", stateKey: "", content: { history_visibility: "world_readable" } },
        { type: "m.room.guest_access", stateKey: "", content: { guest_access: "can_join" } },
        { type: "m.room.avatar", stateKey: "", content: { url: "mxc://a/b" } },
      ],
      alias: trusted.roomAlias(`#cheese:${serverName}`),
    });
    await join(room, bob);
    await world.settle();
    expect(await query(directory)).toEqual({
      chunk: [
        {
          room_id: room.roomId,
          name: "Cheese",
          topic: "Tasty",
          canonical_alias: `#cheese:${serverName}`,
          avatar_url: "mxc://a/b",
          room_type: "m.space",
          join_rule: "public",
          num_joined_members: 2,
          world_readable: true,
          guest_can_join: true,
        },
      ],
      total_room_count_estimate: 1,
    });
  });

  it("follows changes, publishing and unpublishing, and redactions", async () => {
    const { world, directory } = begin();
    const room = await world.create({ ...published, name: "Old" });
    await world.settle();
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "New" }));
    await join(room, bob, carol);
    await room.rpc.changeMembership(membership("leave", bob));
    await world.settle();
    expect(listAt(await query(directory), "chunk")).toMatchObject([{ name: "New", num_joined_members: 2 }]);
    expect(await namesOf(directory, { searchTerm: "old" })).toEqual([]);
    await room.rpc.setDirectoryVisibility(alice, "private");
    await world.settle();
    expect(await query(directory)).toEqual({ chunk: [], total_room_count_estimate: 0 });
    await room.rpc.setDirectoryVisibility(alice, "public");
    await world.settle();
    expect(await namesOf(directory)).toEqual(["New"]);
  });

  it("holds nothing that describes a room which is not published", async () => {
    const { world, directory } = begin();
    await world.create({ name: "Secret name", topic: "Secret topic" });
    await world.settle();
    expect(rowsOf(directory, "room_summary")).toHaveLength(1);
    expect(JSON.stringify([rowsOf(directory, "room_summary"), rowsOf(directory, "room_search")])).not.toMatch(
      /secret/i,
    );
  });

  it("costs nothing for messages", async () => {
    const { world, directory } = begin();
    const room = await world.create(published);
    await world.settle();
    directory.failures = ["before"];
    await room.rpc.sendEvent(message(alice, "hello"));
    await world.settle();
    expect(directory.failures).toHaveLength(1);
  });

  it("is written by the alarm when the directory was out of reach, or its answer or the instance was lost", async () => {
    for (const failure of ["before", "after"] as const) {
      const { world, directory } = begin();
      const room = await world.create({ ...published, name: "Room" });
      await world.settle();
      directory.failures = [failure];
      await room.rpc.sendEvent(state(alice, "m.room.name", { name: "Renamed" }));
      await world.settle().catch(() => undefined);
      expect(room.alarmAt).not.toBeNull();
      room.evict();
      await onRoomAlarm(room.context);
      expect(await namesOf(directory)).toEqual(["Renamed"]);
      const facts = room.context.store.room.get();
      expect(facts.directoryPosition).toBeGreaterThanOrEqual(facts.directoryOwed);
    }
  });

  it("is not undone by a write that comes too late", async () => {
    const { world, directory } = begin();
    const room = await world.create({ ...published, name: "Old" });
    await world.settle();
    const old = roomSummaryOf(room.context);
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "New" }));
    await join(room, bob);
    await world.settle();
    await writeRoomSummary(directory, old);
    await writeDirectoryMembers(directory, room.roomId, [{ userId: bob, isJoined: false }], old.position);
    expect(await namesOf(directory)).toEqual(["New"]);
    expect(await namesOf(directory, { searchTerm: "new" })).toEqual(["New"]);
    expect(rowsOf(directory, "directory_members")).toContainEqual(
      expect.objectContaining({ user_id: bob, is_joined: 1 }),
    );
  });

  it("can be made anew from nothing", async () => {
    const { world, directory } = begin();
    const room = await world.create({ ...published, name: "Room" });
    const many = Array.from({ length: 20 }, (_, index) => user(`u${index}`));
    await join(room, ...many);
    await room.rpc.changeMembership(membership("leave", user("u3")));
    await world.settle();
    const before = [rowsOf(directory, "room_summary"), rowsOf(directory, "directory_members")];
    for (const table of ["room_summary", "room_search", "directory_members"]) {
      directory.database.exec(`DELETE FROM ${table}`);
    }
    await room.rpc.rebuildDirectory();
    const strip = (rows: unknown): unknown =>
      JSON.parse(JSON.stringify(rows, (key, value) => (key === "position" ? 0 : value)));
    const after = [rowsOf(directory, "room_summary"), rowsOf(directory, "directory_members")];
    expect(strip(after)).toEqual(strip(before));
    expect(await namesOf(directory, { searchTerm: "room" })).toEqual(["Room"]);
  });
});

describe("searchPublicRooms", () => {
  async function rooms(): Promise<NodeDirectory> {
    const { world, directory } = begin();
    const wishes: [string, string, number, JsonObject][] = [
      ["Gardening", "Roses and tulips", 3, {}],
      ["Cooking", "Tulip soup", 2, { type: "m.space" }],
      ["ÉCOLE", "日本語の部屋", 1, { type: "org.example" }],
      ["Chess", "", 1, {}],
      ['100% "quoted" OR NEAR(x)', "", 0, {}],
    ];
    for (const [name, topic, members, creationContent] of wishes) {
      const room = await world.create({ ...published, name, topic: topic || null, creationContent });
      await join(room, ...[bob, carol, dave].slice(0, members));
    }
    await world.create({ preset: "public_chat", name: "Not listed" });
    await world.settle();
    return directory;
  }

  it("lists those with most members first", async () => {
    const directory = await rooms();
    const names = await namesOf(directory);
    expect(names.slice(0, 2)).toEqual(["Gardening", "Cooking"]);
    expect(new Set(names.slice(2, 4))).toEqual(new Set(["ÉCOLE", "Chess"]));
    expect(names).toHaveLength(5);
  });

  it("pages in both directions, each room once", async () => {
    const directory = await rooms();
    const all = await namesOf(directory);
    for (const limit of [1, 2, 3, 4, 5]) {
      const forward: unknown[] = [];
      let page: JsonObject = await query(directory, { limit });
      expect(page).not.toHaveProperty("prev_batch");
      let last = page;
      for (let pages = 0; pages < 10; pages += 1) {
        forward.push(...listAt(page, "chunk").map((room) => room.name));
        expect(page.total_room_count_estimate).toBe(5);
        last = page;
        if (typeof page.next_batch !== "string") break;
        page = await query(directory, { limit, since: page.next_batch });
      }
      expect(forward).toEqual(all);
      const backward = listAt(last, "chunk").map((room) => room.name);
      while (typeof last.prev_batch === "string") {
        last = await query(directory, { limit, since: last.prev_batch });
        expect(last).toHaveProperty("next_batch");
        backward.unshift(...listAt(last, "chunk").map((room) => room.name));
      }
      expect(backward).toEqual(all);
    }
  });

  it("finds words of any length in name, topic and alias, whatever their case", async () => {
    const directory = await rooms();
    const find = (searchTerm: string): Promise<unknown[]> => namesOf(directory, { searchTerm });
    expect(await find("tulip")).toEqual(["Gardening", "Cooking"]);
    expect(await find("TULIP soup")).toEqual(["Cooking"]);
    expect(await find("école")).toEqual(["ÉCOLE"]);
    expect(await find("本語の")).toEqual(["ÉCOLE"]);
    expect(await find("日本")).toEqual(["ÉCOLE"]);
    expect(await find("ss")).toEqual(["Chess"]);
    expect(await find("")).toHaveLength(5);
    expect(await find("nothing like it")).toEqual([]);
  });

  it("takes nothing in a search term for syntax", async () => {
    const directory = await rooms();
    const find = (searchTerm: string): Promise<unknown[]> => namesOf(directory, { searchTerm });
    const quoted = '100% "quoted" OR NEAR(x)';
    for (const term of [quoted, '"quoted"', "NEAR(", "100%"]) expect(await find(term)).toEqual([quoted]);
    for (const term of ["tulip*", "name:tulip", "tulip OR chess", "%", "_", "'; DROP TABLE room_summary; --"]) {
      expect([term, (await find(term)).filter((name) => name !== quoted)]).toEqual([term, []]);
    }
    for (const term of ["\0", '"', "x".repeat(100_000), "\ud800abc", "(((((", "-abc", "^abc"]) {
      expect(await refusalOf(query(directory, { searchTerm: term }))).toBeNull();
    }
  });

  it("filters by room type, null being no type", async () => {
    const directory = await rooms();
    expect(await namesOf(directory, { roomTypes: ["m.space"] })).toEqual(["Cooking"]);
    expect(await namesOf(directory, { roomTypes: [null, "m.space"] })).toHaveLength(4);
    expect(await namesOf(directory, { roomTypes: [] })).toEqual([]);
    expect((await query(directory, { roomTypes: ["m.space"] })).total_room_count_estimate).toBe(1);
  });

  it("refuses a token that is none of its own", async () => {
    const { directory } = begin();
    for (const since of [
      "",
      "x",
      "W10",
      "bnVsbA",
      Buffer.from('["n","1","!a"]').toString("base64url"),
      "A".repeat(600),
    ]) {
      expect([since, await refusalOf(query(directory, { since }))]).toEqual([since, [400, "M_INVALID_PARAM"]]);
    }
  });
});

describe("searchUsers", () => {
  async function people(): Promise<{ world: World; directory: NodeDirectory; room: TestRoom }> {
    const { world, directory } = begin();
    const names: [UserId, string | null][] = [
      [alice, "Alice Liddell"],
      [bob, "Bob"],
      [carol, null],
      [dave, "Alicia"],
    ];
    for (const [userId, displayName] of names) {
      await writeDirectoryUser(directory, { userId, isActive: true, displayName, avatarUrl: null, position: 1 });
    }
    const room = await world.create();
    await room.rpc.changeMembership(membership("invite", alice, bob));
    await join(room, bob);
    await world.settle();
    return { world, directory, room };
  }

  async function find(directory: NodeDirectory, requester: UserId, searchTerm: string, limit = 10): Promise<unknown> {
    const answer = await searchUsers(directory, { requester, searchTerm, limit });
    return listAt(answer, "results").map((result) => result.user_id);
  }

  it("finds those with whom one shares a room, and nobody else", async () => {
    const { world, directory, room } = await people();
    expect(await find(directory, bob, "alic")).toEqual([alice]);
    expect(await find(directory, carol, "alic")).toEqual([]);
    expect(await find(directory, alice, "alic")).toEqual([]);
    await room.rpc.changeMembership(membership("leave", bob));
    await world.settle();
    expect(await find(directory, bob, "alic")).toEqual([]);
  });

  it("finds everybody who is in a public room, oneself included", async () => {
    const { world, directory } = await people();
    const open = await world.create({ creator: dave, preset: "public_chat" });
    await world.settle();
    expect(await find(directory, carol, "alic")).toEqual([dave]);
    expect(await find(directory, dave, "alic")).toEqual([dave]);
    await open.rpc.sendEvent(state(dave, "m.room.join_rules", { join_rule: "invite" }));
    await world.settle();
    expect(await find(directory, carol, "alic")).toEqual([]);
    await open.rpc.sendEvent(state(dave, "m.room.history_visibility", { history_visibility: "world_readable" }));
    await world.settle();
    expect(await find(directory, carol, "alic")).toEqual([dave]);
  });

  it("looks at user ids and display names, by words of any length, the closest first", async () => {
    const { world, directory } = await people();
    const open = await world.create({ preset: "public_chat" });
    await join(open, bob, carol, dave);
    await world.settle();
    const by = (term: string): Promise<unknown> => find(directory, carol, term);
    expect(await by("alic")).toEqual([alice, dave]);
    expect(await by("alicia")).toEqual([dave]);
    expect(await by("lidd ali")).toEqual([alice]);
    expect(await by(carol)).toEqual([carol]);
    expect(await by("CAROL")).toEqual([carol]);
    expect(await by("b")).toEqual([bob]);
    expect(await by("al")).toEqual([alice, dave]);
    expect(await by("bo b")).toEqual([bob]);
    expect(await by("zz")).toEqual([]);
    expect(await by("   ")).toEqual([]);
    expect(await by("@")).not.toEqual([]);
    const answer = await searchUsers(directory, { requester: carol, searchTerm: "alice", limit: 10 });
    expect(answer).toEqual({ limited: false, results: [{ user_id: alice, display_name: "Alice Liddell" }] });
  });

  it("says whether there were more", async () => {
    const { world, directory } = await people();
    const open = await world.create({ preset: "public_chat" });
    await join(open, bob, carol, dave);
    await world.settle();
    const ask = (limit: number): Promise<JsonObject> =>
      searchUsers(directory, { requester: carol, searchTerm: serverName, limit });
    expect(await ask(3)).toMatchObject({ limited: true, results: { length: 3 } });
    expect(await ask(4)).toMatchObject({ limited: false, results: { length: 4 } });
    expect(listAt(await ask(0), "results")).toHaveLength(1);
  });

  it("finds a user by the newest name only, and none that was deactivated", async () => {
    const { directory } = await people();
    const row = { userId: alice, isActive: true, avatarUrl: null };
    await writeDirectoryUser(directory, { ...row, displayName: "Newer", position: 3 });
    await writeDirectoryUser(directory, { ...row, displayName: "Older", position: 2 });
    expect(await find(directory, bob, "newer")).toEqual([alice]);
    expect(await find(directory, bob, "older")).toEqual([]);
    expect(await find(directory, bob, "liddell")).toEqual([]);
    await writeDirectoryUser(directory, { ...row, isActive: false, displayName: null, position: 4 });
    expect(await find(directory, bob, "alice")).toEqual([]);
    expect(await find(directory, bob, "al")).toEqual([]);
  });
});

describe("the directory's schema", () => {
  it("is made by whoever comes first, many at a time", async () => {
    const directory = openNodeDirectory();
    const others = Array.from({ length: 5 }, () => ({ batch: directory.batch, all: directory.all }));
    await Promise.all([directory, ...others].map((database) => ensureDirectorySchema(database)));
    const versions = directory.database.prepare("SELECT version FROM directory_schema ORDER BY version").all();
    expect(versions.map((row) => row.version)).toEqual([1, 2, 3]);
  });

  it("is tried again after a failure", async () => {
    const directory = openNodeDirectory();
    directory.failures = ["before"];
    const ask = (): Promise<JsonObject> => query(directory);
    await expect(ask()).rejects.toThrow("out of reach");
    expect(await ask()).toEqual({ chunk: [], total_room_count_estimate: 0 });
  });
});

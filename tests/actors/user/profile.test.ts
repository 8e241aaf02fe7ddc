import { describe, expect, it } from "vitest";
import type { RoomId } from "../../../shared/ids.ts";
import { alice, errcodeOf, register, room, World } from "./world.ts";

/** Alice, joined to these rooms. */
async function aliceIn(...names: string[]): Promise<World> {
  const world = new World();
  await register(world, alice);
  for (const [index, name] of names.entries()) {
    const position = index + 1;
    const wake = { roomId: room(name), head: position, membership: "join", membershipPosition: position } as const;
    await world.user(alice).rpc.roomAdvanced(wake);
  }
  return world;
}

const told = (world: World): [RoomId, unknown][] =>
  world.rooms.profiles.map(({ roomId, profile }) => [roomId, profile.displayname]);

describe("setProfileField", () => {
  it("stores the field, and tells joined rooms and the user directory", async () => {
    const world = await aliceIn("one", "two");
    const { rpc } = world.user(alice);
    await rpc.setProfileField("displayname", "Alice");
    await rpc.setProfileField("avatar_url", "mxc://tessera.test/abc");
    await world.settled();
    await expect(rpc.getProfile()).resolves.toEqual({ displayname: "Alice", avatar_url: "mxc://tessera.test/abc" });
    const last = world.rooms.profiles.slice(-2).map(({ roomId, profile }) => [roomId, profile]);
    const profile = { displayname: "Alice", avatar_url: "mxc://tessera.test/abc" };
    expect(last.sort()).toEqual([room("one"), room("two")].map((roomId) => [roomId, profile]));
    const row = world.directory.prepare("SELECT display_name, avatar_url FROM directory_users").get();
    expect(row).toEqual({ display_name: "Alice", avatar_url: "mxc://tessera.test/abc" });
  });

  it("tells nobody of other fields, or of a change that is none", async () => {
    const world = await aliceIn("one");
    const { rpc } = world.user(alice);
    await rpc.setProfileField("m.tz", "Europe/Berlin");
    await rpc.setProfileField("org.example.pet", { name: "cat", legs: 4 });
    await rpc.setProfileField("displayname", "alice");
    await world.settled();
    expect(world.rooms.profiles).toEqual([]);
    await expect(rpc.getMemberProfile("own", room("one"))).resolves.toEqual({ displayname: "alice" });
    await rpc.deleteProfileField("org.example.pet");
    await expect(rpc.getProfile()).resolves.toEqual({ displayname: "alice", "m.tz": "Europe/Berlin" });
  });

  it("tells every room in the end, whatever fails or dies", async () => {
    const world = await aliceIn("one", "two", "gone", "three");
    const user = world.user(alice);
    world.faults.push({ method: "room.updateMemberProfile", when: "before", times: 3 });
    world.faults.push({ method: "room.updateMemberProfile", when: "after", times: 1 });
    await user.rpc.setProfileField("displayname", "Alice");
    await world.settled();
    user.evict();
    await user.ring();
    expect(new Set(told(world).map(([roomId]) => roomId))).toEqual(new Set(["one", "two", "three"].map(room)));
    expect(user.sql.all("SELECT * FROM obligations")).toEqual([]);
  });

  it("ends with the newest profile when it changes while rooms are being told", async () => {
    const world = await aliceIn("one");
    const { rpc } = world.user(alice);
    await Promise.all([1, 2, 3, 4, 5].map((n) => rpc.setProfileField("displayname", `Alice ${n}`)));
    await world.settled();
    expect(told(world).at(-1)).toEqual([room("one"), "Alice 5"]);
    expect(world.user(alice).sql.all("SELECT * FROM obligations")).toEqual([]);
  });

  it("tells a room that was given the profile for a join just before it changed", async () => {
    const world = await aliceIn();
    const { rpc } = world.user(alice);
    const joined = { roomId: room("one"), head: 5, membership: "join", membershipPosition: 5 } as const;
    await rpc.getMemberProfile("own", room("one"));
    await rpc.getMemberProfile("own", room("two"));
    await rpc.setProfileField("displayname", "Alice");
    await rpc.getMemberProfile("own", room("two"));
    await world.settled();
    expect(told(world)).toEqual([]);
    await rpc.roomAdvanced(joined);
    await rpc.roomAdvanced({ ...joined, roomId: room("two") });
    await rpc.roomAdvanced({ ...joined, head: 6 });
    await world.settled();
    expect(told(world)).toEqual([[room("one"), "Alice"]]);
  });

  it("remembers what rooms were given for a thousand of them", async () => {
    const world = await aliceIn();
    const user = world.user(alice);
    for (let n = 0; n <= 1_000; n += 1) await user.rpc.getMemberProfile("own", room(`room-${n}`));
    expect(user.context.memory.profilesGiven.size).toBe(1_000);
    expect(user.context.memory.profilesGiven.has(room("room-0"))).toBe(false);
  });

  it("counts up the versions that it tells", async () => {
    const world = await aliceIn("one");
    const { rpc } = world.user(alice);
    for (const name of ["a", "b"]) {
      await rpc.setProfileField("displayname", name);
      await world.settled();
    }
    const [first, second] = world.rooms.profiles.map(({ version }) => version);
    expect(second).toBe((first ?? Number.NaN) + 1);
  });

  it("takes a name or avatar away when it is set to nothing", async () => {
    const world = await aliceIn("one");
    await world.user(alice).rpc.setProfileField("displayname", "");
    await world.settled();
    await expect(world.user(alice).rpc.getProfile()).resolves.toEqual({});
    expect(told(world)).toEqual([[room("one"), undefined]]);
  });

  it.each([
    ["displayname", "d".repeat(256), "none"],
    ["displayname", "d".repeat(257), "M_INVALID_PARAM"],
    ["displayname", null, "M_INVALID_PARAM"],
    ["displayname", 1, "M_INVALID_PARAM"],
    ["displayname", "\ud800", "M_INVALID_PARAM"],
    ["avatar_url", `mxc://a/${"b".repeat(1000 - 8)}`, "none"],
    ["avatar_url", `mxc://a/${"b".repeat(1001 - 8)}`, "M_INVALID_PARAM"],
    ["avatar_url", "https://example.org/a.png", "M_INVALID_PARAM"],
    ["m.tz", 3, "M_INVALID_PARAM"],
    [`a.${"b".repeat(253)}`, 1, "none"],
    [`a.${"b".repeat(254)}`, 1, "M_KEY_TOO_LARGE"],
    ["Upper.case", 1, "M_INVALID_PARAM"],
    ["unnamespaced", 1, "M_INVALID_PARAM"],
    ["__proto__", 1, "M_INVALID_PARAM"],
    ["org.example.null", null, "none"],
    ["org.example.float", 0.5, "none"],
  ])("answers %s = %j with %s", async (name, value, expected) => {
    const world = await aliceIn();
    expect(await errcodeOf(world.user(alice).rpc.setProfileField(name, value))).toBe(expected);
  });

  it("keeps the whole profile under 64 KiB", async () => {
    const world = await aliceIn();
    const { rpc } = world.user(alice);
    const fixed = JSON.stringify({ displayname: "alice", "a.b": "" }).length;
    const attempt = (total: number) => errcodeOf(rpc.setProfileField("a.b", "x".repeat(total - fixed)));
    expect(await attempt(65_534)).toBe("none");
    expect(await attempt(65_535)).toBe("none");
    expect(await attempt(65_536)).toBe("M_PROFILE_TOO_LARGE");
    // What is too large already may be made smaller.
    expect(await errcodeOf(rpc.deleteProfileField("a.b"))).toBe("none");
  });

  it("refuses a user without an account", async () => {
    const world = new World();
    expect(await errcodeOf(world.user(alice).rpc.setProfileField("displayname", "x"))).toBe("M_NOT_FOUND");
    expect(await errcodeOf(world.user(alice).rpc.getProfile())).toBe("M_NOT_FOUND");
    await expect(world.user(alice).rpc.getMemberProfile("own", room("one"))).resolves.toEqual({});
  });
});

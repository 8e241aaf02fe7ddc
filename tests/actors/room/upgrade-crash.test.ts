/** Room upgrades among crashes, refusals and repeats. */
import { describe, expect, it } from "vitest";
import { findCurrentState } from "../../../actors/room/state.ts";
import { UpgradeStore } from "../../../actors/room/store/upgrades.ts";
import { type RoomId, trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import {
  alice,
  bob,
  createWorld,
  dave,
  membership,
  refusalOf,
  serverName,
  state,
  type TestRoom,
  type World,
} from "./world.ts";

const alias = trusted.roomAlias(`#old:${serverName}`);
const banned = trusted.userId("@spam:elsewhere.example");

const upgrade = (requester: UserId, newVersion = "11", additionalCreators: UserId[] = []) => ({
  requester,
  newVersion,
  additionalCreators,
});

/** A public room with an alias, of which Bob is a moderator: to upgrade it he must take power and give it back. */
async function oldRoom(world: World): Promise<TestRoom> {
  const users = { [alice]: 100, [bob]: 50 };
  const events = { "m.room.tombstone": 50, "m.room.encryption": 100, "m.room.power_levels": 50 };
  const room = await world.create({
    roomVersion: "10",
    preset: "public_chat",
    visibility: "public",
    name: "the room",
    powerLevelContentOverride: { users, events },
    initialState: [{ type: "m.room.encryption", stateKey: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
  });
  world.aliases.set(alias, room.roomId);
  await room.rpc.sendEvent(state(alice, "m.room.canonical_alias", { alias }));
  await room.rpc.changeMembership(membership("join", bob));
  await room.rpc.changeMembership(membership("ban", alice, banned));
  await world.settle();
  return room;
}

const content = (room: TestRoom, type: string, stateKey = ""): JsonObject | null =>
  findCurrentState(room.context.store, type, stateKey)?.event.content ?? null;

/** Rooms that were made to replace this one. */
function replacementsOf(world: World, old: TestRoom): TestRoom[] {
  return world.rooms().filter((room) => room.context.store.room.find() !== null && room !== old);
}

const isPublished = (room: TestRoom): boolean => room.context.store.room.get().isPublished;
const upgradeOf = (room: TestRoom) => new UpgradeStore(room.sql).find();

/** Until the old room points to a new one, nobody can find that. */
function expectHarmless(world: World, old: TestRoom): void {
  if (content(old, "m.room.tombstone") !== null) return;
  expect(world.aliases.get(alias)).toBe(old.roomId);
  expect(isPublished(old)).toBe(true);
  for (const room of replacementsOf(world, old)) expect(isPublished(room)).toBe(false);
}

function expectReplaced(world: World, old: TestRoom, roomId: RoomId): void {
  const rooms = replacementsOf(world, old);
  expect(rooms.map((room) => room.roomId)).toEqual([roomId]);
  const replacement = world.room(roomId);
  expect(content(old, "m.room.tombstone")).toMatchObject({ replacement_room: roomId });
  expect(content(replacement, "m.room.create")).toMatchObject({ predecessor: { room_id: old.roomId } });
  expect(content(replacement, "m.room.name")).toEqual({ name: "the room" });
  expect(content(replacement, "m.room.encryption")).not.toBeNull();
  expect(content(replacement, "m.room.member", banned)).toEqual({ membership: "ban" });
  expect(content(replacement, "m.room.power_levels")?.users).toEqual({ [alice]: 100, [bob]: 50 });
  expect(world.aliases.get(alias)).toBe(roomId);
  expect(content(replacement, "m.room.canonical_alias")).toEqual({ alias });
  expect(content(old, "m.room.canonical_alias")).toEqual({});
  expect(content(old, "m.room.power_levels")).toMatchObject({ events_default: 50, invite: 50 });
  expect([isPublished(old), isPublished(replacement)]).toEqual([false, true]);
  expect(upgradeOf(old)).toMatchObject({ step: "done", roomId });
}

/** Calls `die` at each step of what follows: before each call, before its answer arrives, at each commit. */
function atEachStep(world: World, die: (step: string) => void): void {
  world.onCall = die;
  world.onCommit = () => die("commit");
}

function inPeace(world: World): void {
  world.onCall = null;
  world.onCommit = () => undefined;
}

async function ringUntilDone(world: World): Promise<void> {
  for (let rings = 0; rings < 20; rings += 1) if (!(await world.ring())) return;
}

async function stepsOfUpgrade(): Promise<string[]> {
  const world = createWorld();
  const room = await oldRoom(world);
  const steps: string[] = [];
  atEachStep(world, (step) => void steps.push(step));
  await room.rpc.upgradeRoom(upgrade(bob));
  inPeace(world);
  await world.settle();
  return steps;
}

/** An upgrade that is cut short by a crash at its n-th step. */
async function crashedAt(n: number): Promise<{ world: World; room: TestRoom }> {
  const world = createWorld();
  const room = await oldRoom(world);
  let count = 0;
  atEachStep(world, (step) => {
    count += 1;
    if (count < n) return;
    if (count === n) world.crash();
    throw new Error(`crashed: ${step}`);
  });
  await room.rpc.upgradeRoom(upgrade(bob)).catch(() => null);
  await world.settle();
  expect(count).toBeGreaterThanOrEqual(n);
  inPeace(world);
  expectHarmless(world, room);
  return { world, room };
}

describe("upgradeRoom, cut short by a crash at any step", () => {
  it("ends in one replacement when the client asks again", async () => {
    const steps = await stepsOfUpgrade();
    expect(steps).toContain("after server.moveAliases");
    expect(steps.length).toBeGreaterThan(30);
    for (let n = 1; n <= steps.length; n += 1) {
      const { world, room } = await crashedAt(n);
      const { roomId } = await room.rpc.upgradeRoom(upgrade(bob));
      expectReplaced(world, room, roomId);
      expect(await room.rpc.upgradeRoom(upgrade(bob))).toEqual({ roomId });
      await ringUntilDone(world);
      expectReplaced(world, room, roomId);
    }
  });

  it("ends in one replacement, or in none and nothing left over, when nobody asks again", async () => {
    const steps = await stepsOfUpgrade();
    const outcomes = new Set<string>();
    for (let n = 1; n <= steps.length; n += 1) {
      const { world, room } = await crashedAt(n);
      const stored = upgradeOf(room);
      await ringUntilDone(world);
      if (stored === null) expect(replacementsOf(world, room)).toEqual([]);
      else expectReplaced(world, room, stored.roomId);
      outcomes.add(stored?.step ?? "none");
    }
    expect([...outcomes].sort()).toEqual(["close", "create", "done", "levels", "move", "none"]);
  });
});

describe("upgradeRoom, refused or failing on the way", () => {
  it("leaves what it has made when the requester loses the power to point to it", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    const levels = { ...content(room, "m.room.power_levels"), users: { [alice]: 100 } };
    let isDone = false;
    world.onCall = async (step) => {
      if (step !== "after room.createRoom" || isDone) return;
      isDone = true;
      await room.rpc.sendEvent(state(alice, "m.room.power_levels", levels));
    };
    expect(await refusalOf(room.rpc.upgradeRoom(upgrade(bob)))).toEqual([403, "M_FORBIDDEN"]);
    inPeace(world);
    const [orphan] = replacementsOf(world, room);
    if (orphan === undefined) throw new Error("no room was made");
    expect(content(orphan, "m.room.member", bob)).toEqual({ membership: "leave" });
    expect(content(room, "m.room.tombstone")).toBeNull();
    expectHarmless(world, room);
    expect(upgradeOf(room)).toBeNull();
    expect(await orphan.rpc.findReplacedRoom()).toBeNull();
    const { roomId } = await room.rpc.upgradeRoom(upgrade(alice));
    expect(roomId).not.toBe(orphan.roomId);
    expect(content(room, "m.room.tombstone")).toMatchObject({ replacement_room: roomId });
  });

  it("leaves it later where that fails, and takes no other upgrade until then", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    const levels = { ...content(room, "m.room.power_levels"), users: { [alice]: 100 } };
    world.onCall = async (step) => {
      if (step === "before room.changeMembership") throw new Error("the call was lost");
      if (step === "after room.createRoom") await room.rpc.sendEvent(state(alice, "m.room.power_levels", levels));
    };
    expect(await refusalOf(room.rpc.upgradeRoom(upgrade(bob)))).toEqual([403, "M_FORBIDDEN"]);
    expect(upgradeOf(room)?.step).toBe("abandon");
    expect(await refusalOf(room.rpc.upgradeRoom(upgrade(alice)))).toEqual([400, "M_UNKNOWN"]);
    inPeace(world);
    await ringUntilDone(world);
    expect(upgradeOf(room)).toBeNull();
    expect(replacementsOf(world, room).map((made) => content(made, "m.room.member", bob)?.membership)).toEqual([
      "leave",
    ]);
  });

  it("is given up when the replacement cannot be made, again and again", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    const before = world.clock.now();
    let calls = 0;
    world.onCall = (step) => {
      if (step !== "before room.createRoom") return;
      calls += 1;
      throw new Error("the call was lost");
    };
    await expect(room.rpc.upgradeRoom(upgrade(bob))).rejects.toThrow("lost");
    await ringUntilDone(world);
    expect(calls).toBe(10);
    expect(world.clock.now() - before).toBeGreaterThan(3_600_000);
    expect(upgradeOf(room)).toBeNull();
    inPeace(world);
    const { roomId } = await room.rpc.upgradeRoom(upgrade(bob));
    await ringUntilDone(world);
    expectReplaced(world, room, roomId);
  });

  it("answers once the tombstone is stored, and tries the rest again for as long as it takes", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    let calls = 0;
    world.onCall = (step) => {
      if (step !== "before server.moveAliases") return;
      calls += 1;
      if (calls <= 15) throw new Error("the call was lost");
    };
    const { roomId } = await room.rpc.upgradeRoom(upgrade(bob));
    expect(content(room, "m.room.tombstone")).toMatchObject({ replacement_room: roomId });
    expect(upgradeOf(room)?.step).toBe("move");
    await ringUntilDone(world);
    expect(calls).toBe(16);
    expectReplaced(world, room, roomId);
  });
});

describe("upgradeRoom, asked for again", () => {
  it("has one answer for one user and version while the tombstone stands", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    const first = await room.rpc.upgradeRoom(upgrade(alice, "12", [bob, dave]));
    expect(await room.rpc.upgradeRoom(upgrade(alice, "12", [dave, bob, dave]))).toEqual(first);
    world.crash();
    expect(await room.rpc.upgradeRoom(upgrade(alice, "12", [bob, dave]))).toEqual(first);
    expect(replacementsOf(world, room)).toHaveLength(1);
    await room.rpc.sendEvent(state(alice, "m.room.tombstone", { body: "elsewhere" }));
    const second = await room.rpc.upgradeRoom(upgrade(alice, "12", [bob, dave]));
    expect(second).not.toEqual(first);
    expect(content(room, "m.room.tombstone")).toMatchObject({ replacement_room: second.roomId });
  });

  it("makes another room of another version", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    const first = await room.rpc.upgradeRoom(upgrade(alice, "11"));
    const second = await room.rpc.upgradeRoom(upgrade(alice, "12"));
    expect(second).not.toEqual(first);
    expect(content(room, "m.room.tombstone")).toMatchObject({ replacement_room: second.roomId });
  });

  it("refuses another user's upgrade while one is under way", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    const [mine, theirs] = await Promise.allSettled([
      room.rpc.upgradeRoom(upgrade(bob)),
      refusalOf(room.rpc.upgradeRoom(upgrade(alice))),
    ]);
    expect(mine.status).toBe("fulfilled");
    expect(theirs).toEqual({ status: "fulfilled", value: [400, "M_UNKNOWN"] });
    expect(replacementsOf(world, room)).toHaveLength(1);
  });
});

describe("findReplacedRoom", () => {
  it("names the predecessor only where that points back", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    expect(await room.rpc.findReplacedRoom()).toBeNull();
    const { roomId } = await room.rpc.upgradeRoom(upgrade(bob));
    expect(await world.room(roomId).rpc.findReplacedRoom()).toBe(room.roomId);
    const claims = [room.roomId, "!unknown:tessera.test", "no room id", 1];
    for (const claim of claims) {
      const made = await world.create({ creationContent: { predecessor: { room_id: claim } } });
      expect(await made.rpc.findReplacedRoom()).toBeNull();
    }
    expect(await world.room(trusted.roomId("!unknown:tessera.test")).rpc.findReplacedRoom()).toBeNull();
  });

  it("names it already while the upgrade is under way, to whoever upgrades", async () => {
    const world = createWorld();
    const room = await oldRoom(world);
    let seen: RoomId | null = null;
    world.onCall = async (step) => {
      if (step !== "after room.createRoom") return;
      world.onCall = null;
      const [made] = replacementsOf(world, room);
      seen = (await made?.rpc.findReplacedRoom()) ?? null;
    };
    await room.rpc.upgradeRoom(upgrade(bob));
    expect(seen).toBe(room.roomId);
  });
});

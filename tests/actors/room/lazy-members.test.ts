import { describe, expect, it } from "vitest";
import type { UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { at, bodiesOf, stateOf, sync } from "./sync-client.ts";
import { alice, bob, carol, createWorld, dave, membership, message, type TestRoom, user } from "./world.ts";

async function publicRoom(): Promise<{ room: TestRoom }> {
  const room = await createWorld().create({ preset: "public_chat" });
  await room.rpc.changeMembership(membership("join", bob));
  return { room };
}

async function say(room: TestRoom, sender: UserId, ...bodies: string[]): Promise<void> {
  for (const body of bodies) await room.rpc.sendEvent(message(sender, body));
}

const types = (events: readonly JsonObject[]): unknown[] => events.map((event) => event.type);

describe("lazily loaded members", () => {
  const lazy = (changes: JsonObject = {}): JsonObject => ({
    state: { lazy_load_members: true, ...changes },
    timeline: { limit: 2 },
  });

  it("gives the member events of senders, of oneself and of heroes only", async () => {
    const { room } = await publicRoom();
    for (const name of ["u1", "u2", "u3", "u4", "u5", "u6", "u7"]) {
      await room.rpc.changeMembership(membership("join", user(name)));
    }
    await say(room, user("u7"), "one", "two");
    const answer = await sync(room, bob, null, { filter: lazy() });
    const members = stateOf(answer).filter((event) => event.type === "m.room.member");
    const heroes = [alice, user("u1"), user("u2"), user("u3"), user("u4")];
    expect(at(answer.section, "summary", "m.heroes")).toEqual(heroes);
    expect(members.map((event) => event.state_key).sort()).toEqual([...heroes, user("u7"), bob].sort());
    expect(types(stateOf(answer))).toContain("m.room.power_levels");
  });

  it("does not repeat a member event that the client's token proves to have arrived", async () => {
    const { room } = await publicRoom();
    await say(room, alice, "one", "two");
    const first = await sync(room, bob, null, { filter: lazy() });
    await say(room, alice, "three");
    const second = await sync(room, bob, first.readPosition, { filter: lazy() });
    expect(stateOf(second)).toEqual([]);
    await room.rpc.changeMembership(membership("join", carol));
    await say(room, carol, "four", "five");
    const third = await sync(room, bob, second.readPosition, { filter: lazy() });
    expect(bodiesOf(stateOf(third))).toEqual([`m.room.member|${carol}`]);
    const again = await sync(room, bob, second.readPosition, { filter: lazy() });
    expect(bodiesOf(stateOf(again))).toEqual([`m.room.member|${carol}`]);
    await say(room, alice, "six");
    const redundant = await sync(room, bob, third.readPosition, { filter: lazy({ include_redundant_members: true }) });
    expect(bodiesOf(stateOf(redundant))).toEqual([`m.room.member|${alice}`]);
    room.evict();
    const afterRestart = await sync(room, bob, third.readPosition, { filter: lazy() });
    expect(bodiesOf(stateOf(afterRestart))).toEqual([`m.room.member|${alice}`]);
  });

  it("repeats a member event to a client that comes with the older token: its answer got lost", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat", name: "Named" });
    for (const userId of [bob, carol]) await room.rpc.changeMembership(membership("join", userId));
    await say(room, bob, "one", "two");
    const first = await sync(room, bob, null, { filter: lazy() });
    await say(room, carol, "three");
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const answer = await sync(room, bob, first.readPosition, { filter: lazy() });
      expect(bodiesOf(stateOf(answer))).toEqual([`m.room.member|${carol}`]);
    }
    const head = room.context.store.room.get().streamPosition;
    await say(room, carol, "four");
    expect(stateOf(await sync(room, bob, head, { filter: lazy() }))).toEqual([]);
  });

  it("gives every membership that changed in a gap", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, bob, null, { filter: lazy() });
    await room.rpc.changeMembership(membership("join", carol));
    await room.rpc.changeMembership(membership("join", dave));
    await say(room, alice, "one", "two");
    const answer = await sync(room, bob, readPosition, { filter: lazy() });
    const members = bodiesOf(stateOf(answer)).filter((body) => body !== `m.room.member|${alice}`);
    expect(members.sort()).toEqual([`m.room.member|${carol}`, `m.room.member|${dave}`]);
  });
});

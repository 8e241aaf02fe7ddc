/** How the rest of a room is fetched that was joined without its members, whatever happens meanwhile. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { objectField } from "../../shared/json.ts";
import type { FederatedServer, FederatedUser, Federation } from "../support/federation.ts";
import { carol, dave, largeRoom, PartialScene, second } from "../support/partial-scene.ts";
import type { Resident } from "../support/resident.ts";
import type { RoomBuilder } from "../support/room-builder.ts";

let scene: PartialScene;
let federation: Federation;
let two: FederatedServer;
let resident: Resident;
let built: RoomBuilder;
let bob: FederatedUser;

beforeEach(async () => {
  built = largeRoom();
  scene = new PartialScene(built, { omitsMembers: true });
  ({ federation, two, resident } = scene);
  bob = await scene.two.user("bob");
});
afterEach(() => scene.federation.close());

/** Joins, and is told a part of the room only. */
async function joinPartly(): Promise<void> {
  await scene.join(bob);
  expect(scene.rows("partial_state")).toHaveLength(1);
}

describe("making a room whole", () => {
  it("puts us out of a room that we were not to be let into", async () => {
    const hidden = built.fork();
    const ban = hidden.member(built.creator, "ban", bob.userId);
    await joinPartly();
    await bob.sync();
    await bob.put(`v3/rooms/${scene.path}/send/m.room.message/1`, { body: "into the blue" });
    const join = resident.taken[0] ?? built.create;
    const state = [...scene.answers.stateBefore(join).values(), ban];
    const told = {
      pdus: state.map(({ pdu }) => pdu),
      auth_chain: scene.answers.authChain(state).map(({ pdu }) => pdu),
    };
    resident.peer.on(/\/state\//, () => told);
    await federation.advance(second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.statusOf(join)).toBe("rejected");
    expect((await bob.get("v3/joined_rooms")).body.joined_rooms).toEqual([]);
    expect(objectField(objectField(await bob.sync(), "rooms") ?? {}, "leave")).toHaveProperty([built.roomId]);
    expect(two.logged.filter(({ level }) => level === "error")).toEqual([]);
  });

  it("asks the next server, and later again, while nobody can help", async () => {
    await joinPartly();
    const asked = () =>
      federation.exchanges.filter((exchange) => exchange.path.includes("/state/")).map(({ to }) => to);
    await federation.advance(second);
    expect(asked()).toEqual(["example.org", "far.test"]);
    await federation.advance(24 * 3_600 * second);
    expect(asked().length).toBeGreaterThan(50);
    expect(asked().length).toBeLessThan(80);
    scene.tellsState = true;
    await federation.advance(3_600 * second);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("takes nothing from a state but members that were left out", async () => {
    await joinPartly();
    scene.tellsState = true;
    const rules = built.state.get(JSON.stringify(["m.room.join_rules", ""]));
    const other = built.fork().setJoinRule(built.creator, "invite");
    const state = [...scene.answers.stateBefore(resident.taken[0] ?? built.create).values()].map((event) =>
      event === rules ? other.pdu : event.pdu,
    );
    resident.peer.on(/\/state\//, () => ({
      pdus: state,
      auth_chain: scene.answers.authChain([other]).map(({ pdu }) => pdu),
    }));
    await federation.advance(second);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it.each([
    ["is empty", () => ({ pdus: [], auth_chain: [] })],
    ["breaks off", () => new Response('{"pdus": [')],
    ["is a list", () => []],
  ])("takes no state that %s", async (_what, answer) => {
    await joinPartly();
    resident.peer.on(/\/state\//, () => (scene.tellsState ? null : answer()));
    await federation.advance(second);
    expect(scene.rows("partial_state")).toHaveLength(1);
    scene.tellsState = true;
    await federation.advance(120 * second);
    expect(scene.stateHere()).toEqual(scene.stateThere());
  });

  it("goes on when instances end, at whatever call, and when a worker is lost", async () => {
    await joinPartly();
    for (let batch = 0; batch < 6; batch += 1) {
      await scene.give(
        Array.from({ length: 20 }, (_, index) => built.message(index % 2 === 0 ? carol : dave, `m${index}`)),
      );
    }
    scene.tellsState = true;
    let calls = 0;
    two.onCall = async (method, call) => {
      if (!/Completion|WholeState/.test(method)) return call();
      calls += 1;
      if (calls % 3 === 0) throw new Error("lost on its way");
      const value = await call();
      two.evict("room", built.roomId);
      return value;
    };
    await federation.advance(4 * 3_600 * second);
    two.onCall = (_method, call) => call();
    await federation.advance(4 * 3_600 * second);
    expect(calls).toBeGreaterThan(3);
    expect(scene.rows("partial_state")).toEqual([]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    const roots = two
      .sql("room", built.roomId)
      .all("SELECT DISTINCT state_root_after FROM events WHERE type = 'm.room.message'");
    expect(roots).toHaveLength(1);
  });
});

import { describe, expect, it } from "vitest";
import { admitPdu } from "../../../actors/room/receive.ts";
import { findCurrentState } from "../../../actors/room/state.ts";
import { serverNameOf, trusted, type UserId } from "../../../shared/ids.ts";
import { isObject } from "../../../shared/json.ts";
import type { KeyRing } from "../../../shared/matrix/key-ring.ts";
import { RoomBuilder, testVerifyKeysOf, user } from "../../support/room-builder.ts";
import { currentLines, endsOf, foreignRoom, give, giveOutlier, testKeys } from "./foreign.ts";
import { alice, bob, joinHere, kinds, scene } from "./foreign-scene.ts";
import { alice as local, message, serverName } from "./world.ts";

describe("outliers", () => {
  it("are in no state and at no end, and get a position when they come as events of the graph", async () => {
    const { built, room } = await scene();
    const topic = built.make({ sender: alice, type: "m.room.topic", stateKey: "", content: { topic: "new" } });
    expect(giveOutlier(room, topic).kind).toBe("outlier");
    expect(currentLines(room).join()).not.toContain(topic.eventId);
    expect(giveOutlier(room, topic).kind).toBe("duplicate");
    expect(await kinds(room, [topic])).toEqual(["accepted"]);
    expect(room.context.store.events.byId(topic.eventId)?.streamPosition).toBe(
      room.context.store.room.get().streamPosition,
    );
    expect(findCurrentState(room.context.store, "m.room.topic", "")?.eventId).toBe(topic.eventId);
    expect(await kinds(room, [topic])).toEqual(["duplicate"]);
  });

  it("wait for the create event in version 12, which none of them names", async () => {
    const built = RoomBuilder.open();
    const room = foreignRoom(built);
    const [create, join, levels] = built.events;
    if (create === undefined || join === undefined || levels === undefined) throw new Error("the room is empty");
    expect(giveOutlier(room, levels)).toMatchObject({ kind: "missing", authEvents: [join.eventId, create.eventId] });
    expect(giveOutlier(room, join)).toMatchObject({ kind: "missing", authEvents: [create.eventId] });
    const other = RoomBuilder.empty({ startTs: 1 }).create;
    expect(giveOutlier(room, other)).toMatchObject({ kind: "dropped", reason: "the event is of another room" });
    expect([create, join, levels].map((event) => giveOutlier(room, event).kind)).toEqual(
      Array.from({ length: 3 }, () => "outlier"),
    );
  });

  it("are not taken of a room that this server is not in", async () => {
    const { built, room } = await scene();
    const topic = built.make({ sender: alice, type: "m.room.topic", stateKey: "", content: { topic: "new" } });
    const input = { pdus: [JSON.stringify(topic.pdu)], keys: ringOf(built.creator) };
    expect(await room.rpc.receiveOutliers(input)).toMatchObject([
      { kind: "dropped", reason: "this server is not in the room" },
    ]);
    await joinHere(built, room, local);
    expect(await room.rpc.receiveOutliers(input)).toMatchObject([{ kind: "outlier" }]);
  });

  it("that were rejected stay so when they come as events of the graph", async () => {
    const { built, room } = await scene();
    const topic = built.make({ sender: bob, type: "m.room.topic", stateKey: "", content: { topic: "mine" } });
    expect(giveOutlier(room, topic).kind).toBe("rejected");
    const [outcome] = await give(room, [topic]);
    expect(outcome).toMatchObject({ kind: "rejected", reason: "the event was rejected when it was first seen" });
    expect(currentLines(room).join()).not.toContain(topic.eventId);
  });

  it("take events after them into the graph with the state that another server tells", async () => {
    const { built, room } = await scene();
    const lost = built.send({ sender: bob, type: "m.x" });
    const after = built.send({ sender: bob, type: "m.x" });
    const { stateRoot } = room.context.store.room.get();
    const receipt = { keysFor: testKeys, isOutlier: false, stateOfMissing: stateRoot };
    expect(admitPdu(room.context, after.pdu, receipt).kind).toBe("accepted");
    expect(room.context.store.extremities.backward(10)).toEqual([lost.eventId]);
  });
});

describe("forks", () => {
  it("are brought together by the next local event", async () => {
    const { built, room, world } = await scene();
    await joinHere(built, room, local);
    const [left, right] = [built.fork(), built.fork()];
    const events = [left.send({ sender: alice, type: "m.x" }), right.send({ sender: bob, type: "m.x" })];
    expect(await kinds(room, events)).toEqual(["accepted", "accepted"]);
    expect(endsOf(room)).toHaveLength(3);
    const { eventId } = await room.rpc.sendEvent(message(local, "together again"));
    expect(endsOf(room)).toEqual([eventId]);
    expect(room.context.store.events.byId(eventId)?.event.prevEvents).toHaveLength(3);
    await world.settle();
  });

  it("let a local event follow ten ends at most, in the state of those", async () => {
    const { built, room } = await scene();
    await joinHere(built, room, local);
    const events = Array.from({ length: 14 }, () => built.make({ sender: bob, type: "m.x" }));
    expect(new Set(await kinds(room, events))).toEqual(new Set(["accepted"]));
    const { eventId } = await room.rpc.sendEvent(message(local, "some of them"));
    expect(room.context.store.events.byId(eventId)?.event.prevEvents).toHaveLength(10);
    expect(endsOf(room)).toHaveLength(6);
    currentLines(room);
  });

  it("soft-fail what would make more different ends than can be resolved", async () => {
    const { built, room } = await scene();
    await joinHere(built, room, local);
    const events = Array.from({ length: 40 }, (_, index) =>
      built.make({ sender: alice, type: "m.x", stateKey: `key ${index}` }),
    );
    const outcomes = await kinds(room, events);
    expect(outcomes.filter((kind) => kind === "accepted").length).toBeLessThanOrEqual(20);
    expect(outcomes.at(-1)).toBe("softFailed");
    for (let count = 0; count < 3; count += 1) await room.rpc.sendEvent(message(local, "merge"));
    expect(endsOf(room)).toHaveLength(1);
    const next = built.make({ sender: bob, type: "m.x", prevEvents: endsOf(room) });
    expect(await kinds(room, [next])).toEqual(["accepted"]);
  });

  it("tell a client of state that resolution has changed without an event of the timeline", async () => {
    const { built, room, world } = await scene("12", { events: { "m.room.topic": 0 } });
    await joinHere(built, room, local);
    await world.settle();
    const input = syncInput(local, null);
    const { readPosition } = await room.rpc.syncRoom(input);
    // Bob leaves; his server sets the topic from before that, which is soft-failed; then it is merged by Alice.
    const evading = built.fork();
    const leave = built.member(bob, "leave");
    const content = { topic: "from before" };
    const originServerTs = leave.originServerTs - 500;
    const topic = evading.send({ sender: bob, type: "m.room.topic", stateKey: "", content, originServerTs });
    expect(await kinds(room, [leave, topic])).toEqual(["accepted", "softFailed"]);
    const resolved = [...built.state.values(), topic];
    const merge = built.merged([evading], resolved).make({ sender: alice, type: "m.x" });
    expect(await kinds(room, [merge])).toEqual(["accepted"]);
    expect(findCurrentState(room.context.store, "m.room.topic", "")?.eventId).toBe(topic.eventId);
    const { section } = await room.rpc.syncRoom({ ...input, since: readPosition });
    const state = isObject(section.state) && Array.isArray(section.state.events) ? section.state.events : [];
    expect(JSON.stringify(state)).toContain(topic.eventId);
    expect(JSON.stringify(section.timeline)).not.toContain(topic.eventId);
  });

  it("undo a membership, and tell the user", async () => {
    const { built, room, world } = await scene();
    const invited = user(`@alice:${serverName}`);
    // Before it hears of the closed door, our server lets its own user in.
    await joinHere(built, room, invited);
    const closed = built.setJoinRule(alice, "invite");
    expect(await kinds(room, [closed])).toEqual(["accepted"]);
    expect(currentLines(room).join()).not.toContain(invited);
    expect(room.context.store.memberships.find(invited)?.membership).toBe("leave");
    await world.settle();
    expect(world.wakes.filter((wake) => wake.userId === invited).at(-1)?.wake.membership).toBe("leave");
    const { place } = await room.rpc.syncRoom(syncInput(invited, 1));
    expect(place).toBe("leave");
  });
});

/** The key of a test server, as it travels. */
function ringOf(userId: UserId): KeyRing {
  const validUntilTs = Number.MAX_SAFE_INTEGER;
  const keys = [...testVerifyKeysOf(serverNameOf(userId))].map(([keyId, key]) => [
    keyId,
    { key, validUntilTs, expiredTs: null },
  ]);
  return { [serverNameOf(userId)]: Object.fromEntries(keys) };
}

function syncInput(userId: typeof local, since: number | null) {
  return {
    userId,
    deviceId: trusted.deviceId("D"),
    since,
    isIncremental: since !== null,
    fullState: false,
    filter: null,
    eventFormat: "client" as const,
    useStateAfter: false,
    ignoredUsers: [],
    pushRules: {},
  };
}

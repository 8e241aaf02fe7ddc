import { describe, expect, it } from "vitest";
import { trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { at, bodiesOf, idsOf, listAt, messagesInput, positionOf, stateOf, sync, timelineOf } from "./sync-client.ts";
import {
  alice,
  bob,
  carol,
  createWorld,
  dave,
  membership,
  message,
  refusalOf,
  state,
  type TestRoom,
  type World,
} from "./world.ts";

async function publicRoom(): Promise<{ world: World; room: TestRoom; head: () => number }> {
  const world = createWorld();
  const room = await world.create({ preset: "public_chat" });
  await room.rpc.changeMembership(membership("join", bob));
  await world.settle();
  return { world, room, head: () => room.context.store.room.get().streamPosition };
}

async function say(room: TestRoom, sender: UserId, ...bodies: string[]): Promise<void> {
  for (const body of bodies) await room.rpc.sendEvent(message(sender, body));
}

const types = (events: readonly JsonObject[]): unknown[] => events.map((event) => event.type);

describe("syncRoom of a joined user", () => {
  it("gives a new room with its state before the timeline, without gap", async () => {
    const { room, head } = await publicRoom();
    await say(room, alice, "one", "two");
    const answer = await sync(room, bob, null, { filter: { timeline: { limit: 3 } } });
    expect(answer).toMatchObject({ place: "join", readPosition: head() });
    expect(bodiesOf(timelineOf(answer))).toEqual([`m.room.member|${bob}`, "one", "two"]);
    expect(at(answer.section, "timeline")).toMatchObject({ limited: true, prev_batch: `p${head() - 3}` });
    expect(bodiesOf(stateOf(answer))).not.toContain(`m.room.member|${bob}`);
    expect(types(stateOf(answer))).toContain("m.room.create");
    expect(at(answer.section, "summary")).toEqual({
      "m.joined_member_count": 2,
      "m.invited_member_count": 0,
      "m.heroes": [alice],
    });
    for (const event of [...timelineOf(answer), ...stateOf(answer)]) expect(event).not.toHaveProperty("room_id");
  });

  it("gives a room whose whole history fits without calling it limited", async () => {
    const { room } = await publicRoom();
    const answer = await sync(room, bob, null, { filter: { timeline: { limit: 100 } } });
    expect(at(answer.section, "timeline")).toMatchObject({ limited: false, prev_batch: "p0" });
    expect(stateOf(answer)).toEqual([]);
  });

  it("is not limited by events that the user may not see", async () => {
    const world = createWorld();
    const content = { history_visibility: "joined" };
    const initialState = [{ type: "m.room.history_visibility", stateKey: "", content }];
    const room = await world.create({ preset: "public_chat", initialState });
    await say(room, alice, "unseen", "unseen");
    await room.rpc.changeMembership(membership("join", bob));
    await say(room, alice, "one");
    const ask = async (limit: number): Promise<unknown> => {
      const { section } = await sync(room, bob, null, { filter: { timeline: { types: ["m.room.message"], limit } } });
      return [listAt(section, "timeline", "events").length, at(section, "timeline", "limited")];
    };
    expect(await ask(0)).toEqual([0, true]);
    expect(await ask(1)).toEqual([1, false]);
    expect(await ask(2)).toEqual([1, false]);
  });

  it("is limited for who comes back to a room that the client has seen, even where all fits", async () => {
    const { room } = await publicRoom();
    await room.rpc.changeMembership(membership("leave", bob));
    const left = await sync(room, bob, null);
    await room.rpc.changeMembership(membership("join", bob));
    const answer = await sync(room, bob, left.readPosition, { filter: { timeline: { limit: 100 } } });
    expect(bodiesOf(timelineOf(answer))[0]).toBe("m.room.create|");
    expect(at(answer.section, "timeline", "limited")).toBe(true);
  });

  it("is limited for who newly joined, whose client has a token: it may have looked into the room before", async () => {
    const { room } = await publicRoom();
    const filter = { timeline: { limit: 100 } };
    const answer = await sync(room, bob, null, { filter, isIncremental: true });
    expect(at(answer.section, "timeline")).toMatchObject({ limited: true, prev_batch: "p0" });
    const next = await sync(room, bob, answer.readPosition, { filter, fullState: true });
    expect(at(next.section, "timeline")).toMatchObject({ limited: false });
    const never = await sync(room, carol, null, { filter, isIncremental: true });
    expect(never.place).toBeNull();
  });

  it("gives ten events where the filter names no number, and at most a thousand", async () => {
    const { room } = await publicRoom();
    await say(room, alice, ...Array.from({ length: 12 }, (_, index) => `m${index}`));
    expect(timelineOf(await sync(room, bob, null))).toHaveLength(10);
    const all = await sync(room, bob, null, { filter: { timeline: { limit: 1_000_000 } } });
    expect(timelineOf(all).length).toBeGreaterThan(12);
  });

  it("gives exactly what is new since a token, and nothing twice", async () => {
    const { room, head } = await publicRoom();
    const first = await sync(room, bob, null);
    expect(await sync(room, bob, first.readPosition)).toMatchObject({ place: null, section: {} });
    await say(room, alice, "one", "two");
    const second = await sync(room, bob, first.readPosition);
    expect(bodiesOf(timelineOf(second))).toEqual(["one", "two"]);
    expect(at(second.section, "timeline")).toMatchObject({ limited: false });
    expect(second.section).not.toHaveProperty("summary");
    // The same token again: the same answer.
    expect(idsOf(timelineOf(await sync(room, bob, first.readPosition)))).toEqual(idsOf(timelineOf(second)));
    expect(second.readPosition).toBe(head());
  });

  it("limits a long gap to the newest events, with a token that closes it and the state that changed in it", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, bob, null);
    await say(room, alice, "lost 1");
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "in the gap" }));
    await room.rpc.changeMembership(membership("join", carol));
    await say(room, alice, "lost 2", "kept 1");
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "in the timeline" }));
    const answer = await sync(room, bob, readPosition, { filter: { timeline: { limit: 2 } } });
    expect(bodiesOf(timelineOf(answer))).toEqual(["kept 1", "m.room.name|"]);
    expect(at(answer.section, "timeline", "limited")).toBe(true);
    expect(bodiesOf(stateOf(answer)).sort()).toEqual([`m.room.member|${carol}`, "m.room.topic|"]);
    expect(answer.joinedUsers).toEqual([carol]);
    const from = positionOf(at(answer.section, "timeline", "prev_batch"));
    const gap = await room.rpc.getMessages(messagesInput(bob, { from, to: readPosition }));
    expect(bodiesOf(listAt(gap, "chunk")).toReversed()).toEqual([
      "lost 1",
      "m.room.topic|",
      `m.room.member|${carol}`,
      "lost 2",
    ]);
  });

  it("gives the state at the timeline's end instead where `state_after` is wanted", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, bob, null);
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "in the gap" }));
    await say(room, alice, "one");
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "in the timeline" }));
    const answer = await sync(room, bob, readPosition, { useStateAfter: true, filter: { timeline: { limit: 2 } } });
    expect(answer.section).not.toHaveProperty("state");
    expect(bodiesOf(listAt(answer.section, "state_after", "events")).sort()).toEqual(["m.room.name|", "m.room.topic|"]);
    await say(room, alice, "two");
    const quiet = await sync(room, bob, answer.readPosition, { useStateAfter: true });
    expect(listAt(quiet.section, "state_after", "events")).toEqual([]);
    expect(at(quiet.section, "state_after")).toEqual({ events: [] });
  });

  it("gives state that the timeline's filter has kept out, so that the client's state stays whole", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, bob, null);
    await say(room, alice, "one");
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "unseen" }));
    await say(room, alice, "two");
    const filter = { timeline: { types: ["m.room.message"] } };
    const answer = await sync(room, bob, readPosition, { filter });
    expect(bodiesOf(timelineOf(answer))).toEqual(["one", "two"]);
    expect(bodiesOf(stateOf(answer))).toEqual(["m.room.topic|"]);
    expect(at(answer.section, "timeline", "limited")).toBe(false);
  });

  it("shows no state event that was replaced by one which it does not show", async () => {
    const { room } = await publicRoom();
    await room.rpc.sendEvent(state(alice, "m.room.power_levels", { events: { "m.room.topic": 0 } }));
    const { readPosition } = await sync(room, alice, null);
    await say(room, alice, "one");
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "shown" }));
    await say(room, alice, "two");
    await room.rpc.sendEvent(state(bob, "m.room.topic", { topic: "hidden" }));
    const filter = { timeline: { not_senders: [bob] } };
    const answer = await sync(room, alice, readPosition, { filter });
    expect(bodiesOf(timelineOf(answer))).toEqual(["two"]);
    expect(at(answer.section, "timeline")).toMatchObject({ limited: true, prev_batch: `p${readPosition + 2}` });
    expect(stateOf(answer).map((event) => at(event.content, "topic"))).toEqual(["hidden"]);
    const after = await sync(room, alice, readPosition, { filter, useStateAfter: true });
    expect(bodiesOf(timelineOf(after))).toEqual(["one", "m.room.topic|", "two"]);
  });

  it("gives the whole state with `full_state`, and a timeline since the token", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, bob, null);
    await say(room, alice, "one");
    const answer = await sync(room, bob, readPosition, { fullState: true });
    expect(bodiesOf(timelineOf(answer))).toEqual(["one"]);
    expect(types(stateOf(answer))).toContain("m.room.create");
    expect(answer.section).toHaveProperty("summary");
    const quiet = await sync(room, bob, answer.readPosition, { fullState: true });
    expect(quiet.place).toBe("join");
    expect(timelineOf(quiet)).toEqual([]);
  });

  it("applies the filter for state", async () => {
    const { room } = await publicRoom();
    const ask = async (filter: JsonObject): Promise<unknown[]> =>
      types(stateOf(await sync(room, bob, null, { filter: { state: filter, timeline: { limit: 1 } } }))).sort();
    expect(await ask({ types: ["m.room.create", "m.room.power*"] })).toEqual(["m.room.create", "m.room.power_levels"]);
    expect(await ask({ not_types: ["m.room.*"] })).toEqual([]);
    expect(await ask({ not_senders: [alice] })).toEqual([]);
    expect(await ask({ not_rooms: [room.roomId] })).toEqual([]);
    const bad = sync(room, bob, null, { filter: { state: { types: 5 } } });
    expect(await refusalOf(bad)).toEqual([400, "M_BAD_JSON"]);
  });

  it("keeps back what ignored users say, but not their state events", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, alice, null);
    await say(room, bob, "ignored");
    await say(room, alice, "heard");
    await room.rpc.updateMemberProfile(bob, { displayname: "Bobby" }, 1);
    const answer = await sync(room, alice, readPosition, { ignoredUsers: [bob] });
    expect(bodiesOf(timelineOf(answer))).toEqual(["heard", `m.room.member|${bob}`]);
  });

  it("counts members anew when they change, and names heroes only where the room has no name", async () => {
    const { room } = await publicRoom();
    const first = await sync(room, bob, null);
    await room.rpc.changeMembership(membership("invite", alice, carol));
    const second = await sync(room, bob, first.readPosition);
    expect(at(second.section, "summary")).toEqual({
      "m.joined_member_count": 2,
      "m.invited_member_count": 1,
      "m.heroes": [alice, carol],
    });
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "Named" }));
    const third = await sync(room, bob, null);
    expect(at(third.section, "summary")).toEqual({ "m.joined_member_count": 2, "m.invited_member_count": 1 });
  });

  it("names those who left as heroes where nobody else is there", async () => {
    const { room } = await publicRoom();
    await room.rpc.changeMembership(membership("leave", bob));
    const answer = await sync(room, alice, null);
    expect(at(answer.section, "summary", "m.heroes")).toEqual([bob]);
  });
});

describe("syncRoom of somebody who is not joined", () => {
  it("shows an invite once, as stripped state with both people's member events", async () => {
    const world = createWorld();
    const room = await world.create({ name: "Party", topic: "Fun" });
    await say(room, alice, "before");
    await room.rpc.changeMembership(membership("invite", alice, bob));
    const answer = await sync(room, bob, null);
    expect(answer.place).toBe("invite");
    const events = listAt(answer.section, "invite_state", "events");
    expect(bodiesOf(events)).toEqual([
      "m.room.create|",
      "m.room.name|",
      "m.room.topic|",
      "m.room.join_rules|",
      `m.room.member|${alice}`,
      `m.room.member|${bob}`,
    ]);
    for (const event of events) expect(Object.keys(event).sort()).toEqual(["content", "sender", "state_key", "type"]);
    await say(room, alice, "after");
    expect(await sync(room, bob, answer.readPosition)).toMatchObject({ place: null });
    expect(await sync(room, bob, null, { ignoredUsers: [alice] })).toMatchObject({ place: null });
  });

  it("shows a knock", async () => {
    const world = createWorld();
    const joinRules = { type: "m.room.join_rules", stateKey: "", content: { join_rule: "knock" } };
    const room = await world.create({ initialState: [joinRules] });
    await room.rpc.changeMembership(membership("knock", bob));
    const answer = await sync(room, bob, null);
    expect(answer.place).toBe("knock");
    expect(bodiesOf(listAt(answer.section, "knock_state", "events"))).toContain(`m.room.member|${bob}`);
  });

  it("gives the whole state and the newest events to who has just joined", async () => {
    const { room } = await publicRoom();
    await say(room, alice, "before");
    await room.rpc.changeMembership(membership("invite", alice, carol));
    const invited = await sync(room, carol, null);
    await room.rpc.changeMembership(membership("join", carol));
    const answer = await sync(room, carol, invited.readPosition, { filter: { timeline: { limit: 3 } } });
    expect(bodiesOf(timelineOf(answer))).toEqual(["before", `m.room.member|${carol}`, `m.room.member|${carol}`]);
    expect(at(answer.section, "timeline", "limited")).toBe(true);
    expect(types(stateOf(answer))).toContain("m.room.create");
    expect(answer.joinedUsers).toEqual([alice, bob]);
  });

  it("tells who has left all until then, once", async () => {
    const { room, head } = await publicRoom();
    const { readPosition } = await sync(room, bob, null);
    await say(room, alice, "one");
    await room.rpc.changeMembership(membership("leave", bob));
    const leaving = head();
    await say(room, alice, "never");
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "never" }));
    await room.rpc.updateMemberProfile(alice, { displayname: "Never" }, 1);
    const answer = await sync(room, bob, readPosition);
    expect(answer).toMatchObject({ place: "leave", readPosition: leaving, leftUsers: [alice] });
    expect(bodiesOf(timelineOf(answer))).toEqual(["one", `m.room.member|${bob}`]);
    expect(JSON.stringify(answer)).not.toContain("never");
    expect(answer.section).not.toHaveProperty("ephemeral");
    expect(await sync(room, bob, answer.readPosition)).toMatchObject({ place: null });
    await say(room, alice, "never");
    expect(await sync(room, bob, answer.readPosition)).toMatchObject({ place: null, readPosition: leaving });
  });

  it("gives who has left the state changes of the gap until then", async () => {
    const { room } = await publicRoom();
    const { readPosition } = await sync(room, bob, null);
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "in the gap" }));
    await say(room, alice, "one", "two");
    await room.rpc.changeMembership(membership("kick", alice, bob));
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "later" }));
    const answer = await sync(room, bob, readPosition, { filter: { timeline: { limit: 2 } } });
    expect(bodiesOf(timelineOf(answer))).toEqual(["two", `m.room.member|${bob}`]);
    expect(bodiesOf(stateOf(answer))).toEqual(["m.room.topic|"]);
  });

  it("tells of a rejected invite, a ban of somebody who had left, and an unban", async () => {
    const { room } = await publicRoom();
    await room.rpc.changeMembership(membership("invite", alice, carol));
    const invited = await sync(room, carol, null);
    await room.rpc.changeMembership(membership("leave", carol));
    const rejected = await sync(room, carol, invited.readPosition);
    expect(rejected.place).toBe("leave");
    expect(bodiesOf(timelineOf(rejected))).toEqual([`m.room.member|${carol}`]);
    expect(stateOf(rejected)).toEqual([]);
    await room.rpc.changeMembership(membership("ban", alice, carol));
    const banned = await sync(room, carol, rejected.readPosition);
    expect(timelineOf(banned).map((event) => at(event.content, "membership"))).toEqual(["ban"]);
    await room.rpc.changeMembership(membership("unban", alice, carol));
    const unbanned = await sync(room, carol, banned.readPosition);
    expect(timelineOf(unbanned).map((event) => at(event.content, "membership"))).toEqual(["leave"]);
  });

  it("gives nothing to strangers, nor of rooms that are forgotten or do not exist", async () => {
    const { world, room } = await publicRoom();
    expect(await sync(room, dave, null)).toMatchObject({ place: null, section: {} });
    await room.rpc.changeMembership(membership("leave", bob));
    await room.rpc.forget(bob);
    expect(await sync(room, bob, null)).toMatchObject({ place: null });
    const nowhere = world.room(trusted.roomId(`!${"B".repeat(43)}`));
    expect(await sync(nowhere, bob, 7)).toEqual({
      readPosition: 7,
      place: null,
      member: null,
      section: {},
      joinedUsers: [],
      leftUsers: [],
    });
  });
});

describe("wakes", () => {
  it("wakes a user again only after a sync has read the room", async () => {
    const { world, room } = await publicRoom();
    await sync(room, bob, null);
    const wakesOf = (): number => world.wakes.filter(({ userId }) => userId === bob).length;
    const before = wakesOf();
    await say(room, alice, "one");
    await world.settle();
    await say(room, alice, "two", "three");
    await world.settle();
    expect(wakesOf()).toBe(before + 1);
    await sync(room, bob, null);
    await say(room, alice, "four");
    await world.settle();
    expect(wakesOf()).toBe(before + 2);
  });
});

import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import { parseRoomToken } from "../../../shared/matrix/stream-token.ts";
import type { MembersInput } from "../../../shared/rpc/room.ts";
import { at, listAt, sync } from "./sync-client.ts";
import { alice, bob, carol, createWorld, dave, membership, message, refusalOf, state, type TestRoom } from "./world.ts";

async function roomOfFour(): Promise<TestRoom> {
  const world = createWorld();
  world.profiles.set(alice, { displayname: "Alice", avatar_url: "mxc://a/1" });
  const room = await world.create({ preset: "public_chat", name: "Old" });
  await room.rpc.changeMembership(membership("join", bob));
  await room.rpc.changeMembership(membership("invite", alice, carol));
  await room.rpc.changeMembership(membership("ban", alice, dave));
  return room;
}

const input = (requester: MembersInput["requester"], changes: Partial<MembersInput> = {}): MembersInput => ({
  requester,
  at: null,
  membership: null,
  notMembership: null,
  ...changes,
});

const usersOf = (answer: JsonObject): string[] => listAt(answer, "chunk").map((event) => String(event.state_key));
const head = (room: TestRoom): number => room.context.store.room.get().streamPosition;

describe("getMembersByRoom", () => {
  it("gives the member events, filtered by membership", async () => {
    const room = await roomOfFour();
    const ask = async (changes: Partial<MembersInput>): Promise<string[]> =>
      usersOf(await room.rpc.getMembers(input(alice, changes)));
    expect(await ask({})).toEqual([alice, bob, carol, dave]);
    expect(await ask({ membership: "join" })).toEqual([alice, bob]);
    expect(await ask({ notMembership: "join" })).toEqual([carol, dave]);
    // "the two parameters create an 'or' condition"
    expect(await ask({ membership: "ban", notMembership: "invite" })).toEqual([alice, bob, dave]);
    const [event] = listAt(await room.rpc.getMembers(input(alice)), "chunk");
    expect(event).toMatchObject({ room_id: room.roomId, type: "m.room.member", state_key: alice });
  });

  it("gives the members of an earlier time", async () => {
    const room = await roomOfFour();
    const then = head(room);
    await room.rpc.changeMembership(membership("leave", bob));
    expect(usersOf(await room.rpc.getMembers(input(alice, { at: then, membership: "join" })))).toEqual([alice, bob]);
    expect(usersOf(await room.rpc.getMembers(input(alice, { membership: "join" })))).toEqual([alice]);
  });

  it("gives the first members for a time before the room's beginning, where a timeline of all of it begins", async () => {
    const room = await roomOfFour();
    const timeline = await sync(room, alice, null, { filter: { timeline: { limit: 100 } } });
    const beginning = parseRoomToken(String(at(timeline.section, "timeline", "prev_batch")));
    expect(beginning).toBe(0);
    for (const early of [beginning, 1, -5]) {
      expect(usersOf(await room.rpc.getMembers(input(alice, { at: early })))).toEqual([alice]);
    }
    expect(usersOf(await room.rpc.getMembers(input(alice, { at: 0, membership: "leave" })))).toEqual([]);
    await room.rpc.changeMembership(membership("leave", carol));
    // Carol was never joined, and of the beginning she sees nothing.
    expect(await refusalOf(room.rpc.getMembers(input(carol, { at: 0 })))).toEqual([403, "M_FORBIDDEN"]);
  });

  it("gives who has left the members of then", async () => {
    const room = await roomOfFour();
    await room.rpc.changeMembership(membership("leave", bob));
    await room.rpc.changeMembership(membership("join", carol));
    expect(usersOf(await room.rpc.getMembers(input(bob, { membership: "join" })))).toEqual([alice]);
    const later = input(bob, { at: head(room), membership: "join" });
    expect(usersOf(await room.rpc.getMembers(later))).toEqual([alice]);
    expect(await refusalOf(room.rpc.getMembers(input(carol)))).toBeNull();
    expect(await refusalOf(room.rpc.getMembers(input(dave)))).toEqual([403, "M_FORBIDDEN"]);
  });

  it("gives nobody the members of a time whose events they may not see", async () => {
    const world = createWorld();
    const content = { history_visibility: "joined" };
    const initialState = [{ type: "m.room.history_visibility", stateKey: "", content }];
    const room = await world.create({ preset: "public_chat", initialState });
    await room.rpc.sendEvent(message(alice, "early"));
    const early = head(room);
    await room.rpc.sendEvent(message(alice, "late"));
    const beforeJoin = head(room);
    await room.rpc.changeMembership(membership("join", bob));
    expect(await refusalOf(room.rpc.getMembers(input(bob, { at: early })))).toEqual([403, "M_FORBIDDEN"]);
    expect(usersOf(await room.rpc.getMembers(input(bob, { at: beforeJoin })))).toEqual([alice]);
  });
});

describe("getJoinedMembersByRoom", () => {
  it("gives profiles to who is joined, and to nobody else", async () => {
    const room = await roomOfFour();
    expect(await room.rpc.getJoinedMembers(bob)).toEqual({
      joined: { [alice]: { display_name: "Alice", avatar_url: "mxc://a/1" }, [bob]: {} },
    });
    await room.rpc.changeMembership(membership("leave", bob));
    for (const userId of [bob, carol, dave]) {
      expect(await refusalOf(room.rpc.getJoinedMembers(userId))).toEqual([403, "M_FORBIDDEN"]);
    }
  });
});

describe("getRoomState", () => {
  it("gives the current state, and to who has left that of then", async () => {
    const room = await roomOfFour();
    await room.rpc.changeMembership(membership("leave", bob));
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "New" }));
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "Later" }));
    const nameOf = async (userId: typeof alice): Promise<unknown> =>
      at((await room.rpc.getState(userId)).find((event) => event.type === "m.room.name")?.content, "name");
    expect(await nameOf(alice)).toBe("New");
    expect(await nameOf(bob)).toBe("Old");
    expect(at((await room.rpc.getStateEvent(bob, "m.room.name", "")).event, "content", "name")).toBe("Old");
    expect(await refusalOf(room.rpc.getStateEvent(bob, "m.room.topic", ""))).toEqual([404, "M_NOT_FOUND"]);
    expect(await refusalOf(room.rpc.getStateEvent(alice, "m.none", ""))).toEqual([404, "M_NOT_FOUND"]);
    expect(await refusalOf(room.rpc.getStateEvent(dave, "m.room.name", ""))).toEqual([403, "M_FORBIDDEN"]);
    const own = (await room.rpc.getState(bob)).find((event) => event.state_key === bob);
    expect(at(own?.content, "membership")).toBe("leave");
  });
});

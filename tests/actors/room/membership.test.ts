import { describe, expect, it } from "vitest";
import { findCurrentState } from "../../../actors/room/state.ts";
import { trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { rulesFor, supportedRoomVersions } from "../../../shared/matrix/room-version.ts";
import type { ChangeMembershipInput, Membership } from "../../../shared/rpc/room.ts";
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
  storedEvents,
  storedPdu,
  type TestRoom,
  user,
  type World,
} from "./world.ts";

type Action = ChangeMembershipInput["action"];
type Refusal = [number, string] | null;

const forbidden: Refusal = [403, "M_FORBIDDEN"];
const badState: Refusal = [403, "M_BAD_STATE"];

const memberContent = (room: TestRoom, userId: UserId): JsonObject | null =>
  findCurrentState(room.context.store, "m.room.member", userId)?.event.content ?? null;

/** Brings bob into a membership of alice's room. */
async function bring(room: TestRoom, before: Membership | "none"): Promise<void> {
  const does = (action: Action, requester: UserId) => room.rpc.changeMembership(membership(action, requester, bob));
  switch (before) {
    case "none":
      return;
    case "invite":
      await does("invite", alice);
      return;
    case "join":
      await does("invite", alice);
      await does("join", bob);
      return;
    case "knock":
      await does("knock", bob);
      return;
    case "leave":
      await does("invite", alice);
      await does("leave", bob);
      return;
    case "ban":
      await does("ban", alice);
  }
}

async function knockableRoom(): Promise<TestRoom> {
  const initialState = [{ type: "m.room.join_rules", stateKey: "", content: { join_rule: "knock" } }];
  return createWorld().create({ initialState });
}

/** What each action of bob's on himself, or alice's on bob, leads to, by bob's membership. */
const transitions: Record<Membership | "none", Record<Action, Refusal>> = {
  none: { join: forbidden, invite: null, knock: null, leave: forbidden, kick: forbidden, ban: null, unban: badState },
  invite: { join: null, invite: null, knock: forbidden, leave: null, kick: null, ban: null, unban: badState },
  join: { join: null, invite: forbidden, knock: forbidden, leave: null, kick: null, ban: null, unban: badState },
  knock: { join: forbidden, invite: null, knock: null, leave: null, kick: null, ban: null, unban: badState },
  leave: { join: forbidden, invite: null, knock: null, leave: null, kick: forbidden, ban: null, unban: badState },
  ban: {
    join: forbidden,
    invite: forbidden,
    knock: forbidden,
    leave: forbidden,
    kick: badState,
    ban: null,
    unban: null,
  },
};
const after: Record<Action, Membership> = {
  join: "join",
  invite: "invite",
  knock: "knock",
  leave: "leave",
  kick: "leave",
  ban: "ban",
  unban: "leave",
};
const byRequester: ReadonlySet<Action> = new Set(["join", "knock", "leave"]);
const memberships: readonly (Membership | "none")[] = ["none", "invite", "join", "knock", "leave", "ban"];
const actions: readonly Action[] = ["join", "invite", "knock", "leave", "kick", "ban", "unban"];
const cases = memberships.flatMap((before) =>
  actions.map((action) => ({ before, action, refusal: transitions[before][action] })),
);

describe("changeMembership", () => {
  it.each(cases)("$action of a user of membership $before: $refusal", async ({ before, action, refusal }) => {
    const room = await knockableRoom();
    await bring(room, before);
    const requester = byRequester.has(action) ? bob : alice;
    const events = storedEvents(room).length;
    const { streamPosition } = room.context.store.room.get();
    const outcome = await refusalOf(room.rpc.changeMembership(membership(action, requester, bob)));
    expect(outcome).toEqual(refusal);
    const now = room.context.store.memberships.find(bob)?.membership ?? "none";
    expect(now).toBe(refusal === null ? after[action] : before);
    if (refusal !== null) {
      expect(storedEvents(room)).toHaveLength(events);
      expect(room.context.store.room.get().streamPosition).toBe(streamPosition);
    }
    const counted = room.sql.all<{ membership: string }>("SELECT membership FROM room_memberships");
    expect(room.context.store.room.get()).toMatchObject({
      joinedMembers: counted.filter((row) => row.membership === "join").length,
      invitedMembers: counted.filter((row) => row.membership === "invite").length,
    });
  });

  it("refuses to kick, ban, unban or invite without the power or from outside", async () => {
    const room = await createWorld().create({ preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    await room.rpc.changeMembership(membership("join", carol));
    await room.rpc.changeMembership(membership("ban", alice, dave));
    for (const action of ["kick", "ban"] as const) {
      expect(await refusalOf(room.rpc.changeMembership(membership(action, bob, carol)))).toEqual(forbidden);
      expect(await refusalOf(room.rpc.changeMembership(membership(action, user("eve"), carol)))).toEqual(forbidden);
    }
    expect(await refusalOf(room.rpc.changeMembership(membership("unban", bob, dave)))).toEqual(forbidden);
    expect(await refusalOf(room.rpc.changeMembership(membership("invite", bob, user("eve"))))).toEqual(forbidden);
    expect(await refusalOf(room.rpc.changeMembership(membership("kick", bob, alice)))).toEqual(forbidden);
    // Nobody stands above a creator of room version 12.
    await room.rpc.sendEvent(state(alice, "m.room.power_levels", { users: { [bob]: 1_000 } }));
    expect(await refusalOf(room.rpc.changeMembership(membership("kick", bob, alice)))).toEqual(forbidden);
    expect(await refusalOf(room.rpc.changeMembership(membership("kick", bob, carol)))).toBeNull();
  });

  it("lets anybody join a public room, and answers a repeated join with the same event", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    world.profiles.set(bob, { displayname: "Bob" });
    const first = await room.rpc.changeMembership(membership("join", bob));
    expect(memberContent(room, bob)).toEqual({ membership: "join", displayname: "Bob" });
    expect(await room.rpc.changeMembership(membership("join", bob))).toEqual(first);
    world.profiles.set(bob, { displayname: "Robert" });
    expect(await room.rpc.changeMembership(membership("join", bob))).not.toEqual(first);
  });

  it("puts the reason into the event", async () => {
    const room = await createWorld().create({ preset: "public_chat" });
    await room.rpc.changeMembership({ ...membership("join", bob), reason: "curious" });
    expect(memberContent(room, bob)).toEqual({ membership: "join", reason: "curious" });
    await room.rpc.changeMembership({ ...membership("kick", alice, bob), reason: "rude" });
    expect(memberContent(room, bob)).toEqual({ membership: "leave", reason: "rude" });
  });

  it("tells requester and target before it answers", async () => {
    const world = createWorld();
    const room = await world.create();
    await world.settle();
    world.wakes.length = 0;
    await room.rpc.changeMembership(membership("invite", alice, bob));
    expect(world.wakes.map(({ userId, wake }) => [userId, wake.membership])).toContainEqual([bob, "invite"]);
    await room.rpc.changeMembership(membership("join", bob));
    expect(world.wakes.findLast(({ userId }) => userId === bob)?.wake.membership).toBe("join");
    await room.rpc.changeMembership(membership("kick", alice, bob));
    expect(world.wakes.findLast(({ userId }) => userId === bob)?.wake.membership).toBe("leave");
  });

  it("waits for a wake that is on its way already, and for the one that follows it", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    await world.settle();
    world.wakes.length = 0;
    world.beforeWake = () => new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all([
      room.rpc.sendEvent(message(alice, "hi")),
      room.rpc.changeMembership(membership("join", bob)),
      room.rpc.changeMembership(membership("invite", alice, carol)),
    ]);
    const told = world.wakes.map(({ userId, wake }) => [userId, wake.membership]);
    expect(told).toContainEqual([bob, "join"]);
    expect(told).toContainEqual([carol, "invite"]);
    const kick = room.rpc.changeMembership(membership("kick", alice, bob));
    await room.rpc.sendEvent(message(alice, "again"));
    await kick;
    expect(world.wakes.findLast(({ userId }) => userId === bob)?.wake.membership).toBe("leave");
    await world.settle();
  });

  it("knows no room that it does not have, and no users of other servers", async () => {
    const world = createWorld();
    const nowhere = world.room(trusted.roomId(`!nowhere:${serverName}`));
    // For other servers to do, none of which is known here.
    expect(await nowhere.rpc.changeMembership(membership("join", bob))).toEqual({
      eventId: null,
      servers: [],
      formerServers: [],
    });
    expect(await nowhere.rpc.changeMembership(membership("knock", bob))).toEqual({
      eventId: null,
      servers: [],
      formerServers: [],
    });
    expect(await refusalOf(nowhere.rpc.changeMembership(membership("leave", bob)))).toEqual(forbidden);
    expect(await refusalOf(nowhere.rpc.changeMembership(membership("invite", bob, carol)))).toEqual(forbidden);
    const room = await world.create();
    const remote = trusted.userId("@eve:elsewhere.test");
    expect(await refusalOf(room.rpc.changeMembership(membership("invite", alice, remote)))).toEqual(forbidden);
    expect(await refusalOf(room.rpc.changeMembership(membership("ban", alice, remote)))).toBeNull();
  });

  it("ends a user's typing when the user leaves", async () => {
    const room = await createWorld().create({ preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    const { store } = room.context;
    store.transaction((tx) => tx.room.setTyping({ [bob]: 9e15, [alice]: 9e15 }, 1));
    await room.rpc.changeMembership(membership("leave", bob));
    expect(store.room.get()).toMatchObject({
      typing: { [alice]: 9e15 },
      typingPosition: store.room.get().streamPosition,
    });
  });
});

describe("restricted joins", () => {
  async function restrictedRoom(
    world: World,
    roomVersion: string,
    wish: { allow: string[]; invite?: number },
  ): Promise<TestRoom> {
    const allow = wish.allow.map((room_id) => ({ type: "m.room_membership", room_id }));
    const content = { join_rule: "restricted", allow };
    return world.create({
      roomVersion,
      powerLevelContentOverride: { invite: wish.invite ?? 50 },
      initialState: [{ type: "m.room.join_rules", stateKey: "", content }],
    });
  }

  const versions = supportedRoomVersions.filter((version) => rulesFor(version)?.allowsRestrictedJoin);
  it.each(versions)("lets members of an allowed room join, in room version %s", async (roomVersion) => {
    const world = createWorld();
    const [club, other] = [await world.create({ preset: "public_chat" }), await world.create()];
    const room = await restrictedRoom(world, roomVersion, { allow: [other.roomId, club.roomId] });
    expect(await refusalOf(room.rpc.changeMembership(membership("join", bob)))).toEqual(forbidden);
    await club.rpc.changeMembership(membership("join", bob));
    const joined = await room.rpc.changeMembership(membership("join", bob));
    expect(memberContent(room, bob)).toEqual({ membership: "join", join_authorised_via_users_server: alice });
    const pdu = storedPdu(room, joined.eventId ?? "");
    expect(JSON.stringify(pdu.auth_events)).toContain(
      findCurrentState(room.context.store, "m.room.member", alice)?.eventId ?? "none",
    );
    // Who had authorised the join is no part of what a repeat says.
    expect(await room.rpc.changeMembership(membership("join", bob))).toEqual(joined);
  });

  it("lets the invited join without a condition", async () => {
    const world = createWorld();
    const room = await restrictedRoom(world, "12", { allow: [] });
    await room.rpc.changeMembership(membership("invite", alice, bob));
    await room.rpc.changeMembership(membership("join", bob));
    expect(memberContent(room, bob)).toEqual({ membership: "join" });
  });

  it("refuses when nobody here may invite, and users who were banned", async () => {
    const world = createWorld();
    const club = await world.create({ preset: "public_chat" });
    await club.rpc.changeMembership(membership("join", bob));
    await club.rpc.changeMembership(membership("join", carol));
    const room = await restrictedRoom(world, "11", { allow: [club.roomId] });
    await room.rpc.changeMembership(membership("ban", alice, carol));
    expect(await refusalOf(room.rpc.changeMembership(membership("join", carol)))).toEqual(forbidden);
    await room.rpc.changeMembership(membership("invite", alice, dave));
    await room.rpc.changeMembership(membership("join", dave));
    await room.rpc.changeMembership(membership("leave", alice));
    expect(await refusalOf(room.rpc.changeMembership(membership("join", bob)))).toEqual(forbidden);
  });

  it("ignores an authoriser that the client claims", async () => {
    const world = createWorld();
    const room = await restrictedRoom(world, "12", { allow: [] });
    const content = { membership: "join", join_authorised_via_users_server: alice };
    expect(await refusalOf(room.rpc.sendEvent(state(bob, "m.room.member", content, bob)))).toEqual(forbidden);
  });
});

describe("m.room.member as a state event", () => {
  it("changes the membership with content of the client's own", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    world.profiles.set(bob, { displayname: "Bob", avatar_url: "mxc://b/b" });
    const content = { membership: "join", displayname: "Bob in here", mood: "good" };
    expect(await refusalOf(room.rpc.sendEvent(state(bob, "m.room.member", content, bob)))).toEqual(forbidden);
    await room.rpc.changeMembership(membership("join", bob));
    await room.rpc.sendEvent(state(bob, "m.room.member", content, bob));
    expect(memberContent(room, bob)).toEqual({ ...content, avatar_url: "mxc://b/b" });
    await room.rpc.sendEvent(state(alice, "m.room.member", { membership: "ban" }, bob));
    expect(room.context.store.memberships.find(bob)?.membership).toBe("ban");
  });

  it("refuses content without a known membership, and state keys that are no users", async () => {
    const room = await createWorld().create();
    const put = (content: JsonObject, key: string) =>
      refusalOf(room.rpc.sendEvent(state(alice, "m.room.member", content, key)));
    expect(await put({}, bob)).toEqual([400, "M_BAD_JSON"]);
    expect(await put({ membership: "dance" }, bob)).toEqual([400, "M_BAD_JSON"]);
    expect(await put({ membership: "invite" }, "bob")).toEqual([400, "M_INVALID_PARAM"]);
    expect(await put({ membership: "join", displayname: "x".repeat(256) }, alice)).toBeNull();
    expect(await put({ membership: "join", displayname: "x".repeat(257) }, alice)).toEqual([400, "M_BAD_JSON"]);
    expect(await put({ membership: "join", avatar_url: "x".repeat(1_000) }, alice)).toBeNull();
    expect(await put({ membership: "join", avatar_url: "x".repeat(1_001) }, alice)).toEqual([400, "M_BAD_JSON"]);
  });
});

describe("forget", () => {
  it("forgets a room that was left, tells the user's actor, and is safe to repeat", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    expect(await refusalOf(room.rpc.forget(bob))).toEqual([400, "M_UNKNOWN"]);
    await room.rpc.changeMembership(membership("leave", bob));
    await room.rpc.forget(bob);
    await room.rpc.forget(bob);
    expect(room.context.store.memberships.find(bob)).toMatchObject({ membership: "leave", isForgotten: true });
    const through = room.context.store.memberships.find(bob)?.streamPosition;
    expect(world.forgotten).toContainEqual({ userId: bob, roomId: room.roomId, through });
    await room.rpc.changeMembership(membership("join", bob));
    expect(room.context.store.memberships.find(bob)?.isForgotten).toBe(false);
  });
});

describe("updateMemberProfile", () => {
  it("writes a member event only where something differs", async () => {
    const room = await createWorld().create({ preset: "public_chat" });
    await room.rpc.changeMembership({ ...membership("join", bob), reason: "curious" });
    const events = storedEvents(room).length;
    await room.rpc.updateMemberProfile(bob, {}, 1);
    await room.rpc.updateMemberProfile(carol, { displayname: "Carol" }, 1);
    expect(storedEvents(room)).toHaveLength(events);
    await room.rpc.updateMemberProfile(bob, { displayname: "Bob", "m.tz": "UTC" }, 1);
    await room.rpc.updateMemberProfile(bob, { displayname: "Bob" }, 1);
    expect(storedEvents(room)).toHaveLength(events + 1);
    expect(memberContent(room, bob)).toEqual({ membership: "join", displayname: "Bob" });
    await room.rpc.changeMembership(membership("leave", bob));
    await room.rpc.updateMemberProfile(bob, { displayname: "Robert" }, 1);
    expect(memberContent(room, bob)).toEqual({ membership: "leave" });
  });

  it("is no joining: the user is told where their membership began", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    const wakeOf = async (act: () => Promise<unknown>) => {
      world.wakes.length = 0;
      await act();
      await world.settle();
      return world.wakes.findLast(({ userId }) => userId === bob)?.wake;
    };
    const joined = await wakeOf(() => room.rpc.changeMembership(membership("join", bob)));
    const renamed = await wakeOf(() => room.rpc.updateMemberProfile(bob, { displayname: "Bob" }, 1));
    expect(renamed?.membershipPosition).toBe(joined?.head);
    await room.rpc.changeMembership(membership("leave", bob));
    const back = await wakeOf(() => room.rpc.changeMembership(membership("join", bob)));
    expect(back?.membershipPosition).toBe(back?.head);
  });

  it("takes no older version after a newer one, also where the newer one changed nothing", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    world.profiles.set(bob, { displayname: "Third" });
    await room.rpc.changeMembership(membership("join", bob));
    await room.rpc.updateMemberProfile(bob, { displayname: "Third" }, 3);
    room.evict();
    await room.rpc.updateMemberProfile(bob, { displayname: "Second" }, 2);
    expect(memberContent(room, bob)).toEqual({ membership: "join", displayname: "Third" });
    await room.rpc.updateMemberProfile(bob, { displayname: "Fourth" }, 4);
    await room.rpc.updateMemberProfile(bob, { displayname: "Fourth" }, 4);
    expect(memberContent(room, bob)).toEqual({ membership: "join", displayname: "Fourth" });
  });
});

describe("rate limits of a room", () => {
  const limited = [429, "M_LIMIT_EXCEEDED"];

  it("lets ten join at once, and one more a second", async () => {
    const world = createWorld({ RATE_LIMITS: "on" });
    const room = await world.create({ preset: "public_chat" });
    const join = (index: number) => refusalOf(room.rpc.changeMembership(membership("join", user(`u${index}`))));
    for (let index = 0; index < 10; index += 1) expect(await join(index)).toBeNull();
    expect(await join(10)).toEqual(limited);
    // Who is in the room already does not count.
    expect(await join(0)).toBeNull();
    world.clock.advance(1_000);
    expect(await join(10)).toBeNull();
    expect(await join(11)).toEqual(limited);
  });

  it("lets ten be invited at once", async () => {
    const world = createWorld({ RATE_LIMITS: "on" });
    const room = await world.create();
    const invite = (index: number) =>
      refusalOf(room.rpc.changeMembership(membership("invite", alice, user(`u${index}`))));
    for (let index = 0; index < 10; index += 1) expect(await invite(index)).toBeNull();
    expect(await invite(10)).toEqual(limited);
    expect(room.context.store.memberships.find(user("u10"))).toBeNull();
  });
});

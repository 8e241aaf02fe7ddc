import { describe, expect, it } from "vitest";
import { type DeviceId, type EventId, trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { at, bodiesOf, contextInput, listAt, messagesInput } from "./sync-client.ts";
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

const device = (userId: UserId): DeviceId => trusted.deviceId(`${userId.slice(1, 2)}-device`);

async function send(room: TestRoom, sender: UserId, body: string): Promise<EventId> {
  return (await room.rpc.sendEvent(message(sender, body))).eventId;
}

async function bodies(room: TestRoom, userId: UserId): Promise<string[]> {
  const page = await room.rpc.getMessages(messagesInput(userId, { dir: "f", limit: 100 }));
  return bodiesOf(listAt(page, "chunk")).filter((body) => !body.includes("|"));
}

async function roomWith(visibility: string): Promise<{ world: World; room: TestRoom }> {
  const world = createWorld();
  const content = { history_visibility: visibility };
  const initialState = [{ type: "m.room.history_visibility", stateKey: "", content }];
  return { world, room: await world.create({ preset: "public_chat", initialState }) };
}

/** A message in each phase of bob's membership. */
async function livesOfBob(room: TestRoom): Promise<void> {
  await send(room, alice, "before");
  await room.rpc.changeMembership(membership("invite", alice, bob));
  await send(room, alice, "invited");
  await room.rpc.changeMembership(membership("join", bob));
  await send(room, alice, "joined");
  await room.rpc.changeMembership(membership("leave", bob));
  await send(room, alice, "left");
}

describe("history visibility", () => {
  it.each([
    ["world_readable", ["before", "invited", "joined", "left"]],
    ["shared", ["before", "invited", "joined"]],
    ["invited", ["invited", "joined"]],
    ["joined", ["joined"]],
    ["not understood", ["before", "invited", "joined"]],
  ])("%s decides what somebody who left may see", async (visibility, expected) => {
    const { room } = await roomWith(visibility);
    await livesOfBob(room);
    expect(await bodies(room, bob)).toEqual(expected);
  });

  it.each([
    ["world_readable", ["before", "invited", "joined", "left", "again"]],
    ["shared", ["before", "invited", "joined", "left", "again"]],
    ["invited", ["invited", "joined", "again"]],
    ["joined", ["joined", "again"]],
  ])("%s decides what somebody who came back may see", async (visibility, expected) => {
    const { room } = await roomWith(visibility);
    await livesOfBob(room);
    await room.rpc.changeMembership(membership("join", bob));
    await send(room, alice, "again");
    expect(await bodies(room, bob)).toEqual(expected);
  });

  it("is applied as it was when the event was sent", async () => {
    const { room } = await roomWith("joined");
    await send(room, alice, "joined only");
    await room.rpc.sendEvent(state(alice, "m.room.history_visibility", { history_visibility: "shared" }));
    await send(room, alice, "shared");
    await room.rpc.sendEvent(state(alice, "m.room.history_visibility", { history_visibility: "joined" }));
    await send(room, alice, "joined only again");
    await room.rpc.changeMembership(membership("join", bob));
    expect(await bodies(room, bob)).toEqual(["shared"]);
    const page = await room.rpc.getMessages(messagesInput(bob, { dir: "f", limit: 100 }));
    const changes = listAt(page, "chunk").filter((event) => event.type === "m.room.history_visibility");
    // Each has "shared" on one side: before the first there was none.
    expect(changes.map((event) => at(event.content, "history_visibility"))).toEqual(["joined", "shared", "joined"]);
  });

  it("lets only members in unless history is world readable", async () => {
    const { room } = await roomWith("shared");
    const eventId = await send(room, alice, "hello");
    await room.rpc.changeMembership(membership("invite", alice, carol));
    for (const stranger of [bob, carol]) {
      expect(await refusalOf(room.rpc.getMessages(messagesInput(stranger)))).toEqual([403, "M_FORBIDDEN"]);
      expect(await refusalOf(room.rpc.getState(stranger))).toEqual([403, "M_FORBIDDEN"]);
      expect(await refusalOf(room.rpc.getEvent(stranger, null, eventId))).toEqual([404, "M_NOT_FOUND"]);
    }
    await room.rpc.sendEvent(state(alice, "m.room.history_visibility", { history_visibility: "world_readable" }));
    const open = await send(room, alice, "open");
    expect(await bodies(room, dave)).toEqual(["open"]);
    expect(await room.rpc.getEvent(dave, null, open)).toMatchObject({ event_id: open });
    expect(await refusalOf(room.rpc.getEvent(dave, null, eventId))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("says of a room that does not exist what it says of one that the user is not in", async () => {
    const world = createWorld();
    const nowhere = world.room(trusted.roomId(`!${"A".repeat(43)}`));
    expect(await refusalOf(nowhere.rpc.getMessages(messagesInput(alice)))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(nowhere.rpc.getState(alice))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(nowhere.rpc.getJoinedMembers(alice))).toEqual([403, "M_FORBIDDEN"]);
    expect(await refusalOf(nowhere.rpc.setTyping({ userId: alice, typing: true, timeoutMs: 1 }))).toEqual([
      403,
      "M_FORBIDDEN",
    ]);
    const eventId = trusted.eventId("$x");
    expect(await refusalOf(nowhere.rpc.getEvent(alice, null, eventId))).toEqual([404, "M_NOT_FOUND"]);
  });

  it("forgets who has forgotten the room", async () => {
    const { room } = await roomWith("shared");
    await livesOfBob(room);
    await room.rpc.forget(bob);
    expect(await refusalOf(room.rpc.getMessages(messagesInput(bob)))).toEqual([403, "M_FORBIDDEN"]);
  });
});

describe("client events", () => {
  it("prunes redacted events on every path and says why", async () => {
    const { room } = await roomWith("shared");
    await room.rpc.changeMembership(membership("join", bob));
    const target = await send(room, bob, "secret words");
    await room.rpc.sendEvent(state(alice, "m.room.name", { name: "secret name" }));
    const name = at((await room.rpc.getStateEvent(alice, "m.room.name", "")).event, "event_id");
    for (const redacts of [target, trusted.eventId(String(name))]) {
      const redaction = { ...message(alice, ""), type: "m.room.redaction", content: { reason: "spam" }, redacts };
      await room.rpc.sendEvent(redaction);
    }
    await room.rpc.changeMembership(membership("invite", alice, carol));
    const event = await room.rpc.getEvent(bob, null, target);
    expect(event.content).toEqual({});
    expect(at(event, "unsigned", "redacted_because")).toMatchObject({
      type: "m.room.redaction",
      sender: alice,
      redacts: target,
      content: { reason: "spam", redacts: target },
    });
    const answers: unknown[] = [
      event,
      await room.rpc.getMessages(messagesInput(bob, { limit: 50 })),
      await room.rpc.getContext(contextInput(bob, target, { limit: 20 })),
      await room.rpc.getState(bob),
      await room.rpc.getStateEvent(bob, "m.room.name", ""),
    ];
    for (const userId of [bob, carol]) {
      const input = {
        deviceId: device(userId),
        fullState: true,
        filter: null,
        eventFormat: "client" as const,
        useStateAfter: false,
      };
      const rest = { since: null, isIncremental: false, ignoredUsers: [], pushRules: {} };
      answers.push(await room.rpc.syncRoom({ userId, ...input, ...rest }));
    }
    expect(JSON.stringify(answers)).not.toContain("secret");
  });

  it("gives the transaction id to the device that sent the event, and to no other", async () => {
    const { room } = await roomWith("shared");
    const { eventId } = await room.rpc.sendEvent(message(alice, "hello", "txn-1"));
    const transactionId = async (userId: UserId, deviceId: DeviceId | null): Promise<unknown> =>
      at(await room.rpc.getEvent(userId, deviceId, eventId), "unsigned", "transaction_id");
    await room.rpc.changeMembership(membership("join", bob));
    expect(await transactionId(alice, device(alice))).toBe("txn-1");
    expect(await transactionId(alice, trusted.deviceId("other"))).toBeNull();
    expect(await transactionId(alice, null)).toBeNull();
    expect(await transactionId(bob, device(alice))).toBeNull();
  });

  it("tells age, membership and what a state event replaced", async () => {
    const { world, room } = await roomWith("joined");
    await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "first" }));
    const first = at((await room.rpc.getStateEvent(alice, "m.room.topic", "")).event, "event_id");
    await room.rpc.changeMembership(membership("join", bob));
    const { eventId } = await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: "second" }));
    world.clock.advance(5_000);
    const unsigned = async (userId: UserId): Promise<JsonObject[string]> =>
      at(await room.rpc.getEvent(userId, null, eventId), "unsigned");
    expect(await unsigned(alice)).toEqual({
      age: 5_000,
      membership: "join",
      prev_content: { topic: "first" },
      prev_sender: alice,
      replaces_state: first,
    });
    // Bob may not see the event that was replaced, but may know its id.
    expect(await unsigned(bob)).toEqual({ age: 5_000, membership: "join", replaces_state: first });
  });

  it("tells the membership that the user had at the event, with the event's own change", async () => {
    const { room } = await roomWith("shared");
    await livesOfBob(room);
    const page = await room.rpc.getMessages(messagesInput(bob, { dir: "f", limit: 100 }));
    const told = listAt(page, "chunk").map((event) => [bodiesOf([event])[0], at(event, "unsigned", "membership")]);
    expect(told.filter(([body]) => !String(body).startsWith("m.room.") || String(body).endsWith(bob))).toEqual([
      ["before", "leave"],
      [`m.room.member|${bob}`, "invite"],
      ["invited", "invite"],
      [`m.room.member|${bob}`, "join"],
      ["joined", "join"],
      [`m.room.member|${bob}`, "leave"],
    ]);
  });
});

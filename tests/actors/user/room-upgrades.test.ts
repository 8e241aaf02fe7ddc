import { describe, expect, it } from "vitest";
import { changeAccountData } from "../../../actors/user/account-data.ts";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { defaultPushRules } from "../../../shared/matrix/push/default-rules.ts";
import type { Membership } from "../../../shared/rpc/room.ts";
import { alice, bob, device, register, room, type TestUser, World } from "./world.ts";

const [old, fresh, other] = [room("old"), trusted.roomId(`!${"n".repeat(43)}`), room("other")];
const tags = { "m.favourite": { order: 0.5 }, "u.work": {} };
const carol = "@carol:elsewhere.example";

const roomRule = (ruleId: string, changes: JsonObject = {}): JsonObject => ({
  rule_id: ruleId,
  default: false,
  enabled: true,
  actions: ["notify"],
  ...changes,
});
const mute = (ruleId: string, roomId: string): JsonObject => ({
  ...roomRule(ruleId, { actions: [] }),
  conditions: [{ kind: "event_match", key: "room_id", pattern: roomId }],
});

async function aliceInOld(): Promise<{ world: World; user: TestUser }> {
  const world = new World();
  await register(world, alice);
  world.rooms.replaced.set(fresh, old);
  const user = world.user(alice);
  await told(world, user, old, "join", 1);
  return { world, user };
}

async function told(world: World, user: TestUser, roomId: typeof old, membership: Membership, position: number) {
  await user.rpc.roomAdvanced({ roomId, head: position, membership, membershipPosition: position });
  await world.settled();
}

function store(user: TestUser, type: string, content: JsonObject, roomId: typeof old | "" = ""): void {
  changeAccountData(user.context, roomId, type, () => content);
}

const stored = (user: TestUser, type: string, roomId: typeof old | "" = ""): JsonObject | null =>
  user.context.store.accountData.find(roomId, type);
const obligations = (user: TestUser) => user.sql.all("SELECT * FROM obligations");

/** The user's push rules: the default ones with these before them, as they are stored. */
const withRules = (rules: Record<string, JsonObject[]>): JsonObject => {
  const defaults: Record<string, JsonObject[]> = defaultPushRules(alice);
  const merged = Object.entries(defaults).map(([kind, given]) => [kind, [...(rules[kind] ?? []), ...given]]);
  return { global: Object.fromEntries(merged) };
};

describe("joining the room that replaces another", () => {
  it("copies tags, direct chats and push rules", async () => {
    const { world, user } = await aliceInOld();
    store(user, "m.tag", { tags }, old);
    store(user, "m.direct", { [bob]: [other, old], [carol]: [old], "@dave:a": [other] });
    const override = [mute(old, old), mute(other, other), mute("my.rule", old)];
    store(user, "m.push_rules", withRules({ room: [roomRule(other), roomRule(old)], override }));
    const held = user.hold(device("FIRST"));
    await told(world, user, fresh, "join", 2);
    expect(stored(user, "m.tag", fresh)).toEqual({ tags });
    expect(stored(user, "m.tag", old)).toEqual({ tags });
    const direct = { [bob]: [other, old, fresh], [carol]: [old, fresh], "@dave:a": [other] };
    expect(stored(user, "m.direct")).toEqual(direct);
    const copied = withRules({
      room: [roomRule(other), roomRule(old), roomRule(fresh)],
      override: [
        ...[mute(old, old), mute(fresh, fresh), mute(other, other)],
        ...[mute("my.rule", old), mute(`my.rule.${fresh}`, fresh)],
      ],
    });
    expect(stored(user, "m.push_rules")).toEqual(copied);
    expect(obligations(user)).toEqual([]);
    // Clients hear of each change behind the news of the room.
    expect(held.told).toHaveLength(4);
  });

  it("copies the rest where one part is absent, malformed or too large", async () => {
    const { world, user } = await aliceInOld();
    store(user, "m.tag", { tags }, old);
    store(user, "m.push_rules", { global: { room: [1, { rule_id: 2 }, {}], override: "none", sender: [null] } });
    const large = [old, "x".repeat(1_048_576 - JSON.stringify({ a: [old, ""] }).length)];
    store(user, "m.direct", { a: large });
    await told(world, user, fresh, "join", 2);
    expect(stored(user, "m.tag", fresh)).toEqual({ tags });
    expect(stored(user, "m.direct")).toEqual({ a: large });
    expect(obligations(user)).toEqual([]);
    store(user, "m.direct", { a: "no list", b: [1, old], __proto__: [old] });
    await told(world, user, fresh, "leave", 3);
    await told(world, user, fresh, "join", 4);
    expect(stored(user, "m.direct")).toEqual({ a: "no list", b: [1, old, fresh] });
  });

  it("keeps what the user has set for the new room, and does nothing when repeated", async () => {
    const { world, user } = await aliceInOld();
    store(user, "m.tag", { tags }, old);
    store(user, "m.tag", { tags: {} }, fresh);
    store(user, "m.direct", { [bob]: [fresh, old] });
    const rules = withRules({
      room: [roomRule(fresh, { actions: [] }), roomRule(old)],
      override: [mute(fresh, fresh), mute(old, old)],
    });
    store(user, "m.push_rules", rules);
    const before = user.context.store.streams.head();
    for (let position = 2; position < 8; position += 2) {
      await told(world, user, fresh, "join", position);
      await told(world, user, fresh, "leave", position + 1);
    }
    expect(stored(user, "m.tag", fresh)).toEqual({ tags: {} });
    expect(stored(user, "m.direct")).toEqual({ [bob]: [fresh, old] });
    expect(stored(user, "m.push_rules")).toEqual(rules);
    expect(user.context.store.streams.head()).toBe(before);
  });

  it("copies once, however often the room's news are repeated or answers lost, and after a crash", async () => {
    const { world, user } = await aliceInOld();
    store(user, "m.tag", { tags }, old);
    store(user, "m.direct", { [bob]: [old] });
    store(user, "m.push_rules", withRules({ room: [roomRule(old)] }));
    world.faults.push({ method: "room.findReplacedRoom", when: "before", times: 1 });
    world.faults.push({ method: "room.findReplacedRoom", when: "after", times: 1 });
    const wake = { roomId: fresh, head: 2, membership: "join", membershipPosition: 2 } as const;
    await Promise.all([1, 2, 3].map(() => user.rpc.roomAdvanced(wake)));
    await world.settled();
    expect(stored(user, "m.tag", fresh)).toBeNull();
    expect(obligations(user)).toHaveLength(1);
    user.evict();
    await user.ring();
    await user.rpc.roomAdvanced(wake);
    user.evict();
    await user.ring();
    expect(stored(user, "m.tag", fresh)).toEqual({ tags });
    expect(stored(user, "m.direct")).toEqual({ [bob]: [old, fresh] });
    expect(stored(user, "m.push_rules")).toEqual(withRules({ room: [roomRule(old), roomRule(fresh)] }));
    expect(obligations(user)).toEqual([]);
    const head = user.context.store.streams.head();
    await user.rpc.roomAdvanced(wake);
    await user.rpc.setRoomTag(fresh, "m.favourite", null);
    await world.settled();
    expect(user.context.store.streams.head()).toBe(head + 1);
  });

  it("copies nothing for other memberships and other rooms, and asks nothing where there is nothing to copy", async () => {
    const { world, user } = await aliceInOld();
    world.faults.push({ method: "room.findReplacedRoom", when: "before", times: 100 });
    await told(world, user, fresh, "join", 2);
    expect(world.faults.at(-1)?.times).toBe(100);
    store(user, "m.tag", { tags }, old);
    world.faults.length = 0;
    for (const [position, membership] of (["invite", "knock", "leave", "ban"] as const).entries()) {
      await told(world, user, fresh, membership, position + 3);
    }
    await told(world, user, other, "join", 2);
    expect([stored(user, "m.tag", fresh), stored(user, "m.tag", other)]).toEqual([null, null]);
    await told(world, user, fresh, "join", 9);
    expect(stored(user, "m.tag", fresh)).toEqual({ tags });
  });

  it("stops at a thousand push rules", async () => {
    const { world, user } = await aliceInOld();
    const many = Array.from({ length: 998 }, (_, n) => roomRule(`!${n}:a`));
    store(user, "m.push_rules", withRules({ room: [roomRule(old), ...many], override: [] }));
    await told(world, user, fresh, "join", 2);
    expect(stored(user, "m.push_rules")).toEqual(withRules({ room: [roomRule(old), roomRule(fresh), ...many] }));
    store(user, "m.push_rules", withRules({ room: [roomRule(old), roomRule("!one:more"), ...many] }));
    await told(world, user, fresh, "leave", 3);
    await told(world, user, fresh, "join", 4);
    expect(stored(user, "m.push_rules")).toEqual(withRules({ room: [roomRule(old), roomRule("!one:more"), ...many] }));
  });
});

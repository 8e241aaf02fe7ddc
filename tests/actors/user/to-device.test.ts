import { describe, expect, it } from "vitest";
import { acknowledgeInbox, hasInboxAfter, readInbox } from "../../../actors/user/to-device.ts";
import type { Variables } from "../../../shared/env.ts";
import { type DeviceId, trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { alice, bob, device, errcodeOf, newSession, password, register, serverName, World } from "./world.ts";

type Messages = Record<string, Record<string, JsonObject>>;

/** Alice with one device, Bob with two. */
async function aliceAndBob(variables: Variables = {}): Promise<World> {
  const world = new World(variables);
  await register(world, alice, newSession("A1"));
  await register(world, bob, newSession("B1"));
  await world.user(bob).rpc.loginWithPassword({ password, session: newSession("B2") });
  return world;
}

async function send(world: World, txnId: string, messages: Messages): Promise<void> {
  await world.user(alice).rpc.sendToDevice({ deviceId: device("A1"), txnId, type: "m.test", messages });
  await world.settled();
}

const inbox = (world: World, userId: UserId, name: string, after = 0, limit = 100) =>
  readInbox(world.user(userId).context, device(name), after, limit);
const contents = (world: World, name: string): unknown[] =>
  inbox(world, bob, name, 0, 20_000).events.map((event) => event.content);

describe("sendToDevice", () => {
  it("delivers to the devices that are named and exist", async () => {
    const world = await aliceAndBob();
    await send(world, "1", { [bob]: { B1: { n: 1 }, NOBODY: { n: 2 } } });
    expect(inbox(world, bob, "B1").events).toEqual([{ type: "m.test", sender: alice, content: { n: 1 } }]);
    expect(contents(world, "B2")).toEqual([]);
    expect(contents(world, "NOBODY")).toEqual([]);
  });

  it("delivers to all devices for *, but what names a device goes before", async () => {
    const world = await aliceAndBob();
    await send(world, "1", { [bob]: { "*": { n: 1 }, B2: { n: 2 } }, [alice]: { "*": { n: 3 } } });
    expect(contents(world, "B1")).toEqual([{ n: 1 }]);
    expect(contents(world, "B2")).toEqual([{ n: 2 }]);
    expect(inbox(world, alice, "A1").events).toHaveLength(1);
  });

  it("is carried out once for each device, event type and transaction id", async () => {
    const world = await aliceAndBob();
    for (let i = 0; i < 3; i += 1) await send(world, "same", { [bob]: { B1: { i } } });
    await send(world, "other", { [bob]: { B1: { i: 3 } } });
    await world.user(alice).rpc.loginWithPassword({ password, session: newSession("A2") });
    const fromOther = { deviceId: device("A2"), txnId: "same", type: "m.test", messages: { [bob]: { B1: { i: 4 } } } };
    await world.user(alice).rpc.sendToDevice(fromOther);
    const ofOtherType = {
      ...fromOther,
      deviceId: device("A1"),
      type: "m.other",
      messages: { [bob]: { B1: { i: 5 } } },
    };
    await world.user(alice).rpc.sendToDevice(ofOtherType);
    await world.settled();
    expect(contents(world, "B1")).toEqual([{ i: 0 }, { i: 3 }, { i: 4 }, { i: 5 }]);
  });

  it("keeps what could not be delivered, through the death of the instance, and in order", async () => {
    const world = await aliceAndBob();
    world.faults.push({ method: "user.depositToDevice", when: "before", times: 2 });
    await send(world, "1", { [bob]: { B1: { n: 1 } } });
    await send(world, "2", { [bob]: { B1: { n: 2 } } });
    expect(contents(world, "B1")).toEqual([]);
    world.user(alice).evict();
    await world.user(alice).ring();
    expect(contents(world, "B1")).toEqual([{ n: 1 }, { n: 2 }]);
    expect(world.user(alice).sql.all("SELECT * FROM to_device_outbox")).toEqual([]);
  });

  it("delivers once when only the answer was lost", async () => {
    const world = await aliceAndBob();
    world.faults.push({ method: "user.depositToDevice", when: "after", times: 1 });
    await send(world, "1", { [bob]: { "*": { n: 1 } } });
    world.user(alice).evict();
    world.user(bob).evict();
    await world.user(alice).ring();
    expect(contents(world, "B1")).toEqual([{ n: 1 }]);
    expect(contents(world, "B2")).toEqual([{ n: 1 }]);
  });

  it("does not keep messages for users of servers that this one does not talk to", async () => {
    const world = await aliceAndBob({ FEDERATION_DOMAIN_DENY: "elsewhere.test" });
    await send(world, "1", { "@eve:elsewhere.test": { "*": { secret: "x" } } });
    expect(world.user(alice).sql.all("SELECT * FROM to_device_outbox")).toEqual([]);
    const line = world.logged.find(({ message }) => message.includes("not talked to"));
    expect(line?.fields).toEqual({ user_id: alice, destination: "elsewhere.test", users: 1 });
  });

  it("accepts contents of 64 KiB and nothing larger", async () => {
    const world = await aliceAndBob();
    const sized = (bytes: number): JsonObject => ({ a: "x".repeat(bytes - '{"a":""}'.length) });
    const attempt = (bytes: number) => errcodeOf(send(world, `${bytes}`, { [bob]: { B1: sized(bytes) } }));
    expect(await attempt(65_535)).toBe("none");
    expect(await attempt(65_536)).toBe("none");
    expect(await attempt(65_537)).toBe("M_TOO_LARGE");
    expect(contents(world, "B1")).toHaveLength(2);
    expect(await errcodeOf(send(world, "x", { "not a user": { B1: {} } }))).toBe("M_INVALID_PARAM");
  });

  it("carries keys such as __proto__ as they are", async () => {
    const world = await aliceAndBob();
    const content: JsonObject = JSON.parse('{"__proto__":{"a":1},"constructor":2}');
    await send(world, "1", { [bob]: { B1: content, __proto__: {} } });
    expect(JSON.stringify(contents(world, "B1"))).toBe('[{"__proto__":{"a":1},"constructor":2}]');
  });

  it("costs few rows", async () => {
    const world = await aliceAndBob();
    await send(world, "warm", { [bob]: { B1: {} } });
    const before = [alice, bob].map((userId) => world.user(userId).sql.usage.rowsWritten);
    await send(world, "1", { [bob]: { B1: { n: 1 } } });
    const after = [alice, bob].map((userId) => world.user(userId).sql.usage.rowsWritten);
    // Sender: transaction, outbox, outbox again. Receiver: deposit, stream position, inbox.
    expect(after.map((rows, index) => rows - (before[index] ?? 0))).toEqual([3, 3]);
  });
});

describe("the inbox", () => {
  it("gives messages until they are acknowledged, and never after", async () => {
    const world = await aliceAndBob();
    for (let n = 0; n < 5; n += 1) await send(world, `${n}`, { [bob]: { B1: { n } } });
    const { context } = world.user(bob);
    const first = inbox(world, bob, "B1", 0, 3);
    expect(first).toMatchObject({ isComplete: false });
    expect(first.events.map((event) => event.content)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
    // The answer was lost: the same token gives the same messages.
    expect(inbox(world, bob, "B1", 0, 3)).toEqual(first);
    acknowledgeInbox(context, device("B1"), first.through);
    expect(inbox(world, bob, "B1", 0, 3).events.map((event) => event.content)).toEqual([{ n: 3 }, { n: 4 }]);
    const second = inbox(world, bob, "B1", first.through, 3);
    expect(second).toMatchObject({ isComplete: true });
    expect(hasInboxAfter(context, device("B1"), first.through)).toBe(true);
    expect(hasInboxAfter(context, device("B1"), second.through)).toBe(false);
    acknowledgeInbox(context, device("B1"), second.through);
    world.user(bob).evict();
    expect(inbox(world, bob, "B1").events).toEqual([]);
  });

  it("wakes the devices that got something, and no other", async () => {
    const world = await aliceAndBob();
    const [first, second] = [world.user(bob).hold(device("B1")), world.user(bob).hold(device("B2"))];
    await send(world, "1", { [bob]: { B1: {} } });
    expect([first.told.length, second.told.length]).toEqual([1, 0]);
  });

  it("holds 10,000 messages for a device, and drops the oldest beyond, with a log line", async () => {
    const world = await aliceAndBob();
    const { context, sql } = world.user(bob);
    const count = (): number =>
      sql.one<{ count: number }>("SELECT COUNT(*) AS count FROM to_device_inbox WHERE device_id = 'B1'")?.count ?? 0;
    context.store.transaction((tx) => {
      for (let n = 1; n <= 9_998; n += 1) {
        const message = { position: tx.streams.next(), sender: alice, type: "m.test", content: { n } };
        tx.toDevice.insertInbox(device("B1"), message);
      }
    });
    for (const n of [9_999, 10_000]) await send(world, `${n}`, { [bob]: { B1: { n } } });
    expect(count()).toBe(10_000);
    expect(world.logged.filter(({ message }) => message.includes("inbox is full"))).toEqual([]);
    await send(world, "10001", { [bob]: { B1: { n: 10_001 } } });
    expect(count()).toBe(10_000);
    expect(contents(world, "B1").at(0)).toEqual({ n: 2 });
    expect(contents(world, "B1").at(-1)).toEqual({ n: 10_001 });
    expect(world.logged.filter(({ message }) => message.includes("inbox is full"))).toHaveLength(1);
  });

  it("holds 64 MiB for a device, and drops the oldest beyond", async () => {
    const world = await aliceAndBob();
    const { context, sql } = world.user(bob);
    const big = { a: "x".repeat(65_536 - '{"a":""}'.length) };
    context.store.transaction((tx) => {
      for (let n = 0; n < 1023; n += 1) {
        const message = { position: tx.streams.next(), sender: alice, type: "m.test", content: big };
        tx.toDevice.insertInbox(device("B1"), message);
      }
    });
    const count = (): number =>
      sql.one<{ count: number }>("SELECT COUNT(*) AS count FROM to_device_inbox WHERE device_id = 'B1'")?.count ?? 0;
    await send(world, "1024", { [bob]: { B1: big } });
    expect(count()).toBe(1024);
    await send(world, "small", { [bob]: { B1: {} } });
    expect(count()).toBe(1024);
    await send(world, "another", { [bob]: { B1: {} } });
    expect(count()).toBe(1025);
  });

  it("forgets transactions and deposits after a day, and lets the alarm rest", async () => {
    const world = await aliceAndBob();
    await send(world, "1", { [bob]: { B1: {} } });
    for (const userId of [alice, bob]) {
      const user = world.user(userId);
      for (let rings = 0; user.alarmAt !== null; rings += 1) {
        expect(rings).toBeLessThan(5);
        await user.ring();
      }
      expect(user.sql.all("SELECT * FROM to_device_received")).toEqual([]);
      expect(user.sql.all("SELECT * FROM to_device_transactions")).toEqual([]);
    }
    expect(contents(world, "B1")).toHaveLength(1);
  });
});

describe("a deposit", () => {
  it("for a user without an account is taken and kept for nobody", async () => {
    const world = await aliceAndBob();
    const ghost = trusted.userId(`@ghost:${serverName}`);
    await send(world, "1", { [ghost]: { "*": {}, X: {} } });
    expect(world.user(alice).sql.all("SELECT * FROM to_device_outbox")).toEqual([]);
    const none: DeviceId[] = world.user(ghost).context.store.devices.ids();
    expect(none).toEqual([]);
    expect(world.user(ghost).sql.all("SELECT * FROM to_device_inbox")).toEqual([]);
  });
});

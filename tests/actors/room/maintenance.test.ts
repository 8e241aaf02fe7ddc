import { describe, expect, it } from "vitest";
import { onRoomAlarm } from "../../../actors/room/maintenance.ts";
import { trusted } from "../../../shared/ids.ts";
import { alice, bob, createWorld, membership, message, serverName } from "./world.ts";

describe("onRoomAlarm", () => {
  it("does nothing for a room that does not exist", async () => {
    const room = createWorld().room(trusted.roomId(`!nowhere:${serverName}`));
    await onRoomAlarm(room.context);
    expect(room.alarmAt).toBeNull();
  });

  it("has the room noted where the reply's own attempt was lost", async () => {
    const world = createWorld();
    const room = await world.create();
    await world.settle();
    world.noted.clear();
    room.sql.run("UPDATE room SET is_noted = 0");
    expect(room.alarmAt).not.toBeNull();
    room.evict();
    await onRoomAlarm(room.context);
    expect(world.noted).toContain(room.roomId);
    world.noted.clear();
    await onRoomAlarm(room.context);
    expect(world.noted.size).toBe(0);
  });

  it("looks for old transactions once in a while only, because that reads all of them", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    for (let txn = 0; txn < 50; txn += 1) await room.rpc.sendEvent(message(alice, "hi", `t${txn}`));
    await world.settle();
    await onRoomAlarm(room.context);
    const stored = () => room.sql.all("SELECT txn_id FROM transactions").length;
    room.sql.run("UPDATE transactions SET created_ts = 0");
    await onRoomAlarm(room.context);
    expect(stored()).toBe(50);
    world.clock.advance(25 * 60 * 60 * 1000);
    await onRoomAlarm(room.context);
    expect(stored()).toBe(0);
  });

  it("does the rest when one piece of work fails, and asks to be called again", async () => {
    const world = createWorld();
    const room = await world.create({ preset: "public_chat" });
    await room.rpc.changeMembership(membership("join", bob));
    await world.settle();
    room.sql.run("UPDATE room SET is_noted = 0");
    room.sql.run("CREATE TRIGGER fail BEFORE DELETE ON transactions BEGIN SELECT RAISE(ABORT, 'planted'); END");
    await room.rpc.sendEvent(message(bob, "hi", "t1"));
    await world.settle();
    world.noted.clear();
    world.clock.advance(2 * 24 * 60 * 60 * 1000);
    await expect(onRoomAlarm(room.context)).rejects.toThrow("planted");
    expect(world.noted).toContain(room.roomId);
  });
});

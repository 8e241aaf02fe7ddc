/** Server ACLs at the door through which other servers send. */
import { describe, expect, it } from "vitest";
import { admitPdu, receivePdus } from "../../../actors/room/receive.ts";
import { isShutOut } from "../../../actors/room/server-acl.ts";
import { trusted } from "../../../shared/ids.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { user } from "../../support/room-builder.ts";
import { cpuMsOf } from "../../unit/matrix/timing.ts";
import { give, otherServer, statusOf, testKeys } from "./foreign.ts";
import { alice, bob, kinds, mallory, scene } from "./foreign-scene.ts";
import type { TestRoom } from "./world.ts";

const outcomes = async (room: TestRoom, origin: string, events: readonly MatrixEvent[]): Promise<string[]> =>
  (
    await receivePdus(
      room.context,
      trusted.serverName(origin),
      events.map((event) => event.pdu),
      testKeys,
    )
  ).map((outcome) => outcome.kind);

describe("a server ACL", () => {
  it("drops all that a server sends which it shuts out, whoever made it and whatever its port", async () => {
    const { built, room } = await scene();
    await give(room, [built.sendState(alice, "m.room.server_acl", { allow: ["*"], deny: ["*.example"] })]);
    const event = built.make({ sender: bob, type: "m.x" });
    const [first] = await receivePdus(room.context, trusted.serverName("evil.example"), [event.pdu], testKeys);
    expect(first).toMatchObject({ kind: "dropped", eventId: event.eventId });
    expect(await outcomes(room, "evil.example:8448", [event])).toEqual(["dropped"]);
    expect(await outcomes(room, "EVIL.Example", [event])).toEqual(["dropped"]);
    expect(statusOf(room, event.eventId)).toBeNull();
    expect(await outcomes(room, "example.org", [event])).toEqual(["accepted"]);
  });

  it("drops events of a shut-out server's users that come by way of another server", async () => {
    const { built, room } = await scene();
    const there = user("@mallory:evil.example:8448");
    const joins = [built.join(mallory), built.join(there)];
    expect(await kinds(room, joins)).toEqual(["accepted", "accepted"]);
    const acl = built.sendState(alice, "m.room.server_acl", { allow: ["*"], deny: ["evil.example"] });
    await give(room, [acl]);
    const events = [mallory, there, bob].map((sender) => built.make({ sender, type: "m.x" }));
    expect(await outcomes(room, otherServer, events)).toEqual(["dropped", "dropped", "accepted"]);
    expect(events.slice(0, 2).map((event) => statusOf(room, event.eventId))).toEqual([null, null]);
  });

  it("holds for each event by the ACL that stands when it is its turn", async () => {
    const { built, room } = await scene();
    expect(await kinds(room, [built.join(mallory)])).toEqual(["accepted"]);
    const deny = (...deny: string[]) => built.sendState(alice, "m.room.server_acl", { allow: ["*"], deny });
    const by = (sender: typeof mallory) => built.make({ sender, type: "m.x" });
    const events = [by(mallory), deny("evil.example"), by(mallory), deny(), by(mallory)];
    expect(await outcomes(room, otherServer, events)).toEqual([
      "accepted",
      "accepted",
      "dropped",
      "accepted",
      "accepted",
    ]);
    const shut = deny("example.org");
    expect(await outcomes(room, otherServer, [shut, by(bob)])).toEqual(["accepted", "dropped"]);
  });

  it("does not take from the graph what others have built upon", async () => {
    const { built, room } = await scene();
    await give(room, [built.join(mallory)]);
    await give(room, [built.sendState(alice, "m.room.server_acl", { allow: ["*"], deny: ["evil.example"] })]);
    const leaked = built.send({ sender: mallory, type: "m.x" });
    const after = built.send({ sender: bob, type: "m.x" });
    expect(await outcomes(room, otherServer, [leaked, after])).toEqual(["dropped", "missing"]);
    // What is asked for, because an event follows it, is not pushed.
    expect(admitPdu(room.context, leaked.pdu, { keysFor: testKeys, isOutlier: false }).kind).toBe("accepted");
    expect(await outcomes(room, otherServer, [after])).toEqual(["accepted"]);
  });

  it("of 64 KiB made to be slow is asked once for each server", async () => {
    const { built, room } = await scene();
    const deny = Array.from({ length: 1_350 }, (_, i) => `${"*a".repeat(15)}${i}.example`);
    expect(await kinds(room, [built.sendState(alice, "m.room.server_acl", { allow: ["*"], deny })])).toEqual([
      "accepted",
    ]);
    const ask = (name: string): boolean => isShutOut(room.context, room.context.store, trusted.serverName(name));
    const spent = cpuMsOf(() => {
      for (let count = 0; count < 1_000; count += 1) ask(`${"a".repeat(240)}${count % 10}`);
    });
    expect(spent).toBeLessThan(400);
  });
});

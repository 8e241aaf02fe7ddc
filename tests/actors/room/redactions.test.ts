import { describe, expect, it } from "vitest";
import type { EventId } from "../../../shared/ids.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { user } from "../../support/room-builder.ts";
import { give } from "./foreign.ts";
import { alice, bob, joinHere, kinds, resigned, scene } from "./foreign-scene.ts";
import { messagesInput } from "./sync-client.ts";
import { alice as local, type TestRoom } from "./world.ts";

describe("redactions", () => {
  const redactedBy = (room: TestRoom, eventId: EventId): EventId | null =>
    room.context.store.events.byId(eventId)?.redactedBy ?? null;

  it.each(["1", "2", "3", "10", "11", "12"])(
    "wait for their target, and need the right, in version %s",
    async (version) => {
      const { built, room } = await scene(version, { users: version === "12" ? {} : { [alice]: 100 } });
      const foe = user("@carol:elsewhere.example");
      const target = built.send({ sender: bob, type: "m.room.message", content: { body: "regretted" } });
      const before = [built.join(foe)];
      const byFoe = { sender: foe, type: "m.room.redaction", redacts: target.eventId };
      const byAlice = { sender: alice, type: "m.room.redaction", redacts: target.eventId };
      // The target comes last: the redactions follow what was before it.
      const base = target.prevEvents;
      const late = [...before.map((event) => built.make({ ...asInput(event), prevEvents: base }))];
      expect(await kinds(room, late)).toEqual(["accepted"]);
      const prevEvents = late.map((event) => event.eventId);
      const memberOf = (event: MatrixEvent | undefined): EventId[] => (event === undefined ? [] : [event.eventId]);
      const foeAuth = built
        .authEventsFor({ ...byFoe, stateKey: null, content: {} })
        .filter((id) => id !== before[0]?.eventId)
        .concat(memberOf(late[0]));
      const noRight = built.make({ ...byFoe, prevEvents, authEvents: foeAuth });
      const right = built.make({ ...byAlice, prevEvents });
      const outcomes = await kinds(room, [noRight, right]);
      // Until version 2 the authorization rules refuse the first by themselves.
      expect(outcomes).toEqual([version === "1" || version === "2" ? "rejected" : "accepted", "accepted"]);
      expect(await kinds(room, [target])).toEqual(["accepted"]);
      expect(redactedBy(room, target.eventId)).toBe(right.eventId);
      expect(room.sql.all("SELECT * FROM pending_redactions")).toEqual([]);
    },
  );

  it("of another server's events need the redact level, also where the target is here", async () => {
    const { built, room } = await scene("11", { users: { [alice]: 100 } });
    const foe = user("@carol:elsewhere.example");
    const target = built.send({ sender: bob, type: "m.room.message" });
    const join = built.join(foe);
    const redaction = built.send({ sender: foe, type: "m.room.redaction", redacts: target.eventId });
    expect(await kinds(room, [target, join, redaction])).toEqual(["accepted", "accepted", "accepted"]);
    expect(redactedBy(room, target.eventId)).toBeNull();
    const [first, second] = [1, 2].map(() =>
      built.send({ sender: alice, type: "m.room.redaction", redacts: target.eventId }),
    );
    if (first === undefined || second === undefined) throw new Error("two were made");
    await give(room, [first, second]);
    expect(redactedBy(room, target.eventId)).toBe(first.eventId);
  });

  it("are applied once, and of one another without end", async () => {
    const { built, room } = await scene("1", { users: { [alice]: 100 } });
    // Only where ids are chosen can two events name one another.
    const first = built.make({ sender: alice, type: "m.room.redaction" });
    const second = built.make({ sender: alice, type: "m.room.redaction", redacts: first.eventId });
    const circular = resigned(built, first, { redacts: second.eventId });
    const self = built.make({ sender: alice, type: "m.room.redaction" });
    const ofItself = resigned(built, self, { redacts: self.eventId });
    expect(await kinds(room, [circular, second, ofItself])).toEqual(["accepted", "accepted", "accepted"]);
    expect(redactedBy(room, first.eventId)).toBe(second.eventId);
    expect(redactedBy(room, second.eventId)).toBe(first.eventId);
    expect(redactedBy(room, self.eventId)).toBeNull();
    await joinHere(built, room, local);
    const page = await room.rpc.getMessages(messagesInput(local, { limit: 50 }));
    expect(JSON.stringify(page)).toContain(first.eventId);
  });

  it("do not take from a create event which version the room has", async () => {
    const { built, room } = await scene("5", { users: { [alice]: 100 } });
    const redaction = built.send({ sender: alice, type: "m.room.redaction", redacts: built.create.eventId });
    expect(await kinds(room, [redaction])).toEqual(["accepted"]);
    expect(redactedBy(room, built.create.eventId)).toBeNull();
    room.evict();
    expect(room.context.store.room.rules().version).toBe("5");
  });
});

function asInput(event: MatrixEvent) {
  const { sender, type, stateKey, content, authEvents } = event;
  return { sender, type, stateKey, content, authEvents };
}

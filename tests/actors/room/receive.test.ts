import { describe, expect, it } from "vitest";
import { maxPdus, receivePdus } from "../../../actors/room/receive.ts";
import { serverNameOf } from "../../../shared/ids.ts";
import { type JsonObject, withFields } from "../../../shared/json.ts";
import { parseExactly } from "../../../shared/matrix/exact-numbers.ts";
import { signEvent } from "../../../shared/matrix/signing.ts";
import { testKeyOf } from "../../support/room-builder.ts";
import { currentLines, endsOf, give, linesAt, otherServer, statusOf, testKeys } from "./foreign.ts";
import { alice, bob, kinds, mallory, scene } from "./foreign-scene.ts";
import { createWorld, type TestRoom } from "./world.ts";

const positions = (room: TestRoom): (number | null)[] =>
  room.sql.all<{ p: number | null }>("SELECT stream_position AS p FROM events ORDER BY event_nid").map((row) => row.p);

describe("checks on receipt of a PDU", () => {
  it("2. drops what is not signed by its sender's server", async () => {
    const { built, room } = await scene();
    const event = built.make({ sender: bob, type: "m.room.message" });
    const unsigned = withFields(event.pdu, { signatures: {} });
    const other = signEvent(unsigned, built.rules, serverNameOf(mallory), testKeyOf(serverNameOf(mallory)));
    const wrongKey = signEvent(unsigned, built.rules, otherServer, testKeyOf(serverNameOf(mallory)));
    expect(await kinds(room, [unsigned, other, wrongKey])).toEqual(["dropped", "dropped", "dropped"]);
    expect(await kinds(room, [event])).toEqual(["accepted"]);
  });

  it("2. drops what is signed with keys that nobody knows", async () => {
    const { built, room } = await scene();
    const event = built.make({ sender: bob, type: "m.room.message" });
    const [outcome] = await receivePdus(room.context, otherServer, [event.pdu], () => null);
    expect(outcome?.kind).toBe("dropped");
  });

  it("2. asks for keys that were valid when the event was made, since version 5", async () => {
    for (const [version, expected] of [
      ["4", null],
      ["5", "number"],
    ] as const) {
      const { built, room } = await scene(version);
      const asked: (number | null)[] = [];
      await receivePdus(room.context, otherServer, [built.make({ sender: bob, type: "m.x" }).pdu], (server, at) => {
        asked.push(at);
        return testKeys(server, at);
      });
      expect(asked.map((at) => (at === null ? null : typeof at))).toEqual([expected]);
    }
  });

  it("2. asks so too where the time is beyond what a double holds", async () => {
    const { built, room } = await scene("5");
    const asked: (number | null)[] = [];
    const event = built.make({ sender: bob, type: "m.x" });
    const late = withFields(event.pdu, { origin_server_ts: parseExactly("9223372036854775807") });
    await receivePdus(room.context, otherServer, [late], (_server, at) => {
      asked.push(at);
      return null;
    });
    expect(asked).toEqual([2 ** 63]);
  });

  it("3. redacts an event whose hash is wrong", async () => {
    const { built, room } = await scene();
    const event = built.make({ sender: bob, type: "m.room.message", content: { body: "as sent" } });
    const changed = withFields(event.pdu, { content: { body: "as changed on the way" } });
    expect(await kinds(room, [changed])).toEqual(["accepted"]);
    expect(room.context.store.events.byId(event.eventId)?.event.content).toEqual({});
  });

  it("4. rejects an event that its auth events do not allow", async () => {
    const { built, room } = await scene();
    const event = built.make({ sender: mallory, type: "m.room.message" });
    expect(await give(room, [event])).toMatchObject([{ kind: "rejected", rule: expect.any(String) }]);
    expect(statusOf(room, event.eventId)).toBe("rejected");
  });

  it("4. rejects an event that names more than the auth events that have a say, or one of them twice", async () => {
    const { built, room } = await scene();
    const topic = built.sendState(alice, "m.room.topic", { topic: "t" });
    await give(room, [topic]);
    const auth = built.authEventsFor({ type: "m.room.message", sender: bob, stateKey: null, content: {} });
    const extra = built.make({ sender: bob, type: "m.room.message", authEvents: [...auth, topic.eventId] });
    const twice = built.make({ sender: bob, type: "m.room.message", authEvents: [...auth, ...auth.slice(0, 1)] });
    expect(await kinds(room, [extra, twice])).toEqual(["rejected", "rejected"]);
  });

  it("4. rejects an event that names none of what would allow it, though the state would", async () => {
    const { built, room } = await scene();
    const member = built.lookup("m.room.member", bob)?.eventId;
    const auth = built.authEventsFor({ type: "m.x", sender: bob, stateKey: null, content: {} });
    const event = built.make({ sender: bob, type: "m.x", authEvents: auth.filter((id) => id !== member) });
    expect(await kinds(room, [event])).toEqual(["rejected"]);
  });

  it("4. rejects an event that a rejected one authorizes", async () => {
    const { built, room } = await scene();
    const subject = { type: "m.room.member", sender: bob, stateKey: bob, content: { membership: "join" } };
    const [whileIn, branch] = [built.authEventsFor(subject), built.fork()];
    const ban = built.member(alice, "ban", bob);
    const again = built.make({ ...subject, authEvents: whileIn });
    expect(await kinds(room, [ban, again])).toEqual(["accepted", "rejected"]);
    // Where he was still in, only that what he names was rejected speaks against it.
    const member = branch.lookup("m.room.member", bob)?.eventId;
    const auth = branch.authEventsFor({ type: "m.x", sender: bob, stateKey: null, content: {} });
    const authEvents = auth.map((id) => (id === member ? again.eventId : id));
    const [byRejected, byOther] = [
      branch.make({ sender: bob, type: "m.x", authEvents }),
      branch.make({ sender: bob, type: "m.x" }),
    ];
    expect(await kinds(room, [byRejected, byOther])).toEqual(["rejected", "softFailed"]);
  });

  it("5. rejects an event that the state before it does not allow, whatever it names", async () => {
    const { built, room } = await scene();
    const whileIn = built.authEventsFor({ type: "m.room.message", sender: bob, stateKey: null, content: {} });
    const leave = built.member(bob, "leave");
    const after = built.make({ sender: bob, type: "m.room.message", authEvents: whileIn });
    expect(await kinds(room, [leave, after])).toEqual(["accepted", "rejected"]);
  });

  it("6. soft-fails an event that evades a ban by following what was before it", async () => {
    const { built, room, world } = await scene();
    const evading = built.fork();
    const ban = built.member(alice, "ban", bob);
    const topic = evading.send({ sender: bob, type: "m.room.message", content: { body: "still here" } });
    expect(await kinds(room, [ban, topic])).toEqual(["accepted", "softFailed"]);
    expect(endsOf(room)).toEqual([ban.eventId]);
    expect(room.context.store.events.byId(topic.eventId)?.streamPosition).toBeNull();
    // Who follows both sees the ban win.
    const merged = built.merged([evading], built.state.values());
    expect(await kinds(room, [merged.send({ sender: alice, type: "m.x" })])).toEqual(["accepted"]);
    expect(endsOf(room)).toHaveLength(1);
    await world.settle();
  });

  it("goes on after rejected and soft-failed events that others follow", async () => {
    const { built, room } = await scene();
    const rejected = built.make({ sender: mallory, type: "m.room.message" });
    const after = built.make({ sender: bob, type: "m.room.message", prevEvents: [rejected.eventId] });
    expect(await kinds(room, [rejected, after])).toEqual(["rejected", "accepted"]);
    expect(endsOf(room)).toEqual([after.eventId]);
  });

  it("says what is missing, and stores nothing", async () => {
    const { built, room } = await scene();
    const first = built.send({ sender: bob, type: "m.x" });
    const second = built.send({ sender: bob, type: "m.x" });
    const before = positions(room);
    expect(await give(room, [second])).toEqual([
      { kind: "missing", eventId: second.eventId, prevEvents: [first.eventId], authEvents: [] },
    ]);
    expect(positions(room)).toEqual(before);
    expect(await kinds(room, [first, second])).toEqual(["accepted", "accepted"]);
  });

  it("takes a batch in the order of its graph, and each event once", async () => {
    const { built, room } = await scene();
    const events = [1, 2, 3].map(() => built.send({ sender: bob, type: "m.x" }));
    const batch = [...events.toReversed(), ...events].map((event) => structuredClone(event.pdu));
    const outcomes = await receivePdus(room.context, otherServer, batch, testKeys);
    expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual([
      "accepted",
      "accepted",
      "accepted",
      "duplicate",
      "duplicate",
      "duplicate",
    ]);
  });

  it("does not let one bad PDU touch the others, wherever in the batch it stands", async () => {
    const { built, room } = await scene();
    for (const index of [0, 1, 25, maxPdus - 1]) {
      const events: JsonObject[] = Array.from(
        { length: maxPdus - 1 },
        () => built.send({ sender: bob, type: "m.x" }).pdu,
      );
      events.splice(index, 0, { type: "m.x", sender: bob, room_id: built.roomId, depth: "deep" });
      const outcomes = await receivePdus(room.context, otherServer, events, testKeys);
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(
        events.map((_, i) => (i === index ? "dropped" : "accepted")),
      );
    }
  });

  it("refuses a batch of more than 50, which whoever takes a transaction has to cut down", async () => {
    const { built, room } = await scene();
    const { pdu } = built.make({ sender: bob, type: "m.x" });
    const batch = (size: number) =>
      receivePdus(
        room.context,
        otherServer,
        Array.from({ length: size }, () => pdu),
        testKeys,
      );
    expect(await batch(50)).toHaveLength(50);
    await expect(batch(51)).rejects.toThrow();
  });

  it("drops what is of a room that is not known here", async () => {
    const { built } = await scene();
    const nowhere = createWorld().room(built.roomId);
    const outcomes = await receivePdus(nowhere.context, otherServer, [built.create.pdu], testKeys);
    expect(outcomes).toMatchObject([{ kind: "dropped" }]);
  });

  it("lets an error of our own with one PDU undo nothing of the others", async () => {
    const { built, room } = await scene();
    expect(await kinds(room, [built.join(mallory)])).toEqual(["accepted"]);
    const events = [bob, mallory, alice].map((sender) => built.make({ sender, type: "m.x" }));
    const outcomes = await receivePdus(
      room.context,
      otherServer,
      events.map((event) => event.pdu),
      (server, at) => {
        if (server === serverNameOf(mallory)) throw new Error("a bug");
        return testKeys(server, at);
      },
    );
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(["accepted", "dropped", "accepted"]);
    expect(events.map((event) => statusOf(room, event.eventId))).toEqual(["accepted", null, "accepted"]);
  });

  it("takes an event whatever stands in unsigned, which nobody has signed", async () => {
    const { built, room } = await scene();
    const event = built.make({ sender: bob, type: "m.x" });
    const pdu = withFields(event.pdu, { unsigned: { age: 1.5, filler: "x".repeat(70_000) } });
    expect(await kinds(room, [pdu])).toEqual(["accepted"]);
    expect(room.context.store.events.byId(event.eventId)?.event.pdu.unsigned).toBeUndefined();
  });

  it("keeps a rejected state event out of every state and of the index of auth chains", async () => {
    const { built, room } = await scene();
    const indexed = () => room.sql.all("SELECT chain, sequence FROM event_auth_chains");
    const before = indexed();
    const lines = currentLines(room);
    const taken = built.make({ sender: bob, type: "m.room.topic", stateKey: "", content: { topic: "mine" } });
    const after = built.make({ sender: bob, type: "m.x", prevEvents: [taken.eventId] });
    expect(await kinds(room, [taken, after])).toEqual(["rejected", "accepted"]);
    expect(indexed()).toEqual(before);
    for (const { eventId } of [taken, after]) {
      expect(linesAt(room, room.context.store.events.byId(eventId)?.stateRootAfter ?? null)).toEqual(lines);
    }
    expect(currentLines(room)).toEqual(lines);
  });
});

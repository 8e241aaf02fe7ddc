import { describe, expect, it } from "vitest";
import { admitPdu, maxPdus, receivePdus } from "../../../actors/room/receive.ts";
import { findCurrentState } from "../../../actors/room/state.ts";
import { type EventId, serverNameOf, trusted } from "../../../shared/ids.ts";
import { isObject, type JsonObject, withFields } from "../../../shared/json.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { signEvent } from "../../../shared/matrix/signing.ts";
import { RoomBuilder, testKeyOf, user } from "../../support/room-builder.ts";
import { currentLines, endsOf, foreignRoom, give, giveOutlier, otherServer, statusOf, testKeys } from "./foreign.ts";
import { createWorld, alice as local, membership, message, serverName, type TestRoom, type World } from "./world.ts";

const alice = user("@alice:example.org");
const bob = user("@bob:example.org");
const mallory = user("@mallory:evil.example");

interface Scene {
  readonly built: RoomBuilder;
  readonly room: TestRoom;
  readonly world: World;
}

/** A public room of another server with two members, here too. */
async function scene(version = "12", powerLevels: JsonObject = {}): Promise<Scene> {
  const built = RoomBuilder.open({ version, powerLevels });
  built.join(bob);
  const world = createWorld();
  const room = foreignRoom(built, world);
  const outcomes = await give(room, built.events);
  expect(outcomes.map((outcome) => outcome.kind)).toEqual(built.events.map(() => "accepted"));
  return { built, room, world };
}

const kinds = async (room: TestRoom, events: readonly (MatrixEvent | JsonObject)[]): Promise<string[]> =>
  (await give(room, events)).map((outcome) => outcome.kind);

function resigned({ built }: Scene, event: MatrixEvent, changes: JsonObject, signer = serverNameOf(event.sender)) {
  const pdu = withFields(event.pdu, { ...changes, signatures: undefined, hashes: undefined });
  return signEvent(pdu, built.rules, signer, testKeyOf(signer));
}

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

  it("ignores all that a server sends which the room's ACL shuts out", async () => {
    const { built, room } = await scene();
    const acl = built.sendState(alice, "m.room.server_acl", { allow: ["*"], deny: ["evil.example"] });
    await give(room, [acl]);
    const { pdu } = built.make({ sender: bob, type: "m.x" });
    const from = async (name: string) =>
      (await receivePdus(room.context, trusted.serverName(name), [pdu], testKeys)).map((outcome) => outcome.kind);
    expect(await from("evil.example")).toEqual(["dropped"]);
    expect(await from("example.org")).toEqual(["accepted"]);
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
});

describe("outliers", () => {
  it("are in no state and at no end, and get a position when they come as events of the graph", async () => {
    const { built, room } = await scene();
    const topic = built.make({ sender: alice, type: "m.room.topic", stateKey: "", content: { topic: "new" } });
    expect(giveOutlier(room, topic).kind).toBe("outlier");
    expect(currentLines(room).join()).not.toContain(topic.eventId);
    expect(giveOutlier(room, topic).kind).toBe("duplicate");
    expect(await kinds(room, [topic])).toEqual(["accepted"]);
    expect(room.context.store.events.byId(topic.eventId)?.streamPosition).toBe(
      room.context.store.room.get().streamPosition,
    );
    expect(findCurrentState(room.context.store, "m.room.topic", "")?.eventId).toBe(topic.eventId);
    expect(await kinds(room, [topic])).toEqual(["duplicate"]);
  });

  it("take events after them into the graph with the state that another server tells", async () => {
    const { built, room } = await scene();
    const lost = built.send({ sender: bob, type: "m.x" });
    const after = built.send({ sender: bob, type: "m.x" });
    const { stateRoot } = room.context.store.room.get();
    const receipt = { keysFor: testKeys, isOutlier: false, stateOfMissing: stateRoot };
    expect(admitPdu(room.context, after.pdu, receipt).kind).toBe("accepted");
    expect(room.context.store.extremities.backward(10)).toEqual([lost.eventId]);
  });
});

describe("forks", () => {
  it("are brought together by the next local event", async () => {
    const { built, room, world } = await scene();
    await room.rpc.changeMembership(membership("join", local));
    const [left, right] = [built.fork(), built.fork()];
    const events = [left.send({ sender: alice, type: "m.x" }), right.send({ sender: bob, type: "m.x" })];
    expect(await kinds(room, events)).toEqual(["accepted", "accepted"]);
    expect(endsOf(room)).toHaveLength(3);
    const { eventId } = await room.rpc.sendEvent(message(local, "together again"));
    expect(endsOf(room)).toEqual([eventId]);
    expect(room.context.store.events.byId(eventId)?.event.prevEvents).toHaveLength(3);
    await world.settle();
  });

  it("let a local event follow ten ends at most, in the state of those", async () => {
    const { built, room } = await scene();
    await room.rpc.changeMembership(membership("join", local));
    const events = Array.from({ length: 14 }, () => built.make({ sender: bob, type: "m.x" }));
    expect(new Set(await kinds(room, events))).toEqual(new Set(["accepted"]));
    const { eventId } = await room.rpc.sendEvent(message(local, "some of them"));
    expect(room.context.store.events.byId(eventId)?.event.prevEvents).toHaveLength(10);
    expect(endsOf(room)).toHaveLength(6);
    currentLines(room);
  });

  it("soft-fail what would make more different ends than can be resolved", async () => {
    const { built, room } = await scene();
    const events = Array.from({ length: 40 }, (_, index) =>
      built.make({ sender: alice, type: "m.x", stateKey: `key ${index}` }),
    );
    const outcomes = await kinds(room, events);
    expect(outcomes.filter((kind) => kind === "accepted").length).toBeLessThanOrEqual(20);
    expect(outcomes.at(-1)).toBe("softFailed");
    await room.rpc.changeMembership(membership("join", local));
    for (let count = 0; count < 3; count += 1) await room.rpc.sendEvent(message(local, "merge"));
    expect(endsOf(room)).toHaveLength(1);
    const next = built.make({ sender: bob, type: "m.x", prevEvents: endsOf(room) });
    expect(await kinds(room, [next])).toEqual(["accepted"]);
  });

  it("tell a client of state that resolution has changed without an event of the timeline", async () => {
    const { built, room, world } = await scene("12", { events: { "m.room.topic": 0 } });
    await room.rpc.changeMembership(membership("join", local));
    await world.settle();
    const input = syncInput(local, null);
    const { readPosition } = await room.rpc.syncRoom(input);
    // Bob leaves; his server sets the topic from before that, which is soft-failed; then it is merged by Alice.
    const evading = built.fork();
    const leave = built.member(bob, "leave");
    const content = { topic: "from before" };
    const originServerTs = leave.originServerTs - 500;
    const topic = evading.send({ sender: bob, type: "m.room.topic", stateKey: "", content, originServerTs });
    expect(await kinds(room, [leave, topic])).toEqual(["accepted", "softFailed"]);
    const resolved = [...built.state.values(), topic];
    const merge = built.merged([evading], resolved).make({ sender: alice, type: "m.x" });
    expect(await kinds(room, [merge])).toEqual(["accepted"]);
    expect(findCurrentState(room.context.store, "m.room.topic", "")?.eventId).toBe(topic.eventId);
    const { section } = await room.rpc.syncRoom({ ...input, since: readPosition });
    const state = isObject(section.state) && Array.isArray(section.state.events) ? section.state.events : [];
    expect(JSON.stringify(state)).toContain(topic.eventId);
    expect(JSON.stringify(section.timeline)).not.toContain(topic.eventId);
  });

  it("undo a membership, and tell the user", async () => {
    const { built, room, world } = await scene();
    const invited = user(`@alice:${serverName}`);
    const closed = built.setJoinRule(alice, "invite");
    // Before it hears of the closed door, our server lets its own user in.
    expect(await refused(room, invited)).toBe(false);
    expect(await kinds(room, [closed])).toEqual(["accepted"]);
    expect(currentLines(room).join()).not.toContain(invited);
    expect(room.context.store.memberships.find(invited)?.membership).toBe("leave");
    await world.settle();
    expect(world.wakes.filter((wake) => wake.userId === invited).at(-1)?.wake.membership).toBe("leave");
    const { place } = await room.rpc.syncRoom(syncInput(invited, 1));
    expect(place).toBe("leave");
  });
});

function syncInput(userId: typeof local, since: number | null) {
  return {
    userId,
    deviceId: trusted.deviceId("D"),
    since,
    fullState: false,
    filter: null,
    eventFormat: "client" as const,
    useStateAfter: false,
    ignoredUsers: [],
    pushRules: {},
  };
}

async function refused(room: TestRoom, who: typeof local): Promise<boolean> {
  try {
    await room.rpc.changeMembership(membership("join", who));
    return false;
  } catch {
    return true;
  }
}

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
    const circular = resigned({ built, room, world: createWorld() }, first, { redacts: second.eventId });
    const self = built.make({ sender: alice, type: "m.room.redaction" });
    const ofItself = resigned({ built, room, world: createWorld() }, self, { redacts: self.eventId });
    expect(await kinds(room, [circular, second, ofItself])).toEqual(["accepted", "accepted", "accepted"]);
    expect(redactedBy(room, first.eventId)).toBe(second.eventId);
    expect(redactedBy(room, second.eventId)).toBe(first.eventId);
    expect(redactedBy(room, self.eventId)).toBeNull();
    await room.rpc.changeMembership(membership("join", local));
    const page = await room.rpc.getMessages({
      requester: local,
      deviceId: null,
      from: null,
      to: null,
      dir: "b",
      limit: 50,
      filter: null,
    });
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

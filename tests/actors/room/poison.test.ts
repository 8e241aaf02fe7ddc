/** Events made to break a server: each is refused by name, and the room goes on. */
import { describe, expect, it } from "vitest";
import { receivePdus } from "../../../actors/room/receive.ts";
import { trusted } from "../../../shared/ids.ts";
import {
  define,
  isObject,
  type JsonObject,
  type JsonValue,
  parseStoredObject,
  withFields,
} from "../../../shared/json.ts";
import { parseJson } from "../../../shared/json-text.ts";
import { canonicalJson } from "../../../shared/matrix/canonical-json.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { parseExactly } from "../../../shared/matrix/exact-numbers.ts";
import { knownRoomVersions } from "../../../shared/matrix/room-version.ts";
import { signEvent } from "../../../shared/matrix/signing.ts";
import { RoomBuilder, testKeyOf, user } from "../../support/room-builder.ts";
import { currentLines, endsOf, foreignRoom, give, otherServer, statusOf, testKeys } from "./foreign.ts";
import { joinHere } from "./foreign-scene.ts";
import { messagesInput } from "./sync-client.ts";
import { alice as local, message, type TestRoom } from "./world.ts";

const alice = user("@alice:example.org");
const bob = user("@bob:example.org");

async function scene(version: string): Promise<{ built: RoomBuilder; room: TestRoom }> {
  const built = RoomBuilder.open({ version, powerLevels: { users: version === "12" ? {} : { [alice]: 100 } } });
  built.join(bob);
  const room = foreignRoom(built);
  await give(room, built.events);
  await joinHere(built, room, local);
  return { built, room };
}

function nested(levels: number): JsonValue {
  let value: JsonValue = [];
  for (let level = 1; level < levels; level += 1) value = [value];
  return value;
}

/** An event with fields changed and, where that can be done, hashed and signed anew: nothing but the change is wrong. */
function changed(built: RoomBuilder, event: MatrixEvent, changes: Record<string, JsonValue | undefined>): JsonObject {
  if ("hashes" in changes || "signatures" in changes) return withFields(event.pdu, changes);
  const bare = withFields(event.pdu, { hashes: undefined, signatures: undefined, ...changes });
  try {
    return signEvent(bare, built.rules, otherServer, testKeyOf(otherServer));
  } catch {
    return withFields(event.pdu, changes);
  }
}

const withProto: JsonObject = {};
define(withProto, "__proto__", { polluted: true });
define(withProto, "constructor", { prototype: { polluted: true } });

/** Name → what is changed in an otherwise valid message. */
const malformed: Record<string, Record<string, JsonValue | undefined>> = {
  "no type": { type: undefined },
  "a type that is a number": { type: 7 },
  "a type of 256 bytes": { type: "t".repeat(256) },
  "no sender": { sender: undefined },
  "a sender without a server": { sender: "@bob" },
  "a sender of 256 bytes": { sender: `@${"b".repeat(243)}:example.org` },
  "content that is a list": { content: [] },
  "content that is null": { content: null },
  "a state key that is a number": { state_key: 1 },
  "a state key of 256 bytes": { state_key: "k".repeat(256) },
  "a depth below zero": { depth: -1 },
  "a depth that is text": { depth: "1" },
  "no depth": { depth: undefined },
  "a time that is text": { origin_server_ts: "now" },
  "signatures that are a list": { signatures: [] },
  "hashes that are null": { hashes: null },
  "eleven auth events": { auth_events: Array.from({ length: 11 }, (_, i) => `$${i}`) },
  "21 prev events": { prev_events: Array.from({ length: 21 }, (_, i) => `$${i}`) },
  "a million prev events": { prev_events: Array.from({ length: 1_000_000 }, () => "$a") },
  "auth events that are an object": { auth_events: { length: 1 } },
  "auth events that are numbers": { auth_events: [1, 2] },
  "another room": { room_id: "!another:example.org" },
  "a room id that is none": { room_id: "example" },
  "too many bytes": { content: { body: "x".repeat(65_536) } },
  "10,000 levels of nesting": { content: { deep: nested(10_000) } },
  "65 levels of nesting": { content: { deep: nested(65) } },
  "a lone surrogate": { content: { body: "\ud800" } },
};

/** What only room versions refuse whose events are canonical JSON. */
const notCanonical: Record<string, Record<string, JsonValue | undefined>> = {
  "not a number": { content: { value: Number.NaN } },
  "an infinite number": { content: { value: Number.POSITIVE_INFINITY } },
  "half a number": { content: { value: 0.5 } },
  "a number beyond 2^53": { content: { value: 2 ** 53 } },
  "a depth of 2^63 - 1": { depth: parseExactly("9223372036854775807") },
  "a depth of 2^53": { depth: 2 ** 53 },
};

function storedText(room: TestRoom, eventId: string): string {
  return room.sql.one<{ json: string }>("SELECT json FROM events WHERE event_id = ?", eventId)?.json ?? "";
}

async function stillWorks(built: RoomBuilder, room: TestRoom): Promise<void> {
  const next = built.send({ sender: bob, type: "m.room.message", content: { body: "well" } });
  expect((await give(room, [next])).map((outcome) => outcome.kind)).toEqual(["accepted"]);
  const { eventId } = await room.rpc.sendEvent(message(local, "well, too"));
  expect(endsOf(room)).toEqual([eventId]);
  currentLines(room);
  const page = messagesInput(local, { limit: 5 });
  expect(JSON.stringify(await room.rpc.getMessages(page))).toContain(eventId);
}

describe.each(["1", "5", "6", "12"])("malformed events in version %s", (version) => {
  it.each(Object.keys(malformed))("drops %s and goes on", async (name) => {
    const { built, room } = await scene(version);
    const event = built.make({ sender: bob, type: "m.room.message", content: { body: "b" } });
    const before = room.sql.all("SELECT event_id FROM events");
    const pdu = changed(built, event, malformed[name] ?? {});
    const [outcome] = await receivePdus(room.context, otherServer, [pdu, pdu], testKeys);
    expect(outcome?.kind).toBe("dropped");
    expect(room.sql.all("SELECT event_id FROM events")).toEqual(before);
    await stillWorks(built, room);
  });
});

describe.each(["6", "11", "12"])("events that are not canonical JSON in version %s", (version) => {
  it.each(Object.keys(notCanonical))("drops %s and goes on", async (name) => {
    const { built, room } = await scene(version);
    const event = built.make({ sender: bob, type: "m.room.message", content: { body: "b" } });
    const [outcome] = await give(room, [withFields(event.pdu, notCanonical[name] ?? {})]);
    expect(outcome?.kind).toBe("dropped");
    await stillWorks(built, room);
  });
});

describe("events made to mislead", () => {
  it.each(["1", "5"])("takes a depth of 2^63 - 1 in version %s, and does not hand it on", async (version) => {
    const { built, room } = await scene(version);
    const event = built.make({ sender: bob, type: "m.room.message" });
    const pdu = changed(built, event, { depth: parseExactly("9223372036854775807") });
    expect((await give(room, [pdu])).map((outcome) => outcome.kind)).toEqual(["accepted"]);
    const depths = room.sql.all<{ depth: number }>("SELECT depth FROM events ORDER BY depth DESC LIMIT 1");
    expect(depths).toEqual([{ depth: Number.MAX_SAFE_INTEGER }]);
    const { eventId } = await room.rpc.sendEvent(message(local, "after it"));
    const after = room.context.store.events.byId(eventId);
    expect(after?.depth).toBe(Number.MAX_SAFE_INTEGER);
    expect(after?.event.depth).toBe(Number.MAX_SAFE_INTEGER);
    const again = await room.rpc.sendEvent(message(local, "and again"));
    expect(room.context.store.events.byId(again.eventId)?.event.depth).toBe(Number.MAX_SAFE_INTEGER);
  });

  it("keeps names that JavaScript's objects have of their own", async () => {
    const { built, room } = await scene("12");
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const event = built.sendState(alice, name, withProto, name);
      expect((await give(room, [event])).map((outcome) => outcome.kind)).toEqual(["accepted"]);
      expect(currentLines(room).join("\n")).toContain(`${name}|${name} = ${event.eventId}`);
    }
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
    const stored = room.context.store.events.byId(built.heads[0] ?? trusted.eventId("$"));
    expect(Object.keys(stored?.event.content ?? {})).toContain("__proto__");
    await stillWorks(built, room);
  });

  it.each(knownRoomVersions)("drops an event that follows one twice, and goes on, in version %s", async (version) => {
    const { built, room } = await scene(version);
    const [head] = built.heads;
    if (head === undefined) throw new Error("the room has an end");
    const event = built.make({ sender: bob, type: "m.x" });
    const reference: JsonValue = built.rules.eventReferences === "ids" ? head : [head, { sha256: "x" }];
    const other: JsonValue = built.rules.eventReferences === "ids" ? head : [head, { sha256: "y" }];
    const [outcome] = await give(room, [changed(built, event, { prev_events: [reference, other] })]);
    expect(outcome).toMatchObject({ kind: "dropped", reason: "prev_events names an event twice" });
    await stillWorks(built, room);
  });

  it.each(["1", "2"])("drops an event that names itself, and goes on, in version %s", async (version) => {
    const { built, room } = await scene(version);
    const event = built.make({ sender: bob, type: "m.x" });
    const itself: JsonValue = [event.eventId, { sha256: "x" }];
    for (const key of ["prev_events", "auth_events"]) {
      const named = event.pdu[key];
      const list = Array.isArray(named) ? [...named, itself] : [];
      const [outcome] = await give(room, [changed(built, event, { [key]: list })]);
      expect(outcome).toMatchObject({ kind: "dropped", reason: "the event names itself as one before it" });
    }
    await stillWorks(built, room);
  });

  it.each(["1", "2"])("waits for neither of two events that name one another, in version %s", async (version) => {
    const { built, room } = await scene(version);
    const first = built.make({ sender: bob, type: "m.x" });
    const second = built.make({ sender: bob, type: "m.x", prevEvents: [first.eventId] });
    const circular = changed(built, first, { prev_events: [[second.eventId, { sha256: "x" }]] });
    const taken = await receivePdus(room.context, otherServer, [circular, second.pdu], testKeys);
    expect(taken.map((outcome) => outcome.kind)).toEqual(["missing", "missing"]);
    await stillWorks(built, room);
  });

  it.each(["1", "6", "12"])("keeps the last of two equal keys, and never the text, in version %s", async (version) => {
    const { built, room } = await scene(version);
    const event = built.make({ sender: bob, type: "m.room.message", content: { body: "the last", n: { a: 1 } } });
    const text = JSON.stringify(event.pdu)
      .replace('"content":', '"content":{"body":"the first"},"content":')
      .replace('"a":1', '"a":7,"a":1')
      .replace(/^\{/, '{"sender":"@mallory:evil.example","unsigned":{"smuggled":true},');
    expect(text.match(/"content":/g)).toHaveLength(2);
    const pdu = parseJson(text);
    if (!isObject(pdu)) throw new Error("a PDU is an object");
    expect(await give(room, [pdu])).toMatchObject([{ kind: "accepted", eventId: event.eventId }]);
    const stored = storedText(room, event.eventId);
    expect(stored).toBe(canonicalJson(event.pdu, ["unsigned"]));
    expect(await give(room, [parseStoredObject(stored)])).toMatchObject([{ kind: "duplicate" }]);
    const page = messagesInput(local, { limit: 5 });
    const served = JSON.stringify(await room.rpc.getMessages(page));
    expect(served).toContain("the last");
    for (const hidden of ["the first", "smuggled", "mallory"]) expect(served).not.toContain(hidden);
    await stillWorks(built, room);
  });

  it.each(["1", "6", "11"])("does not begin a room of version %s twice", async (version) => {
    const { built, room } = await scene(version);
    const again = signEvent(
      withFields(built.create.pdu, {
        origin_server_ts: 5,
        event_id: version === "1" ? "$again:example.org" : undefined,
      }),
      built.rules,
      otherServer,
      testKeyOf(otherServer),
    );
    const [outcome] = await give(room, [again]);
    expect(outcome?.kind).toBe("rejected");
    await stillWorks(built, room);
  });

  it("does not take power from another room", async () => {
    const { built, room } = await scene("11");
    const other = RoomBuilder.open({ version: "11", creator: user("@mallory:evil.example") });
    const mallory = other.creator;
    await give(room, [built.join(mallory)]);
    // Her own room's power levels are not here, whoever gives them.
    const [foreign] = await give(room, [...other.events].slice(-2));
    expect(foreign?.kind).toBe("dropped");
    const levels = other.lookup("m.room.power_levels", "")?.eventId;
    const auth = built.authEventsFor({ type: "m.room.topic", sender: mallory, stateKey: "", content: {} });
    const own = built.lookup("m.room.power_levels", "")?.eventId;
    const authEvents = auth.map((id) => (id === own && levels !== undefined ? levels : id));
    const topic = built.make({ sender: mallory, type: "m.room.topic", stateKey: "", authEvents });
    const [outcome] = await give(room, [topic]);
    expect(outcome?.kind).toBe("missing");
    expect(statusOf(room, topic.eventId)).toBeNull();
  });

  it("does not let a room be taken by leaving the power levels out", async () => {
    const { built, room } = await scene("11");
    const mallory = user("@mallory:evil.example");
    await give(room, [built.join(mallory)]);
    const auth = built.authEventsFor({ type: "m.room.power_levels", sender: mallory, stateKey: "", content: {} });
    const authEvents = auth.filter((id) => id !== built.lookup("m.room.power_levels", "")?.eventId);
    const content = { users: { [mallory]: 100 } };
    const taking = built.make({ sender: mallory, type: "m.room.power_levels", stateKey: "", content, authEvents });
    expect((await give(room, [taking]))[0]?.kind).toBe("rejected");
  });

  it.each(["9", "10"])("takes levels that are text only before version 10, in version %s", async (version) => {
    const { built, room } = await scene(version);
    const content = { users: { [alice]: 100 }, ban: "50" };
    const levels = built.make({ sender: alice, type: "m.room.power_levels", stateKey: "", content });
    expect((await give(room, [levels]))[0]?.kind).toBe(version === "9" ? "accepted" : "rejected");
  });

  it("holds up against a fan of forks of state", async () => {
    const { built, room } = await scene("12");
    const startedAt = performance.now();
    const forks = Array.from({ length: 300 }, (_, i) =>
      built.make({ sender: alice, type: "m.room.topic", stateKey: "", content: { topic: `t${i}` } }),
    );
    const outcomes = await give(room, forks);
    expect(outcomes.every((outcome) => outcome.kind === "accepted" || outcome.kind === "softFailed")).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    for (let count = 0; count < 3; count += 1) await room.rpc.sendEvent(message(local, "merge"));
    expect(endsOf(room)).toHaveLength(1);
  });
});

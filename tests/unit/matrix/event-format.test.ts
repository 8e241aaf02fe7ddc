import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../../shared/json.ts";
import { withFields } from "../../../shared/json.ts";
import { canonicalJson } from "../../../shared/matrix/canonical-json.ts";
import { checkEventFormat } from "../../../shared/matrix/event-format.ts";
import { knownRoomVersions } from "../../../shared/matrix/room-version.ts";
import { RoomBuilder, rulesOf } from "../../support/room-builder.ts";
import { cpuMsOf } from "./timing.ts";

const room = RoomBuilder.open({ version: "12" });
const topic = room.sendState(room.creator, "m.room.topic", { topic: "t" }).pdu;

/** The check of a valid event with changes; undefined takes a key away. */
function check(changes: Record<string, JsonValue | undefined>, version = "12", pdu: JsonObject = topic) {
  return checkEventFormat(withFields(pdu, changes), rulesOf(version));
}

describe("checkEventFormat", () => {
  it.each(knownRoomVersions)("takes every event of an ordinary room of version %s", (version) => {
    const ordinary = RoomBuilder.open({ version });
    ordinary.message(ordinary.creator, "hello");
    for (const event of ordinary.events) expect(checkEventFormat(event.pdu, ordinary.rules)).toEqual({ ok: true });
  });

  it.each([
    "type",
    "sender",
    "content",
    "origin_server_ts",
    "depth",
    "prev_events",
    "auth_events",
    "hashes",
    "signatures",
    "room_id",
  ])("refuses an event without %s", (key) => {
    expect(check({ [key]: undefined }).ok).toBe(false);
  });

  it.each<[string, JsonValue]>([
    ["type", 1],
    ["sender", "alice"],
    ["sender", "@alice"],
    ["state_key", null],
    ["state_key", 0],
    ["content", []],
    ["content", "x"],
    ["origin_server_ts", "1"],
    ["origin_server_ts", 1.5],
    ["depth", -1],
    ["depth", "1"],
    ["prev_events", {}],
    ["prev_events", ["x"]],
    ["prev_events", [["$a", {}]]],
    ["auth_events", [1]],
    ["hashes", {}],
    ["hashes", { sha256: 1 }],
    ["signatures", { s: "x" }],
    ["signatures", { s: { "ed25519:1": 1 } }],
    ["room_id", "!room:example.org"],
    ["room_id", "room"],
  ])("refuses %s = %j", (key, value) => {
    expect(check({ [key]: value })).toMatchObject({ ok: false, tooLarge: false });
  });

  it("wants room ids of the room version's form", () => {
    expect(check({ room_id: `!${"A".repeat(43)}` }, "12").ok).toBe(true);
    expect(check({ room_id: `!${"A".repeat(43)}` }, "11").ok).toBe(false);
    expect(check({ room_id: "!a:b" }, "11").ok).toBe(true);
  });

  it("takes a create event of version 12 without a room id, and one with an empty state key only", () => {
    expect(check({}, "12", room.create.pdu).ok).toBe(true);
    expect(check({ state_key: undefined }, "12", room.create.pdu).ok).toBe(false);
    expect(check({ state_key: "x" }, "12", room.create.pdu).ok).toBe(false);
  });

  it("wants event ids and pairs in room versions 1 and 2", () => {
    const old = RoomBuilder.open({ version: "1" });
    const { pdu } = old.message(old.creator, "x");
    expect(check({ event_id: undefined }, "1", pdu).ok).toBe(false);
    expect(check({ event_id: "$x" }, "1", pdu).ok).toBe(false);
    expect(check({ prev_events: ["$a:b"] }, "1", pdu).ok).toBe(false);
    expect(check({ prev_events: [["$a:b", { sha256: "x" }]] }, "1", pdu).ok).toBe(true);
    for (const entry of [["$a:b"], ["$a:b", "x"], ["$a:b", {}, {}], ["a", {}], [1, {}], ["$a:b", null], ["$a:b", []]]) {
      expect(check({ prev_events: [entry] }, "1", pdu).ok).toBe(false);
    }
  });

  const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `$${index}`);

  it.each([
    [9, true],
    [10, true],
    [11, false],
  ])("%i auth events: %s", (count, isOk) => {
    expect(check({ auth_events: ids(count) }).ok).toBe(isOk);
  });

  it.each([
    [19, true],
    [20, true],
    [21, false],
  ])("%i previous events: %s", (count, isOk) => {
    expect(check({ prev_events: ids(count) }).ok).toBe(isOk);
  });

  it("refuses to follow an event twice; what is authorized by one twice is for the rules to refuse", () => {
    expect(check({ prev_events: ["$a", "$b", "$a"] })).toMatchObject({ ok: false, tooLarge: false });
    expect(check({ auth_events: ["$a", "$b", "$a"] }).ok).toBe(true);
    const old = RoomBuilder.open({ version: "1" }).create.pdu;
    const pair = (id: string, hash: string): JsonValue => [id, { sha256: hash }];
    const named = (...prevEvents: JsonValue[]) => check({ prev_events: prevEvents, type: "m.x" }, "1", old);
    expect(named(pair("$a:b", "x"), pair("$a:b", "y")).ok).toBe(false);
    expect(named(pair("$a:b", "x"), pair("$c:b", "x")).ok).toBe(true);
  });

  it.each(["prev_events", "auth_events"])("refuses an event that names itself in %s", (key) => {
    const { pdu } = RoomBuilder.open({ version: "2" }).create;
    const itself: JsonValue = [pdu.event_id ?? "", { sha256: "x" }];
    expect(check({ [key]: [itself] }, "2", pdu).ok).toBe(false);
    expect(check({ [key]: [["$other:example.org", {}]] }, "2", pdu).ok).toBe(true);
  });

  it("refuses a million references before it reads them", () => {
    const list = Array.from({ length: 1_000_000 }, () => "$a");
    const spent = cpuMsOf(() => check({ prev_events: list }));
    expect(spent).toBeLessThan(100);
  });

  it.each([
    [254, true],
    [255, true],
    [256, false],
  ])("a type or state key of %i bytes: %s", (length, isOk) => {
    expect(check({ type: "x".repeat(length) }).ok).toBe(isOk);
    expect(check({ state_key: "x".repeat(length) }).ok).toBe(isOk);
    if (!isOk) expect(check({ type: "x".repeat(length) })).toMatchObject({ tooLarge: true });
  });

  it("counts bytes from room version 11 and code points before", () => {
    const type = "\u{1f600}".repeat(200);
    expect(check({ type }, "12")).toMatchObject({ ok: false, tooLarge: true });
    expect(check({ type, room_id: "!a:b" }, "10").ok).toBe(true);
    expect(check({ type: "\u{1f600}".repeat(256), room_id: "!a:b" }, "10").ok).toBe(false);
  });

  it.each([
    [254, true],
    [255, true],
    [256, false],
  ])("a sender of %i bytes: %s", (length, isOk) => {
    expect(check({ sender: `@${"a".repeat(length - "@:example.org".length)}:example.org` }).ok).toBe(isOk);
  });

  it.each([
    [65_535, true],
    [65_536, true],
    [65_537, false],
  ])("an event of %i bytes: %s", (size, isOk) => {
    const base = Buffer.byteLength(canonicalJson(withFields(topic, { content: { body: "" } })));
    const pdu = withFields(topic, { content: { body: "x".repeat(size - base) } });
    expect(Buffer.byteLength(canonicalJson(pdu))).toBe(size);
    expect(checkEventFormat(pdu, room.rules)).toMatchObject(isOk ? { ok: true } : { ok: false, tooLarge: true });
  });

  it.each([
    [0, true],
    [2 ** 53 - 2, true],
    [2 ** 53 - 1, true],
    [2 ** 53, false],
  ])("a depth of %i: %s", (depth, isOk) => {
    expect(check({ depth }).ok).toBe(isOk);
  });

  it("lets rooms of versions that do not enforce canonical JSON have larger depths and floats", () => {
    const changes = { depth: 2 ** 63, content: { level: 1.5 }, room_id: "!a:b" };
    expect(check(changes, "5").ok).toBe(true);
    expect(check(changes, "6").ok).toBe(false);
    expect(check({ ...changes, depth: 2 ** 64 }, "5").ok).toBe(false);
  });

  it.each([
    ["a float", 0.5],
    ["an integer beyond 2^53-1", 2 ** 53],
    ["a lone surrogate", "\ud800"],
    ["deep nesting", JSON.parse("[".repeat(63) + "]".repeat(63))],
  ])("refuses %s anywhere in the event", (_name, value: JsonValue) => {
    expect(check({ content: { a: [value] } })).toMatchObject({
      ok: false,
      reason: expect.stringContaining("canonical"),
    });
  });
});

import { describe, expect, it } from "vitest";
import { serverNameOf } from "../../../shared/ids.ts";
import { isObject, type JsonObject } from "../../../shared/json.ts";
import {
  canonicalJson,
  checkCanonical,
  parseLenientJson,
  parseStrictJson,
} from "../../../shared/matrix/canonical-json.ts";
import { parseLevel } from "../../../shared/matrix/content/power-levels.ts";
import { storedEvent } from "../../../shared/matrix/event.ts";
import { checkEventFormat } from "../../../shared/matrix/event-format.ts";
import { exactNumberText, numberValue } from "../../../shared/matrix/exact-numbers.ts";
import { hasValidContentHash } from "../../../shared/matrix/hashes.ts";
import { signEvent, verifyEvent } from "../../../shared/matrix/signing.ts";
import { RoomBuilder, rulesOf, testKeyOf, testVerifyKeysOf } from "../../support/room-builder.ts";

function parse(text: string): JsonObject {
  const parsed = parseLenientJson(text);
  if (!parsed.ok || !isObject(parsed.value)) throw new Error(`not an object: ${text}`);
  return parsed.value;
}

describe("parseLenientJson", () => {
  it.each([
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "1.0",
    "50.50",
    "0.10",
    "123456789012345678901234567890",
  ])("keeps %s as it was written", (number) => {
    const object = parse(`{"a":[${number}]}`);
    expect(canonicalJson(object, [], "lenient")).toBe(`{"a":[${number}]}`);
    expect(JSON.stringify(object)).toBe(`{"a":[${number}]}`);
    expect(checkCanonical(object, "strict").ok).toBe(false);
    expect(parseStrictJson(`{"a":[${number}]}`).ok).toBe(false);
  });

  it.each([
    ["-0", "0"],
    ["1e10", "10000000000"],
    ["1.5", "1.5"],
    ["7", "7"],
  ])("writes %s as %s, as the specification's example does", (number, canonical) => {
    expect(canonicalJson(parse(`{"a":${number}}`), [], "lenient")).toBe(`{"a":${canonical}}`);
  });

  it("is not deceived by an object that looks like an exact number", () => {
    const object = parse('{"a":{"rawJSON":"1}"}}');
    expect(canonicalJson(object, [], "lenient")).toBe('{"a":{"rawJSON":"1}"}}');
    expect(exactNumberText({ rawJSON: "5" })).toBeNull();
  });
});

describe("numberValue", () => {
  it("gives the nearest double, and null for what is no number", () => {
    expect(numberValue(parse('{"a":9223372036854775807}').a)).toBe(2 ** 63);
    expect(numberValue(5)).toBe(5);
    expect(numberValue("5")).toBeNull();
    expect(numberValue({})).toBeNull();
    expect(numberValue(undefined)).toBeNull();
  });
});

describe("an event whose depth is 2^63-1", () => {
  const room = RoomBuilder.open({ version: "5" });
  const server = serverNameOf(room.creator);
  const { hashes: _hashes, signatures: _signatures, ...base } = room.message(room.creator, "x").pdu;
  const unsigned = parse(JSON.stringify({ ...base, depth: "DEPTH" }).replace('"DEPTH"', "9223372036854775807"));
  const signed = signEvent(unsigned, room.rules, server, testKeyOf(server));

  it("keeps its digits through signing, storing and sending", () => {
    const text = canonicalJson(signed, [], "lenient");
    expect(text).toContain('"depth":9223372036854775807,');
    const received = parse(text);
    expect(verifyEvent(received, room.rules, server, testVerifyKeysOf(server))).toBe(true);
    expect(hasValidContentHash(received, room.rules)).toBe(true);
    expect(checkEventFormat(received, room.rules)).toEqual({ ok: true });
    const event = room.append(room.make({ sender: room.creator, type: "x" }));
    const stored = storedEvent(event.eventId, text, room.rules);
    expect(stored.depth).toBe(2 ** 63);
    expect(JSON.stringify(stored.pdu)).toContain('"depth":9223372036854775807');
  });

  it("has no place in a room that enforces canonical JSON", () => {
    expect(checkEventFormat(signed, rulesOf("6"))).toMatchObject({ ok: false });
  });
});

describe("parseLevel", () => {
  it("reads levels written as decimals in the rooms that allow them", () => {
    const level = parse('{"a":50.0}').a;
    expect(parseLevel(level, rulesOf("5"))).toBe(50);
    expect(parseLevel(parse('{"a":-1.50}').a, rulesOf("1"))).toBe(-1);
  });
});

import stringifyIndependent from "canonical-json";
import { describe, expect, it } from "vitest";
import type { JsonValue } from "../../../shared/json.ts";
import {
  canonicalJson,
  checkCanonical,
  compareCodePoints,
  parseLenientJson,
  parseStrictJson,
} from "../../../shared/matrix/canonical-json.ts";
import { fc } from "../../support/property.ts";
import { cpuMsOf } from "./timing.ts";
import { describeVectors, readFixture } from "./vectors.ts";

/** Values that go through each property. */
const roundTrips = 5_000;

interface Case {
  name?: string;
  input: string;
  canonical: string;
}

/** Encodes as a room of an old version would: whatever JSON.parse gives. */
function reencode(text: string): string {
  const value: JsonValue = JSON.parse(text);
  return canonicalJson(value, [], "lenient");
}

/** An array in `depth` arrays. */
function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

const canonicalValue = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ unit: "binary" }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(fc.string({ unit: "binary" }), tie("value"), { maxKeys: 5 }),
  ),
})).value;

describe("canonicalJson", () => {
  const { cases } = readFixture<{ cases: Case[] }>("canonical-json.json");
  it.each(cases.map((one) => [one.input, one.canonical]))("encodes the spec's example %s", (input, canonical) => {
    expect(reencode(input)).toBe(canonical);
  });

  it("sorts keys by code point, not by UTF-16 unit", () => {
    expect(canonicalJson({ "\u{1f600}": 1, "\uffee": 2, z: 3 })).toBe('{"z":3,"\uffee":2,"\u{1f600}":1}');
    expect(compareCodePoints("\uffff", "\u{10000}")).toBeLessThan(0);
    expect(compareCodePoints("a", "ab")).toBeLessThan(0);
    expect(compareCodePoints("a", "a")).toBe(0);
  });

  it("sorts integer-like keys as text", () => {
    expect(canonicalJson({ 10: 1, 9: 2, 1: 3 })).toBe('{"1":3,"10":1,"9":2}');
  });

  it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("keeps the key %s", (key) => {
    const text = `{"${key}":{"x":1},"zz":2}`;
    expect(reencode(text)).toBe(text);
    expect(Object.hasOwn(Object.prototype, "x")).toBe(false);
  });

  it("escapes control characters as the grammar says and nothing else", () => {
    expect(canonicalJson('\u0000\b\t\n\u000b\f\r\u001f"\\/\u007f\u2028')).toBe(
      '"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\"\\\\/\u007f\u2028"',
    );
  });

  it("leaves out keys at the top level only", () => {
    expect(canonicalJson({ a: 1, signatures: 2, b: { signatures: 3 } }, ["signatures"])).toBe(
      '{"a":1,"b":{"signatures":3}}',
    );
  });

  it.each([
    ["a float", 1.5],
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
    ["negative zero", -0],
    ["2^53", 2 ** 53],
    ["-(2^53)", -(2 ** 53)],
    ["a lone surrogate", "\ud800"],
    ["a lone surrogate in a key", { "\udc00": 1 }],
  ])("refuses %s", (_name, value: JsonValue) => {
    expect(() => canonicalJson(value)).toThrow();
    expect(checkCanonical(value).ok).toBe(false);
    expect(checkCanonical([value]).ok).toBe(false);
  });

  it.each([Number.NaN, Number.NEGATIVE_INFINITY])("refuses %s in rooms of old versions as well", (value) => {
    expect(checkCanonical([value], "lenient").ok).toBe(false);
    expect(checkCanonical([1.5], "lenient").ok).toBe(true);
  });

  it.each([63, 64])("takes nesting of %i", (depth) => {
    expect(parseStrictJson(nested(depth)).ok).toBe(true);
    expect(reencode(nested(depth))).toBe(nested(depth));
  });

  it.each([65, 10_000, 1_000_000])("refuses nesting of %i without overflowing the stack", (depth) => {
    expect(parseStrictJson(nested(depth))).toEqual({ ok: false, reason: "nested deeper than 64" });
    const value: JsonValue = JSON.parse(nested(Math.min(depth, 10_000)));
    expect(checkCanonical(value).ok).toBe(false);
  });

  it("is undone by JSON.parse", () => {
    fc.assert(
      fc.property(canonicalValue, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(value);
      }),
      { numRuns: roundTrips },
    );
  });

  it("gives the same text whatever the order of the keys", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.maxSafeInteger()), (object) => {
        const reversed = Object.fromEntries(Object.entries(object).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(object));
      }),
      { numRuns: roundTrips },
    );
  });

  it("gives the same text whether the engine can write it or not", () => {
    const isSurelySlow = "9"; // An engine keeps integer-like keys by value, so that 9 comes before 10.
    fc.assert(
      fc.property(canonicalValue, (value) => {
        const slow = canonicalJson({ a: value, [isSurelySlow]: 0, 10: 0 });
        expect(slow).toBe(`{"10":0,"9":0,"a":${canonicalJson(value)}}`);
      }),
      { numRuns: roundTrips },
    );
  });

  it.each([
    ['"\\\\ud800"', "the text of an escape"],
    ['{"rawJSON":"1.5"}', "a key that exact numbers have"],
    ['{"toJSON":"x"}', "a key that JSON.stringify asks for"],
    ['{"":[],"a":[{}]}', "empty key, array and object"],
  ])("writes %s: %s", (text) => {
    expect(reencode(text)).toBe(text);
  });

  it("writes an exact number in rooms of old versions only", () => {
    const parsed = parseLenientJson('{"depth":9223372036854775807}');
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(canonicalJson(parsed.value, [], "lenient")).toBe('{"depth":9223372036854775807}');
    expect(checkCanonical(parsed.value, "strict").ok).toBe(false);
  });

  it("leaves out keys of an object with a __proto__ key", () => {
    const value: JsonValue = JSON.parse('{"__proto__":{"x":1},"signatures":{},"zz":2}');
    expect(canonicalJson(value, ["signatures"])).toBe('{"__proto__":{"x":1},"zz":2}');
  });

  it("agrees with an independent implementation where that one is right", () => {
    const simple = fc.letrec<{ value: JsonValue }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.maxSafeInteger(),
        fc.boolean(),
        fc.constant(null),
        fc.string(),
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie("value"), { maxKeys: 4 }),
      ),
    })).value;
    fc.assert(
      fc.property(simple, (value) => {
        expect(canonicalJson(value)).toBe(stringifyIndependent(value));
      }),
      { numRuns: roundTrips },
    );
  });

  it("encodes an event of 1 KB in at most 10 µs", () => {
    const event = {
      auth_events: Array.from({ length: 4 }, (_, index) => `$${"a".repeat(42)}${index}`),
      content: { body: "hello ".repeat(40), msgtype: "m.text", "m.mentions": { user_ids: ["@a:b"] } },
      depth: 12_345,
      hashes: { sha256: "x".repeat(43) },
      origin_server_ts: 1_700_000_000_000,
      prev_events: [`$${"b".repeat(43)}`],
      room_id: `!${"c".repeat(43)}`,
      sender: "@alice:example.org",
      signatures: { "example.org": { "ed25519:a": "y".repeat(86) } },
      type: "m.room.message",
    };
    for (let round = 0; round < 5_000; round++) canonicalJson(event);
    const encode500 = (): void => {
      for (let round = 0; round < 500; round++) canonicalJson(event);
    };
    const best = Math.min(...Array.from({ length: 20 }, () => cpuMsOf(encode500) / 500));
    expect(best * 1_000).toBeLessThan(10);
  });
});

describe("parseStrictJson", () => {
  it.each(["1.0", "1e2", "1E2", "-0", "9007199254740992", "9007199254740993", "-9007199254740992", "1e400", "0.1"])(
    "refuses the number %s, which JSON.parse changes or canonical JSON lacks",
    (number) => {
      expect(parseStrictJson(`{"a":[${number}]}`).ok).toBe(false);
      expect(parseLenientJson(`{"a":[${number}]}`).ok).toBe(number !== "1e400");
    },
  );

  it.each(["0", "-1", "9007199254740991", "-9007199254740991"])("takes the number %s", (number) => {
    expect(parseStrictJson(number)).toEqual({ ok: true, value: Number(number) });
  });

  it.each(['"1.5 -0 1e9 [[["', '"\\"1.5"', '"\\\\"', '{"1.5":"-0"}', '"\\\\\\"[1.5"'])(
    "does not look for numbers in the string %s",
    (text) => {
      expect(parseStrictJson(text)).toEqual({ ok: true, value: JSON.parse(text) });
    },
  );

  it.each(['"\\ud800"', '"\\uDC00a"', '{"\\ud83d":1}', '"\ud800"'])("refuses the lone surrogate in %j", (text) => {
    expect(parseStrictJson(text).ok).toBe(false);
    expect(parseLenientJson(text).ok).toBe(false);
  });

  it("takes a surrogate pair written as escapes", () => {
    expect(parseStrictJson('"\\ud83d\\ude00"')).toEqual({ ok: true, value: "\u{1f600}" });
  });

  it.each(["", "{", "nul", "{'a':1}", "[1,]", "01", "--1", "1-", "\u00a01", '"'])(
    "refuses %j, which is no JSON",
    (text) => {
      expect(parseStrictJson(text).ok).toBe(false);
    },
  );

  it("keeps the last of two equal keys and an own __proto__ key", () => {
    const parsed = parseStrictJson('{"a":1,"a":2,"__proto__":{"x":1}}');
    expect(parsed.ok && canonicalJson(parsed.value)).toBe('{"__proto__":{"x":1},"a":2}');
  });

  it("takes all canonical JSON", () => {
    fc.assert(
      fc.property(canonicalValue, (value) => {
        expect(parseStrictJson(canonicalJson(value))).toEqual({ ok: true, value });
        expect(parseStrictJson(JSON.stringify(value, null, 2))).toEqual({ ok: true, value });
      }),
      { numRuns: roundTrips },
    );
  });
});

describeVectors<{ cases: Case[] }>("canonical-json/spec-examples.json", ({ cases }) => {
  it.each(cases.map((one) => [one.input, one.canonical]))("%s", (input, canonical) => {
    expect(reencode(input)).toBe(canonical);
  });
});

describeVectors<{ cases: Case[] }>("canonical-json/derived-js-traps.json", ({ cases }) => {
  it.each(cases.map((one) => [one.name, one.input, one.canonical]))("%s", (_name, input, canonical) => {
    const parsed = parseStrictJson(input ?? "");
    expect(parsed.ok && canonicalJson(parsed.value)).toBe(canonical);
  });
});

interface GmslVectors {
  conversion: Case[];
  sort: Case[];
  escape_compaction: Case[];
  strict_room_version_6_plus: { name: string; input: string; valid: boolean }[];
  integer_ranges: { input: string; valid_v1: boolean; valid_v6: boolean }[];
  not_byte_canonical_but_accepted_by_gmsl: { name: string; input: string }[];
}

describeVectors<GmslVectors>("canonical-json/gomatrixserverlib.json", (vectors) => {
  it.each(
    [...vectors.conversion, ...vectors.sort, ...vectors.escape_compaction].map((one) => [one.input, one.canonical]),
  )("encodes %s", (input, canonical) => {
    expect(reencode(input)).toBe(canonical);
  });
  it.each(vectors.strict_room_version_6_plus.map((one) => [one.name, one.input, one.valid] as const))(
    "strict: %s",
    (_name, input, valid) => {
      expect(parseStrictJson(input).ok).toBe(valid);
    },
  );
  // A lone surrogate has no UTF-8 form; -0 and 1e5 are no canonical numbers.
  const refused = ["unpaired UTF-16 surrogate", "failure combo"];
  it.each(vectors.not_byte_canonical_but_accepted_by_gmsl.map((one) => [one.name, one.input] as const))(
    "not canonical as it stands: %s",
    (name, input) => {
      const parsed = parseStrictJson(input);
      expect(parsed.ok).toBe(!refused.includes(name));
      if (parsed.ok) expect(canonicalJson(parsed.value)).not.toBe(input);
    },
  );
  it.each(vectors.integer_ranges.map((one) => [one.input, one.valid_v1, one.valid_v6] as const))(
    "%s",
    (input, isValidV1, isValidV6) => {
      expect(parseLenientJson(input).ok).toBe(isValidV1);
      expect(parseStrictJson(input).ok).toBe(isValidV6);
    },
  );
});

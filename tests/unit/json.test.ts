import { describe, expect, it } from "vitest";
import { define, field, type JsonObject, objectField, stringField, withFields } from "../../shared/json.ts";

const inherited = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"];

describe("field", () => {
  it.each(inherited)("finds no %s but an object's own", (name) => {
    expect(field({}, name)).toBeUndefined();
    const object: JsonObject = JSON.parse(`{"${name}": "own"}`);
    expect(field(object, name)).toBe("own");
    expect(stringField(object, name)).toBe("own");
    expect(objectField({}, name)).toBeNull();
  });
});

describe("withFields", () => {
  it.each(inherited)("keeps, sets and removes %s as any other key", (name) => {
    const object: JsonObject = JSON.parse(`{"${name}": {"polluted": true}, "other": 1}`);
    expect(JSON.stringify(withFields(object, { other: 2 }))).toBe(`{"${name}":{"polluted":true},"other":2}`);
    expect(JSON.stringify(withFields(object, { [name]: 3 }))).toBe(`{"${name}":3,"other":1}`);
    expect(JSON.stringify(withFields(object, { [name]: undefined }))).toBe('{"other":1}');
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });
});

describe("define", () => {
  it.each(inherited)("makes %s a key that JSON has", (name) => {
    const object: JsonObject = {};
    define(object, name, { polluted: true });
    expect(Object.keys(object)).toEqual([name]);
    expect(Object.getPrototypeOf(object)).toBe(Object.prototype);
  });
});

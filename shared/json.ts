/** A JSON value as `JSON.parse` gives it. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;

/** A JSON object. Keys come from outside: read them with {@link field}, never by assuming a prototype. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Deepest nesting of arrays and objects that is accepted from outside. */
export const maxJsonDepth = 64;

/**
 * Deepest nesting of a body that another server has signed. Deeper than what any event may be: one event with too much of
 * it must not take down all that travel with it. What is walked by recursion stays far from the end of the stack.
 */
export const maxSignedJsonDepth = 1_024;

/** Whether `value` is a JSON object (not null, not an array). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The own property `key` of `object`, or undefined: a key such as `constructor` never reaches the prototype. */
export function field(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The own property `key` where it is a string, else null. */
export function stringField(object: JsonObject, key: string): string | null {
  const value = field(object, key);
  return typeof value === "string" ? value : null;
}

/** The own property `key` where it is an object, else null. */
export function objectField(object: JsonObject, key: string): JsonObject | null {
  const value = field(object, key);
  return value !== undefined && isObject(value) ? value : null;
}

/**
 * A copy of `object` with `changes` set. Keys are defined, not assigned, so that a `__proto__` key from outside stays a
 * key. A change of `undefined` removes the key.
 */
export function withFields(object: JsonObject, changes: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const copy: JsonObject = {};
  for (const [key, value] of Object.entries(object)) define(copy, key, value);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) delete copy[key];
    else define(copy, key, value);
  }
  return copy;
}

/** An object without a key: itself, where it has none. Not to be changed, as it may be the same. */
export function withoutField(object: JsonObject, key: string): JsonObject {
  return Object.hasOwn(object, key) ? withFields(object, { [key]: undefined }) : object;
}

/** Defines an own property whatever its name is. */
export function define(object: JsonObject, key: string, value: JsonValue): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Parses text that this server itself wrote; a failure is a bug. */
export function parseStored(text: string): JsonValue {
  return JSON.parse(text);
}

/** Parses text that this server itself wrote as an object. @throws Error when it is not one. */
export function parseStoredObject(text: string): JsonObject {
  const value: JsonValue = JSON.parse(text);
  if (!isObject(value)) throw new Error("stored JSON is not an object");
  return value;
}

import * as v from "valibot";
import { errors, MatrixError } from "./errors.ts";
import {
  type DeviceId,
  type EventId,
  parseEventId,
  parseRoomAlias,
  parseRoomId,
  parseUserId,
  type RoomAlias,
  type RoomId,
  trusted,
  type UserId,
} from "./ids.ts";
import { isObject, type JsonObject, type JsonValue } from "./json.ts";
import { parseJson } from "./json-text.ts";
import { maxFilterBytes } from "./matrix/filter.ts";

/** A valibot schema for what comes from outside. Unknown keys are ignored, as Matrix asks. */
export type Schema<T = unknown> = v.GenericSchema<unknown, T>;

/** The values of a query string: a list where a parameter is repeated. */
export type QueryValues = Readonly<Record<string, string | string[]>>;

/** The parameters of a path template such as `/rooms/:roomId`, each with the type of identifier that its name says. */
export type PathParams<Path extends string> = {
  readonly [Name in PathParamNames<Path>]: Name extends keyof Identifiers ? Identifiers[Name] : string;
};

type PathParamNames<Path extends string> = Path extends `${string}:${infer Rest}`
  ? Rest extends `${infer Name}/${infer Tail}`
    ? Name | PathParamNames<`/${Tail}`>
    : Rest
  : never;

interface Identifiers {
  roomId: RoomId;
  userId: UserId;
  eventId: EventId;
  roomAlias: RoomAlias;
  deviceId: DeviceId;
  txnId: string;
}

/** Longest opaque path parameter and identifier in a body, in bytes of UTF-8. @see https://spec.matrix.org/v1.19/appendices/#opaque-identifiers */
const maxOpaqueBytes = 255;

const identifierParsers: { readonly [Name in keyof Identifiers]: (text: string) => Identifiers[Name] | null } = {
  roomId: parseRoomId,
  userId: parseUserId,
  eventId: parseEventId,
  roomAlias: parseRoomAlias,
  deviceId: (text) => (isOpaqueId(text) ? trusted.deviceId(text) : null),
  txnId: (text) => (isOpaqueId(text) ? text : null),
};

function isOpaqueId(text: string): boolean {
  return new TextEncoder().encode(text).length <= maxOpaqueBytes;
}

/**
 * Parses the identifiers among a path's parameters, which are percent-decoded already.
 * @throws MatrixError M_INVALID_PARAM naming the first that is not of its grammar.
 */
export function parsePathParams<Path extends string>(
  names: readonly string[],
  values: Readonly<Record<string, string>>,
): PathParams<Path> {
  const params: Record<string, string> = {};
  for (const name of names) {
    const text = values[name] ?? "";
    const value = isIdentifier(name) ? identifierParsers[name](text) : text;
    if (value === null) throw errors.invalidParam(`${name}: not a valid identifier of this kind`);
    params[name] = value;
  }
  return params as PathParams<Path>;
}

function isIdentifier(name: string): name is keyof Identifiers {
  return Object.hasOwn(identifierParsers, name);
}

/** Checks a query string; undefined where no schema asks for one. @throws MatrixError M_MISSING_PARAM, or M_INVALID_PARAM for any other fault. */
export function parseQuery<T>(schema: Schema<T> | undefined, values: QueryValues): T {
  if (schema === undefined) return absent<T>();
  const result = v.safeParse(schema, values, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  if (issue.received === "undefined") throw errors.missingParam(`query.${pathOf(issue)}: missing`);
  throw errors.invalidParam(`query.${pathOf(issue)}: ${reasonOf(issue)}`);
}

/**
 * Checks a request body; undefined where no schema asks for one. @throws MatrixError M_MISSING_PARAM; M_BAD_JSON for a wrong type or a value outside of an
 * enumeration; M_INVALID_PARAM for a value of the right type that breaks a rule.
 */
export function parseBody<T>(schema: Schema<T> | undefined, value: JsonValue): T {
  if (schema === undefined) return absent<T>();
  if (!isObject(value)) throw errors.badJson("The body must be a JSON object");
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  throw bodyError(result.issues[0]);
}

/** Where no schema is given, `T` is inferred as undefined, which the type system cannot see from here. */
function absent<T>(): T {
  return undefined as T;
}

function bodyError(issue: v.BaseIssue<unknown>): MatrixError {
  const path = `body${pathOf(issue) === "" ? "" : "."}${pathOf(issue)}`;
  if (issue.received === "undefined") return errors.missingParam(`${path}: missing`);
  return issue.kind === "schema"
    ? errors.badJson(`${path}: ${reasonOf(issue)}`)
    : errors.invalidParam(`${path}: ${reasonOf(issue)}`);
}

/** What was expected; never what came, which may be a password. */
function reasonOf(issue: v.BaseIssue<unknown>): string {
  return issue.expected === null ? `not a valid ${issue.type}` : `expected ${issue.expected}`;
}

/** `invite[2].medium` */
function pathOf(issue: v.BaseIssue<unknown>): string {
  let path = "";
  for (const { key } of issue.path ?? []) {
    if (typeof key === "number") path += `[${key}]`;
    else path += path === "" ? String(key) : `.${String(key)}`;
  }
  return path;
}

/** A string that `parse` accepts, as what `parse` makes of it. */
export function parsedText<T>(expected: string, parse: (text: string) => T | null) {
  return v.pipe(
    v.string(),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const value = parse(dataset.value);
      if (value !== null) return value;
      addIssue({ expected, received: "text" });
      return NEVER;
    }),
  );
}

export const userId = parsedText("a user id", parseUserId);
export const roomId = parsedText("a room id", parseRoomId);
export const eventId = parsedText("an event id", parseEventId);

/** Any JSON object, untouched: its keys are nobody's business here, and none is lost. */
export const anyObject: v.GenericSchema<unknown, JsonObject> = v.custom<JsonObject>(isObject);

/** A whole body of one's own choosing, such as an event's content. */
export const anyBody: v.GenericSchema<unknown, JsonObject> = anyObject;

/** An object inside of a body. Unlike `v.object`, it takes no list for an object that has none of its optional fields. */
export function objectOf<Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(v.custom<v.InferInput<v.ObjectSchema<Entries, undefined>>>(isObject), v.object(entries));
}

/** An object with any keys, whose values are of one kind. Unlike `v.record`, it takes no list for an empty one. */
export function recordOf<Value extends v.GenericSchema>(value: Value) {
  return v.pipe(v.custom<Record<string, v.InferInput<Value>>>(isObject), v.record(v.string(), value));
}

/** A non-negative integer of a query; larger ones are cut to `max`. */
export function queryInteger(max: number) {
  return parsedText("a non-negative integer", (text) => (/^\d{1,15}$/.test(text) ? Math.min(Number(text), max) : null));
}

/** `true` or `false` in a query. */
export const queryBoolean = parsedText("true or false", (text) =>
  text === "true" ? true : text === "false" ? false : null,
);

/** A query parameter that may be repeated. */
export const queryList = v.pipe(
  v.union([v.string(), v.array(v.string())]),
  v.transform((value) => (typeof value === "string" ? [value] : value)),
);

/** A filter written into a query parameter, as JSON. */
export const queryFilter = parsedText(`a JSON object of at most ${maxFilterBytes} bytes`, (text): JsonObject | null => {
  if (new TextEncoder().encode(text).length > maxFilterBytes) return null;
  try {
    const value = parseJson(text);
    return isObject(value) ? value : null;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return null;
    throw thrown;
  }
});

/** An opaque identifier that a client chooses, such as a device id. */
export const opaqueId = v.pipe(v.string(), v.minLength(1), v.maxBytes(maxOpaqueBytes));

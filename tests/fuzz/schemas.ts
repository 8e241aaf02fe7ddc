/** What a schema accepts, as far as its own structure tells, or the examples that it accepts. */
import * as v from "valibot";
import { isObject, type JsonObject, type JsonValue, withFields } from "../../shared/json.ts";
import type { Schema } from "../../shared/validate.ts";
import { fc } from "../support/property.ts";
import { anyContent, anyValue, eventType, existing, oddText } from "./values.ts";

/** Ways to log in and to prove oneself, right and wrong. */
const asUser = (user: string): JsonObject => ({ type: "m.id.user", user });
const password = fc.oneof({ weight: 3, arbitrary: existing("ownPassword") }, existing("password"));
const loginFields: fc.Arbitrary<JsonObject> = fc
  .record({
    type: fc.constantFrom("m.login.password", "m.login.password", "m.login.dummy", "m.login.registration_token", "x"),
    identifier: fc.oneof({ weight: 3, arbitrary: existing("ownUserId") }, existing("userId")).map(asUser),
    password,
    token: existing("registrationToken"),
  })
  .chain((fields) =>
    // A session is good for one thing alone, so most of them are the wrong one.
    fc.oneof(
      { weight: 4, arbitrary: fc.constant<JsonObject>(fields) },
      { weight: 1, arbitrary: existing("session").map((session): JsonObject => ({ ...fields, session })) },
    ),
  );

const edu = fc.record({
  edu_type: fc.constantFrom("m.typing", "m.receipt", "m.presence", "m.direct_to_device", "m.device_list_update", "x"),
  content: fc.oneof(
    fc.record({ room_id: existing("roomId"), user_id: existing("userId"), typing: fc.boolean() }),
    fc.record({ sender: existing("userId"), type: oddText, message_id: oddText, messages: anyValue }),
    fc.tuple(existing("roomId"), existing("userId"), existing("eventId")).map(
      ([roomId, userId, eventId]): JsonObject => ({
        [roomId]: { "m.read": { [userId]: { event_ids: [eventId], data: { ts: 1, thread_id: "main" } } } },
      }),
    ),
    anyContent,
  ),
});

/** An event of another server; the peer signs what it sends. */
export const pdu: fc.Arbitrary<JsonObject> = fc.record({
  room_id: existing("roomId"),
  sender: fc.oneof({ weight: 4, arbitrary: existing("peerUserId") }, { weight: 1, arbitrary: existing("userId") }),
  type: eventType,
  state_key: fc.oneof(fc.constant(""), existing("userId")),
  content: anyContent,
  prev_events: fc.array(existing("eventId"), { maxLength: 3 }),
  auth_events: fc.array(existing("eventId"), { maxLength: 4 }),
  depth: fc.constantFrom<JsonValue>(1, 5, 2 ** 53 - 1, -1, 0.5, "1"),
  origin_server_ts: fc.constantFrom<JsonValue>(0, 1_700_000_000_000, -1, 2 ** 53),
});

/** What a field is for says more than its type. */
const byName: Readonly<Record<string, fc.Arbitrary<JsonValue>>> = {
  auth: loginFields,
  identifier: existing("userId").map(asUser),
  user: existing("userId"),
  type: fc.constantFrom("m.login.password", "m.room.message", "m.room.topic"),
  password,
  new_password: existing("password"),
  token: existing("registrationToken"),
  access_token: existing("openIdToken"),
  refresh_token: existing("refreshToken"),
  username: fc.nat(500).map((number) => `guest${number}`),
  since: existing("syncToken"),
  from: fc.oneof(existing("pageToken"), existing("syncToken")),
  to: fc.oneof(existing("pageToken"), existing("syncToken")),
  at: existing("syncToken"),
  filter: fc.oneof(existing("filterId"), fc.constant('{"room":{"timeline":{"limit":1}}}')),
  // A held request is no slow one: that it ends when it should, other tests see to.
  timeout: fc.constantFrom("0", "1", "100"),
  room_version: fc.constantFrom("1", "6", "10", "11", "12"),
  new_version: fc.constantFrom("1", "6", "10", "11", "12"),
  ver: fc.constantFrom("1", "6", "10", "11", "12"),
  displayname: fc.string({ maxLength: 30 }),
  room_alias_name: fc.nat(300).map((number) => `alias${number}`),
  "m.fully_read": existing("eventId"),
  "m.read": existing("eventId"),
  "m.read.private": existing("eventId"),
  v: existing("eventId"),
  event_id: existing("eventId"),
  earliest_events: fc.array(existing("eventId"), { maxLength: 3 }),
  latest_events: fc.array(existing("eventId"), { maxLength: 3 }),
  server: existing("server"),
  server_name: existing("server"),
  thread_id: fc.oneof(fc.constant("main"), existing("eventId")),
  via: fc.array(existing("server"), { maxLength: 2 }),
  devices: fc.array(existing("deviceId"), { maxLength: 2 }),
  messages: fc.dictionary(existing("userId"), fc.constant<JsonValue>({ "*": { a: 1 } }), { maxKeys: 2 }),
  pdus: fc.array(pdu, { maxLength: 4 }),
  edus: fc.array(edu, { maxLength: 4 }),
  event: pdu,
};

const integer = fc.constantFrom(0, 1, 2, 10, 100, 1000, 65_536);

/** One example of each kind of text or value that is asked for; where it is accepted, so are the others of its kind. */
const examples: readonly [JsonValue, fc.Arbitrary<JsonValue>][] = [
  ["@a:localhost", existing("userId")],
  [`!${"A".repeat(43)}`, existing("roomId")],
  [`$${"A".repeat(43)}`, existing("eventId")],
  ["#a:localhost", existing("roomAlias")],
  ["localhost", existing("server")],
  ["true", fc.constantFrom("true", "false")],
  ["7", integer.map(String)],
  ['{"limit":1}', fc.constantFrom("{}", '{"limit":1}', '{"types":["m.room.*"],"lazy_load_members":true}')],
  ["any text", oddText],
  [{}, anyContent],
  [[], fc.array(anyValue, { maxLength: 3 })],
  [7, integer],
  [true, fc.boolean()],
];

/** Values that a schema accepts, most of them; of what it cannot tell, any value. */
export function accepted(schema: unknown, name = ""): fc.Arbitrary<JsonValue> {
  const known = Object.hasOwn(byName, name) ? byName[name] : undefined;
  if (known !== undefined) return known;
  if (!isSchema(schema)) return anyValue;
  switch (schema.type) {
    case "object":
    case "loose_object":
      return objectOf(part(schema, "entries"));
    case "optional":
    case "nullish":
    case "nullable":
      return accepted(part(schema, "wrapped"), name);
    case "array":
      return fc.array(accepted(part(schema, "item")), { maxLength: 3 });
    case "record":
      return fc.dictionary(existing("userId"), accepted(part(schema, "value")), { maxKeys: 3 });
    case "union":
      return fc.oneof(...listOf(part(schema, "options")).map((option) => accepted(option)));
    case "intersect":
      return fc.tuple(...listOf(part(schema, "options")).map((option) => accepted(option))).map(fieldsOfAll);
    case "picklist":
      return fc.constantFrom(...listOf(part(schema, "options")).map(String));
    default:
      return likeExamples(schema);
  }
}

function likeExamples(schema: v.GenericSchema): fc.Arbitrary<JsonValue> {
  // A pipe's later parts may ask for more than its first: `objectOf` is one.
  const inner = listOf(part(schema, "pipe")).find((step) => isSchema(step) && step.type === "object");
  if (inner !== undefined) return accepted(inner);
  const fitting = examples.filter(([example]) => v.is(schema, example)).map(([, arbitrary]) => arbitrary);
  if (fitting.length > 0) return fc.oneof(...fitting);
  const first = listOf(part(schema, "pipe"))[0];
  return first === undefined || first === schema ? anyValue : accepted(first);
}

function fieldsOfAll(values: readonly JsonValue[]): JsonObject {
  return values.reduce<JsonObject>((all, value) => (isObject(value) ? withFields(all, value) : all), {});
}

/** All fields, or some of them. */
function objectOf(entries: unknown): fc.Arbitrary<JsonObject> {
  if (typeof entries !== "object" || entries === null) return anyContent;
  const names = Object.keys(entries);
  const required = names.filter((name) => !isOptional(part(entries, name)));
  const fields = Object.fromEntries(names.map((name) => [name, accepted(part(entries, name), name)]));
  return fc.record(fields, { requiredKeys: required });
}

function isOptional(schema: unknown): boolean {
  return isSchema(schema) && (schema.type === "optional" || schema.type === "nullish");
}

function part(of: object, name: string): unknown {
  return Reflect.get(of, name);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function isSchema(value: unknown): value is v.GenericSchema {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "schema";
}

/** Bodies and queries of an endpoint. */
export function acceptedBy(schema: Schema | null): fc.Arbitrary<JsonValue> {
  return schema === null ? fc.constant({}) : accepted(schema);
}

/** Texts and JSON of all kinds, from what a client would send to what nobody should. */
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { fc } from "../support/property.ts";
import { type ReferenceKind, referTo } from "./references.ts";

/** What a homeserver's code could be taken in by. */
const traps = ["", " ", "\0", "*", "%", "%00", "..", "/", "\\", "__proto__", "constructor", "toString", "null", "-1"];
const moreTraps = ["1e400", "NaN", "0x10", "9007199254740993", "💥", "\u{10ffff}", "\ufeff", "\u202e", "é", "e\u0301"];
const identifiers = ["@", "@:", "!", "!:", "$", "#", "#:", "@a:b:c", "@a:[::1]:8448", "!x:localhost", "#x:localhost"];
const moreIdentifiers = ["$x", "@nobody:localhost", "@a:elsewhere.invalid", "!x:elsewhere.invalid", "@A:localhost"];
const tokens = ["s0_0", "s1_1", "s999999999999999_999999999999999", "p0", "p-1", "p999999999999999", "s-1_0", "p"];

/** Text that no endpoint asked for. */
export const oddText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...traps, ...moreTraps) },
  { weight: 3, arbitrary: fc.constantFrom(...identifiers, ...moreIdentifiers, ...tokens) },
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom("a", "é", "💥"), minLength: 250, maxLength: 260 }) },
);

/** Overlong text: beyond an identifier's length, beyond an event's size. */
const longText = fc
  .tuple(fc.constantFrom("a", "é", "💥", "\0", '"'), fc.constantFrom(256, 512, 4_000, 66_000))
  .map(([unit, length]) => unit.repeat(length / unit.length));

/** Something that exists, most of the time; else something that nearly does. */
export function existing(kind: ReferenceKind): fc.Arbitrary<string> {
  const number = fc.nat(63);
  return fc.oneof(
    { weight: 8, arbitrary: number.map((index) => referTo(kind, index)) },
    { weight: 1, arbitrary: number.map((index) => referTo(kind, index, " cut")) },
    { weight: 1, arbitrary: fc.tuple(number, oddText).map(([index, odd]) => referTo(kind, index) + odd) },
  );
}

const eventTypes = ["m.room.message", "m.room.member", "m.room.power_levels", "m.room.create", "m.room.join_rules"];
const moreEventTypes = ["m.room.redaction", "m.room.canonical_alias", "m.room.server_acl", "m.room.history_visibility"];
const oddEventTypes = ["m.room.third_party_invite", "m.room.tombstone", "m.space.child", "m.room.encryption", "a.b"];
export const eventType = fc.constantFrom(...eventTypes, ...moreEventTypes, ...oddEventTypes);

const numbers = [0, -0, 1, -1, 50, 100, 101, 0.5, 2 ** 31, 2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e300];
const words = ["join", "leave", "invite", "ban", "knock", "public", "restricted", "shared", "world_readable", "m.read"];
const fields = ["membership", "users", "events", "redacts", "alias", "allow", "join_rule", "type", "content", "deny"];
const moreFields = ["users_default", "state_key", "sender", "room_id", "m.relates_to", "via", "third_party_invite"];

export const fieldName: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...fields, ...moreFields) },
  { weight: 1, arbitrary: existing("userId") },
  { weight: 1, arbitrary: oddText },
);

const leaf: fc.Arbitrary<JsonValue> = fc.oneof(
  { weight: 3, arbitrary: oddText },
  { weight: 3, arbitrary: fc.constantFrom<JsonValue>(null, true, false, ...numbers, ...words) },
  { weight: 2, arbitrary: fc.constantFrom("roomId", "eventId", "userId", "server").chain(existing) },
  { weight: 1, arbitrary: fc.nat(80).map(nested) },
);

/** A list that many levels deep. */
function nested(depth: number): JsonValue {
  let value: JsonValue = [];
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

/** Any JSON. */
export const { value: anyValue } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .array(fc.tuple(fieldName, tie("value")), { maxLength: 4 })
      .map((entries): JsonValue => Object.fromEntries(entries)),
  ),
}));

const level = fc.constantFrom<JsonValue>(0, 50, 100, -1, 101, "50", 0.5, null);
const server = fc.oneof(existing("server"), fc.constantFrom("*", "elsewhere.invalid", "?", ""));

/** Contents that the server itself reads. */
const knownContent: fc.Arbitrary<JsonObject> = fc.oneof(
  fc.constant<JsonObject>({ msgtype: "m.text", body: "hello" }),
  fc.record({ membership: fc.constantFrom("join", "leave", "invite", "ban", "knock", "x"), reason: oddText }),
  fc.record({
    users: fc.dictionary(existing("userId"), level, { maxKeys: 3 }),
    users_default: level,
    events: anyValue,
  }),
  fc.record({ join_rule: fc.constantFrom("public", "invite", "knock", "restricted", "x"), allow: anyValue }),
  fc.record({ history_visibility: fc.constantFrom("shared", "joined", "invited", "world_readable", "x") }),
  fc.record({ alias: existing("roomAlias"), alt_aliases: fc.array(existing("roomAlias"), { maxLength: 3 }) }),
  fc.record({ allow: fc.array(server, { maxLength: 2 }), deny: fc.array(server, { maxLength: 2 }) }),
  fc.record({ redacts: existing("eventId"), reason: oddText }),
  fc.record({ via: fc.array(server, { maxLength: 2 }), order: oddText, suggested: fc.boolean() }),
  existing("eventId").map((eventId): JsonObject => ({ "m.relates_to": { rel_type: "m.thread", event_id: eventId } })),
);

/** An object of a client's own choosing, such as an event's content. */
export const anyContent: fc.Arbitrary<JsonObject> = fc.oneof(
  { weight: 4, arbitrary: knownContent },
  {
    weight: 1,
    arbitrary: fc.array(fc.tuple(fieldName, anyValue), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
  },
);

/** How one place of a value is made wrong. */
export interface Damage {
  /** Which place, counted from the front and around. */
  readonly at: number;
  readonly how: "replace" | "drop" | "add" | "wrap" | "write" | "lengthen";
  readonly name: string;
  readonly value: JsonValue;
}

export const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat(1000),
  how: fc.constantFrom("replace", "replace", "drop", "add", "wrap", "write", "lengthen"),
  name: fieldName,
  value: fc.oneof({ weight: 5, arbitrary: anyValue }, { weight: 1, arbitrary: longText }),
});

/** A value with one place made wrong: one of its fields or entries, at any depth. */
export function damaged(value: JsonValue, { at, how, name, value: odd }: Damage): JsonValue {
  const target = at % countOf(value);
  let place = -1;
  const visit = (current: JsonValue): JsonValue | undefined => {
    place += 1;
    if (place === target) return change(current, how, name, odd);
    if (Array.isArray(current)) return current.map(visit).filter((entry) => entry !== undefined);
    if (typeof current !== "object" || current === null) return current;
    const entries = Object.entries(current).map(([key, entry]): [string, JsonValue | undefined] => [key, visit(entry)]);
    return Object.fromEntries(entries.filter((entry): entry is [string, JsonValue] => entry[1] !== undefined));
  };
  return visit(value) ?? null;
}

function countOf(value: JsonValue): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce<number>((sum, entry) => sum + countOf(entry), 1);
}

function change(current: JsonValue, how: Damage["how"], name: string, odd: JsonValue): JsonValue | undefined {
  switch (how) {
    case "replace":
      return odd;
    case "drop":
      return undefined;
    case "wrap":
      return [current];
    case "write":
      return JSON.stringify(current);
    case "lengthen":
      return typeof current === "string" ? current + current + "x".repeat(300) : Array(120).fill(current);
    case "add":
      return typeof current === "object" && current !== null && !Array.isArray(current)
        ? Object.fromEntries([...Object.entries(current), [name, odd]])
        : odd;
  }
}

import { field, isObject, type JsonObject, type JsonValue, objectField } from "../../json.ts";
import type { MatrixEvent } from "../event.ts";
import { numberValue } from "../exact-numbers.ts";
import type { RoomVersionRules } from "../room-version.ts";
import { creatorsOf } from "./create.ts";

/** The integer properties of a power levels event. @see https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels */
export const levelNames = [
  "users_default",
  "events_default",
  "state_default",
  "ban",
  "redact",
  "kick",
  "invite",
] as const;
export type LevelName = (typeof levelNames)[number];

/** The maps of levels in a power levels event. */
export type LevelMapName = "users" | "events" | "notifications";

const defaults: Readonly<Record<LevelName, number>> = {
  users_default: 0,
  events_default: 0,
  state_default: 50,
  ban: 50,
  redact: 50,
  kick: 50,
  invite: 0,
};

/** The level a creator has where there is no power levels event, before room version 12. */
const creatorLevel = 100;

/** The level that `@room` and other notifications need where the event names none. */
const notificationDefault = 50;

/**
 * Reads one level: an integer; before room version 10 also a string that is one, before version 6 also a float, which is
 * truncated.
 *
 * @returns null when the value is no level in this room version.
 * @see https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-strings
 * @see https://spec.matrix.org/v1.19/rooms/v1/#mroompower_levels-events-accept-values-as-floats
 */
export function parseLevel(value: JsonValue | undefined, rules: RoomVersionRules): number | null {
  const number = numberValue(value);
  if (number !== null) {
    if (rules.powerLevelValues === "numberOrString") return Number.isFinite(number) ? Math.trunc(number) + 0 : null;
    return Number.isSafeInteger(number) ? number : null;
  }
  if (typeof value !== "string" || rules.powerLevelValues === "integer") return null;
  // "a single base 10 integer … optionally with any number of leading zeroes … prefixed with a single - or + … with any
  // number of leading or trailing whitespace characters"
  const text = value.trim();
  if (!/^[+-]?[0-9]+$/.test(text)) return null;
  const level = Number(text);
  return Number.isSafeInteger(level) ? level + 0 : null;
}

/**
 * The power levels of a room in one state: every question is answered with the spec's default where the event is silent.
 * Values are read when asked for, so that a list of many thousand users costs nothing.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels
 */
export class PowerLevels {
  readonly #content: JsonObject | null;
  readonly #creators: ReadonlySet<string>;
  readonly #rules: RoomVersionRules;

  /** @param event the power levels event, null when the state has none; `create` likewise. */
  constructor(event: MatrixEvent | null, create: MatrixEvent | null, rules: RoomVersionRules) {
    this.#content = event === null ? null : event.content;
    this.#creators = create === null ? new Set() : creatorsOf(create, rules);
    this.#rules = rules;
  }

  /** The level of a user; Infinity for a creator from room version 12. @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules */
  ofUser(userId: string): number {
    const isCreator = this.#creators.has(userId);
    if (isCreator && this.#rules.creatorsHaveInfinitePower) return Number.POSITIVE_INFINITY;
    if (this.#content === null) return isCreator ? creatorLevel : 0;
    return this.#entry("users", userId) ?? this.level("users_default");
  }

  /** The level needed to send an event: its own entry in `events`, else the default of its kind. @see https://spec.matrix.org/v1.19/server-server-api/#definitions */
  toSend(type: string, isState: boolean): number {
    return this.#entry("events", type) ?? this.level(isState ? "state_default" : "events_default");
  }

  /** One of the event's own levels. */
  level(name: LevelName): number {
    const given = this.#content === null ? null : parseLevel(field(this.#content, name), this.#rules);
    return given ?? defaults[name];
  }

  /** The level needed to trigger a notification of a kind, e.g. `room`. @see https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels */
  toNotify(kind: string): number {
    return this.#entry("notifications", kind) ?? notificationDefault;
  }

  #entry(map: LevelMapName, key: string): number | null {
    const levels = this.#content === null ? null : objectField(this.#content, map);
    return levels === null ? null : parseLevel(field(levels, key), this.#rules);
  }
}

/** Whether a map of levels is absent or holds nothing but levels. */
export function isLevelMap(value: JsonValue | undefined, rules: RoomVersionRules): boolean {
  if (value === undefined) return true;
  return isObject(value) && Object.values(value).every((level) => parseLevel(level, rules) !== null);
}

/** `@`, and somewhere a colon: what is behind it may be anything. */
const userIdShape = /^@[^:]*:/;

/**
 * Whether `users` is absent or maps user ids to levels. Names of servers that cannot be are let pass, as by the servers that
 * most rooms were made on: a slip of the pen gives nobody power, but to refuse the event would leave this server with other
 * levels than all others for ever.
 *
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function isUserLevelMap(value: JsonValue | undefined, rules: RoomVersionRules): boolean {
  if (!isLevelMap(value, rules)) return false;
  return value === undefined || !isObject(value) || Object.keys(value).every((user) => userIdShape.test(user));
}

/**
 * Filters of the client-server API: parsed once from what a client gave, then asked of each event.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
import { parseRoomId, parseUserId } from "../ids.ts";
import { define, field, isObject, type JsonObject } from "../json.ts";
import { compileStarPattern, type Glob, matchesGlob } from "./glob.ts";
import { parsePropertyPath } from "./property-path.ts";

/** Largest filter, in bytes of its JSON. */
export const maxFilterBytes = 65_536;

/** Properties to keep of an object, each whole or in part. */
export type FieldTree = ReadonlyMap<string, FieldTree | "whole">;

/** An EventFilter. Null lists are absent: nothing is left out by them. */
export interface EventFilter {
  readonly limit: number | null;
  readonly types: readonly Glob[] | null;
  readonly notTypes: readonly Glob[];
  readonly senders: ReadonlySet<string> | null;
  readonly notSenders: ReadonlySet<string>;
}

/** A RoomEventFilter. @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter */
export interface RoomEventFilter extends EventFilter, RoomChoice {
  readonly containsUrl: boolean | null;
  readonly lazyLoadMembers: boolean;
  readonly includeRedundantMembers: boolean;
  readonly unreadThreadNotifications: boolean;
}

/** Which rooms; the exclusion wins. */
export interface RoomChoice {
  readonly rooms: ReadonlySet<string> | null;
  readonly notRooms: ReadonlySet<string>;
}

/** The whole filter of `/sync`. */
export interface SyncFilter {
  /** What to keep of each event; null: all. */
  readonly eventFields: FieldTree | null;
  readonly eventFormat: "client" | "federation";
  readonly presence: EventFilter;
  readonly accountData: EventFilter;
  readonly room: RoomFilter;
}

/** The part of a filter for rooms. */
export interface RoomFilter extends RoomChoice {
  readonly includeLeave: boolean;
  readonly state: RoomEventFilter;
  readonly timeline: RoomEventFilter;
  readonly ephemeral: RoomEventFilter;
  readonly accountData: RoomEventFilter;
}

/** A parsed filter, or why it is refused, naming the field (M_BAD_JSON). */
export type ParsedFilter<Filter> =
  | { readonly ok: true; readonly filter: Filter }
  | { readonly ok: false; readonly reason: string };

/** Carries a refusal out of the nested readers; never leaves this file. */
class BadFilter extends Error {}

/** Parses a whole filter, as `POST /user/{userId}/filter` and `/sync?filter=` take it. @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter */
export function parseSyncFilter(json: JsonObject): ParsedFilter<SyncFilter> {
  return attempt(() => readSyncFilter(json));
}

/** Parses a RoomEventFilter, as `/messages` and `/context` take it. @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages */
export function parseRoomEventFilter(json: JsonObject): ParsedFilter<RoomEventFilter> {
  return attempt(() => readRoomEventFilter(json, ""));
}

/** Parses the `room` part of a filter. */
export function parseRoomFilter(json: JsonObject): ParsedFilter<RoomFilter> {
  return attempt(() => readRoomFilter(json));
}

function attempt<Filter>(read: () => Filter): ParsedFilter<Filter> {
  try {
    return { ok: true, filter: read() };
  } catch (thrown) {
    if (thrown instanceof BadFilter) return { ok: false, reason: thrown.message };
    throw thrown;
  }
}

function readSyncFilter(json: JsonObject): SyncFilter {
  const eventFormat = field(json, "event_format") ?? "client";
  if (eventFormat !== "client" && eventFormat !== "federation") {
    throw new BadFilter("event_format must be client or federation");
  }
  const eventFields = readStrings(json, "event_fields", "event_fields");
  return {
    eventFields: eventFields === null ? null : compileFields(eventFields),
    eventFormat,
    presence: readEventFilter(readObject(json, "presence", "presence"), "presence."),
    accountData: readEventFilter(readObject(json, "account_data", "account_data"), "account_data."),
    room: readRoomFilter(readObject(json, "room", "room")),
  };
}

function readRoomFilter(json: JsonObject): RoomFilter {
  const part = (key: string): RoomEventFilter =>
    readRoomEventFilter(readObject(json, key, `room.${key}`), `room.${key}.`);
  return {
    ...readRooms(json, "room."),
    includeLeave: readBoolean(json, "include_leave", "room.include_leave") ?? false,
    state: part("state"),
    timeline: part("timeline"),
    ephemeral: part("ephemeral"),
    accountData: part("account_data"),
  };
}

function readRoomEventFilter(json: JsonObject, path: string): RoomEventFilter {
  return {
    ...readEventFilter(json, path),
    ...readRooms(json, path),
    containsUrl: readBoolean(json, "contains_url", `${path}contains_url`),
    lazyLoadMembers: readBoolean(json, "lazy_load_members", `${path}lazy_load_members`) ?? false,
    includeRedundantMembers:
      readBoolean(json, "include_redundant_members", `${path}include_redundant_members`) ?? false,
    unreadThreadNotifications:
      readBoolean(json, "unread_thread_notifications", `${path}unread_thread_notifications`) ?? false,
  };
}

function readEventFilter(json: JsonObject, path: string): EventFilter {
  const limit = field(json, "limit") ?? null;
  if (limit !== null && (typeof limit !== "number" || !Number.isSafeInteger(limit) || limit < 0)) {
    throw new BadFilter(`${path}limit must be an integer greater than 0`);
  }
  const types = readStrings(json, "types", `${path}types`);
  const senders = readIds(json, "senders", `${path}senders`, parseUserId);
  return {
    limit,
    types: types === null ? null : types.map(compileStarPattern),
    notTypes: (readStrings(json, "not_types", `${path}not_types`) ?? []).map(compileStarPattern),
    senders: senders === null ? null : new Set(senders),
    notSenders: new Set(readIds(json, "not_senders", `${path}not_senders`, parseUserId) ?? []),
  };
}

function readRooms(json: JsonObject, path: string): RoomChoice {
  const rooms = readIds(json, "rooms", `${path}rooms`, parseRoomId);
  return {
    rooms: rooms === null ? null : new Set(rooms),
    notRooms: new Set(readIds(json, "not_rooms", `${path}not_rooms`, parseRoomId) ?? []),
  };
}

function readObject(json: JsonObject, key: string, path: string): JsonObject {
  const value = field(json, key) ?? {};
  if (!isObject(value)) throw new BadFilter(`${path} must be an object`);
  return value;
}

function readBoolean(json: JsonObject, key: string, path: string): boolean | null {
  const value = field(json, key) ?? null;
  if (value !== null && typeof value !== "boolean") throw new BadFilter(`${path} must be true or false`);
  return value;
}

function readStrings(json: JsonObject, key: string, path: string): string[] | null {
  const value = field(json, key) ?? null;
  if (value === null) return null;
  if (!Array.isArray(value)) throw new BadFilter(`${path} must be a list`);
  return value.map((entry) => {
    if (typeof entry !== "string") throw new BadFilter(`${path} must hold only strings`);
    return entry;
  });
}

function readIds(json: JsonObject, key: string, path: string, parse: (text: string) => string | null): string[] | null {
  const ids = readStrings(json, key, path);
  const wrong = ids?.find((id) => parse(id) === null);
  if (wrong !== undefined) throw new BadFilter(`${path} holds something that is no such id`);
  return ids;
}

/** What a filter looks at in an event. Account data and presence have no room, and account data no sender. */
export interface FilteredEvent {
  readonly type: string;
  readonly sender: string | null;
  readonly content: JsonObject;
}

/** Whether an event passes an EventFilter; exclusions win over inclusions. @see https://spec.matrix.org/v1.19/client-server-api/#filtering */
export function matchesEventFilter(filter: EventFilter, event: FilteredEvent): boolean {
  if (filter.notTypes.some((glob) => matchesGlob(glob, event.type))) return false;
  if (filter.types !== null && !filter.types.some((glob) => matchesGlob(glob, event.type))) return false;
  if (event.sender !== null && filter.notSenders.has(event.sender)) return false;
  return filter.senders === null || (event.sender !== null && filter.senders.has(event.sender));
}

/** Whether an event of a room passes a RoomEventFilter. Lazy loading of members is not decided here. */
export function matchesRoomEventFilter(filter: RoomEventFilter, roomId: string, event: FilteredEvent): boolean {
  if (!choosesRoom(filter, roomId)) return false;
  // "If true, includes only events with a url key in their content. If false, excludes those events."
  if (filter.containsUrl !== null && Object.hasOwn(event.content, "url") !== filter.containsUrl) return false;
  return matchesEventFilter(filter, event);
}

/** Whether a filter takes in a room. */
export function choosesRoom(choice: RoomChoice, roomId: string): boolean {
  return !choice.notRooms.has(roomId) && (choice.rooms === null || choice.rooms.has(roomId));
}

type FieldNode = Map<string, FieldNode | "whole">;

/**
 * Compiles `event_fields`, so that each event costs in proportion to its own properties, however many paths there are.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
export function compileFields(paths: readonly string[]): FieldTree {
  const root: FieldNode = new Map();
  for (const names of paths.map(parsePropertyPath)) addPath(root, names);
  return root;
}

function addPath(root: FieldNode, names: readonly string[]): void {
  let node = root;
  for (const [index, name] of names.entries()) {
    const known = node.get(name);
    // A path to what a shorter one keeps as a whole adds nothing.
    if (known === "whole") return;
    if (index === names.length - 1) node.set(name, "whole");
    else {
      const next: FieldNode = known ?? new Map();
      node.set(name, next);
      node = next;
    }
  }
}

/**
 * Keeps only the chosen properties of an event: `event_fields`.
 *
 * @param fields null keeps all.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
export function selectFields(event: JsonObject, fields: FieldTree | null): JsonObject {
  if (fields === null) return event;
  const selected: JsonObject = {};
  for (const [name, value] of Object.entries(event)) {
    const below = fields.get(name);
    if (below === "whole") define(selected, name, value);
    else if (below !== undefined && isObject(value)) define(selected, name, selectFields(value, below));
  }
  return selected;
}

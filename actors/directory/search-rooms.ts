import { Buffer } from "node:buffer";
import { errors } from "../../shared/errors.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { PublicRoomsQuery } from "../../shared/rpc/server.ts";
import type { DirectoryDatabase } from "../context.ts";
import { ensureDirectorySchema } from "./schema.ts";
import { searchWords } from "./text.ts";

/** Rooms in one answer, at most; also when the client names no limit. */
const maxRooms = 500;

type Row = Record<string, string | number | null>;
type Values = (string | number | null)[];

/** A place between two rooms of the list, and the direction in which to read on. */
interface Cursor {
  direction: "next" | "previous";
  joinedMembers: number;
  roomId: string;
}

/** A condition on `room_summary r`, with its values. */
interface Condition {
  readonly sql: string;
  readonly values: Values;
}

/**
 * Published rooms, those with most members first, as `GET /publicRooms` answers.
 * @throws MatrixError M_INVALID_PARAM when `since` is no token of this list.
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms
 */
export async function searchPublicRooms(directory: DirectoryDatabase, input: PublicRoomsQuery): Promise<JsonObject> {
  const cursor = input.since === null ? null : parseCursor(input.since);
  await ensureDirectorySchema(directory);
  const limit = input.limit < 1 ? maxRooms : Math.min(input.limit, maxRooms);
  const wanted = conditionOf(input);
  const [rows, total] = await Promise.all([pageOf(directory, wanted, cursor, limit), countOf(directory, wanted)]);
  const isBackward = cursor?.direction === "previous";
  const page = rows.slice(0, limit);
  const hasBeyond = rows.length > limit;
  if (isBackward) page.reverse();
  const answer: JsonObject = { chunk: page.map(chunkOf), total_room_count_estimate: total };
  const [first, last] = [page[0], page.at(-1)];
  if (first === undefined || last === undefined) return answer;
  // What the reader came from lies on the other side of this page.
  if (isBackward || hasBeyond) answer.next_batch = formatCursor("next", last);
  if (isBackward ? hasBeyond : cursor !== null) answer.prev_batch = formatCursor("previous", first);
  return answer;
}

function conditionOf(input: PublicRoomsQuery): Condition {
  const parts = ["r.is_published = 1"];
  const values: Values = [];
  if (input.isForServer) parts.push("r.is_federated = 1");
  if (input.roomTypes !== null) {
    parts.push("(r.room_type IN (SELECT value FROM json_each(?)) OR (? AND r.room_type IS NULL))");
    values.push(JSON.stringify(input.roomTypes.filter((type) => type !== null)));
    values.push(Number(input.roomTypes.includes(null)));
  }
  const words = searchWords(input.searchTerm ?? "");
  if (words.query !== null) {
    parts.push("r.room_nid IN (SELECT rowid FROM room_search WHERE room_search MATCH ?)");
    values.push(words.query);
  }
  for (const word of words.short) {
    parts.push("instr(r.search_text, ?) > 0");
    values.push(word);
  }
  return { sql: parts.join(" AND "), values };
}

/** One more row than asked for, so that it is known whether the list goes on. */
function pageOf(directory: DirectoryDatabase, wanted: Condition, cursor: Cursor | null, limit: number): Promise<Row[]> {
  const isBackward = cursor?.direction === "previous";
  const beyond =
    cursor === null
      ? ""
      : isBackward
        ? "AND (r.joined_members > ? OR (r.joined_members = ? AND r.room_id < ?))"
        : "AND (r.joined_members < ? OR (r.joined_members = ? AND r.room_id > ?))";
  const order = isBackward ? "r.joined_members, r.room_id DESC" : "r.joined_members DESC, r.room_id";
  const place = cursor === null ? [] : [cursor.joinedMembers, cursor.joinedMembers, cursor.roomId];
  return directory.all({
    query: `SELECT r.room_id, r.name, r.topic, r.canonical_alias, r.avatar_url, r.room_type, r.join_rule,
        r.is_world_readable, r.is_guest_allowed, r.joined_members
      FROM room_summary r WHERE ${wanted.sql} ${beyond} ORDER BY ${order} LIMIT ?`,
    bindings: [...wanted.values, ...place, limit + 1],
  });
}

async function countOf(directory: DirectoryDatabase, wanted: Condition): Promise<number> {
  const query = `SELECT COUNT(*) AS total FROM room_summary r WHERE ${wanted.sql}`;
  const total = (await directory.all({ query, bindings: wanted.values }))[0]?.total;
  return typeof total === "number" ? total : 0;
}

/** A `PublishedRoomsChunk`. @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms */
function chunkOf(row: Row): JsonObject {
  const chunk: JsonObject = {
    room_id: row.room_id ?? "",
    num_joined_members: row.joined_members ?? 0,
    world_readable: row.is_world_readable === 1,
    guest_can_join: row.is_guest_allowed === 1,
  };
  for (const name of ["name", "topic", "canonical_alias", "avatar_url", "join_rule", "room_type"]) {
    const value = row[name];
    if (typeof value === "string") chunk[name] = value;
  }
  return chunk;
}

function formatCursor(direction: Cursor["direction"], row: Row): string {
  const text = JSON.stringify([direction === "next" ? "n" : "p", row.joined_members, row.room_id]);
  return Buffer.from(text).toString("base64url");
}

/** @throws MatrixError M_INVALID_PARAM */
function parseCursor(text: string): Cursor {
  const cursor = text.length <= 512 ? decodeCursor(Buffer.from(text, "base64url").toString("utf8")) : null;
  if (cursor === null) throw errors.invalidParam("since is not a token of the room directory");
  return cursor;
}

function decodeCursor(json: string): Cursor | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    return null;
  }
  if (!Array.isArray(parsed)) return null;
  const [direction, joinedMembers, roomId]: unknown[] = parsed;
  if (typeof joinedMembers !== "number" || !Number.isSafeInteger(joinedMembers) || typeof roomId !== "string")
    return null;
  if (direction !== "n" && direction !== "p") return null;
  return { direction: direction === "n" ? "next" : "previous", joinedMembers, roomId };
}

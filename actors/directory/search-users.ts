import type { UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { DirectoryDatabase, DirectoryStatement } from "../context.ts";
import { ensureDirectorySchema } from "./schema.ts";
import { afterPrefix, foldText, type SearchWords, searchWords } from "./text.ts";

/** What `POST /user_directory/search` asks for. */
export interface UserSearch {
  requester: UserId;
  searchTerm: string;
  limit: number;
}

/** Users in one answer, at most. */
const maxUsers = 50;
/** Users that match the text and are looked at further, at most: what one search may cost. */
const maxCandidates = 2_000;

/**
 * A user is found by those with whom they share a room, and by everyone when they are in a public one: "users that share
 * a room with the requesting user; users who are joined to rooms … that have a public join rule [or] a world_readable
 * history visibility". Of oneself only the second is asked.
 */
const isVisible = `EXISTS (
  SELECT 1 FROM directory_members m WHERE m.user_id = u.user_id AND m.is_joined = 1 AND (
    EXISTS (SELECT 1 FROM room_summary r WHERE r.room_id = m.room_id AND r.is_public = 1)
    OR (u.user_id <> ? AND EXISTS (
      SELECT 1 FROM directory_members mine
      WHERE mine.room_id = m.room_id AND mine.user_id = ? AND mine.is_joined = 1))))`;

/**
 * Users whose id or display name contains every word of the term, the closest first.
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3user_directorysearch
 */
export async function searchUsers(directory: DirectoryDatabase, input: UserSearch): Promise<JsonObject> {
  const words = searchWords(input.searchTerm);
  if (words.query === null && words.short.length === 0) return { limited: false, results: [] };
  await ensureDirectorySchema(directory);
  const limit = Math.max(1, Math.min(input.limit, maxUsers));
  const rows = await directory.all(statementOf(input, words, limit + 1));
  return { limited: rows.length > limit, results: rows.slice(0, limit).map(resultOf) };
}

function statementOf(input: UserSearch, words: SearchWords, limit: number): DirectoryStatement {
  const candidates = candidatesOf(words);
  // A leading @ is how people write a user id; keys hold the localpart without it.
  const term = foldText(input.searchTerm.slice(0, 255)).replace(/^@/, "");
  const isExact = "(u.localpart_key = ? OR u.name_key = ?)";
  const isPrefix = "((u.localpart_key >= ? AND u.localpart_key < ?) OR (u.name_key >= ? AND u.name_key < ?))";
  const range = [term, afterPrefix(term)];
  return {
    query: `SELECT u.user_id, u.display_name, u.avatar_url FROM directory_users u
      WHERE u.user_nid IN (${candidates.query}) AND u.is_active = 1 AND ${isVisible}
      ORDER BY CASE WHEN ${isExact} THEN 0 WHEN ${isPrefix} THEN 1 ELSE 2 END,
        u.display_name IS NULL AND u.avatar_url IS NULL, u.user_id
      LIMIT ?`,
    bindings: [...candidates.bindings, input.requester, input.requester, term, term, ...range, ...range, limit],
  };
}

/** Rows that match the text: by the index where a word is long enough for it, else by prefix of localpart or name. */
function candidatesOf(words: SearchWords): DirectoryStatement {
  if (words.query !== null) {
    const filters = words.short.map(() => "AND instr(search_text, ?) > 0").join(" ");
    return {
      query: `SELECT rowid FROM user_search WHERE user_search MATCH ? ${filters} LIMIT ${maxCandidates}`,
      bindings: [words.query, ...words.short],
    };
  }
  const [first = "", ...others] = words.short.map((word) => word.replace(/^@/, ""));
  const filters = others.map(() => "AND instr(search_text, ?) > 0").join(" ");
  return {
    query: `SELECT user_nid FROM directory_users
      WHERE ((localpart_key >= ? AND localpart_key < ?) OR (name_key >= ? AND name_key < ?)) ${filters}
      LIMIT ${maxCandidates}`,
    bindings: [first, afterPrefix(first), first, afterPrefix(first), ...others],
  };
}

function resultOf(row: Record<string, string | number | null>): JsonObject {
  const result: JsonObject = { user_id: row.user_id ?? "" };
  if (typeof row.display_name === "string") result.display_name = row.display_name;
  if (typeof row.avatar_url === "string") result.avatar_url = row.avatar_url;
  return result;
}

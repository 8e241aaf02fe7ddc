import type { RoomId, UserId } from "../../shared/ids.ts";
import type { DirectoryDatabase, DirectoryStatement } from "../context.ts";
import { ensureDirectorySchema } from "./schema.ts";
import { foldText } from "./text.ts";

/** A room as the directory shows it. */
export interface RoomSummary {
  roomId: RoomId;
  isPublished: boolean;
  name: string | null;
  topic: string | null;
  canonicalAlias: string | null;
  avatarUrl: string | null;
  roomType: string | null;
  joinRule: string;
  isWorldReadable: boolean;
  isGuestAllowed: boolean;
  /** Whether users of other servers may take part. */
  isFederated: boolean;
  joinedMembers: number;
  /** Room position that this was read at. */
  position: number;
}

/** A member as the directory needs to know it. */
export interface DirectoryMember {
  userId: UserId;
  isJoined: boolean;
}

/** Writes a room's row, unless a newer one is there. What describes the room is left out when it is not published. */
export async function writeRoomSummary(directory: DirectoryDatabase, summary: RoomSummary): Promise<void> {
  await ensureDirectorySchema(directory);
  await directory.batch([upsertRoom(summary), ...indexRoom(summary.roomId)]);
}

function upsertRoom(summary: RoomSummary): DirectoryStatement {
  const shown = (text: string | null): string | null => (summary.isPublished ? text : null);
  const { name, topic, canonicalAlias } = summary;
  const searchText = summary.isPublished ? foldText([name, canonicalAlias, topic].filter(isText).join("\n")) : "";
  return {
    query: `INSERT INTO room_summary (room_id, is_published, is_public, name, topic, canonical_alias, avatar_url,
        room_type, join_rule, is_world_readable, is_guest_allowed, is_federated, joined_members, search_text,
        position)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (room_id) DO UPDATE SET is_published = excluded.is_published, is_public = excluded.is_public,
        name = excluded.name, topic = excluded.topic, canonical_alias = excluded.canonical_alias,
        avatar_url = excluded.avatar_url, room_type = excluded.room_type, join_rule = excluded.join_rule,
        is_world_readable = excluded.is_world_readable, is_guest_allowed = excluded.is_guest_allowed,
        is_federated = excluded.is_federated, joined_members = excluded.joined_members, search_text = excluded.search_text, position = excluded.position
      WHERE excluded.position >= room_summary.position`,
    bindings: [
      summary.roomId,
      Number(summary.isPublished),
      Number(summary.joinRule === "public" || summary.isWorldReadable),
      shown(name),
      shown(topic),
      shown(canonicalAlias),
      shown(summary.avatarUrl),
      shown(summary.roomType),
      summary.joinRule,
      Number(summary.isWorldReadable),
      Number(summary.isGuestAllowed),
      Number(summary.isFederated),
      summary.joinedMembers,
      searchText,
      summary.position,
    ],
  };
}

/** Makes the search index agree with whatever row is stored, so that a write that came too late changes nothing. */
function indexRoom(roomId: RoomId): DirectoryStatement[] {
  return [
    {
      query: "DELETE FROM room_search WHERE rowid = (SELECT room_nid FROM room_summary WHERE room_id = ?)",
      bindings: [roomId],
    },
    {
      query: `INSERT INTO room_search (rowid, search_text)
        SELECT room_nid, search_text FROM room_summary WHERE room_id = ? AND is_published = 1 AND search_text <> ''`,
      bindings: [roomId],
    },
  ];
}

/** Writes members' rows in one statement, each unless a newer one is there. */
export async function writeDirectoryMembers(
  directory: DirectoryDatabase,
  roomId: RoomId,
  members: readonly DirectoryMember[],
  position: number,
): Promise<void> {
  if (members.length === 0) return;
  await ensureDirectorySchema(directory);
  const rows = JSON.stringify(members.map(({ userId, isJoined }) => [userId, Number(isJoined)]));
  // "WHERE true" tells SQLite that ON CONFLICT belongs to the insert, not to a join.
  const query = `INSERT INTO directory_members (room_id, user_id, is_joined, position)
    SELECT ?, value ->> 0, value ->> 1, ? FROM json_each(?) WHERE true
    ON CONFLICT (room_id, user_id) DO UPDATE SET is_joined = excluded.is_joined, position = excluded.position
    WHERE excluded.position >= directory_members.position`;
  await directory.batch([{ query, bindings: [roomId, position, rows] }]);
}

function isText(text: string | null): text is string {
  return text !== null;
}

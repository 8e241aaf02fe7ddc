import { localpartOf, type UserId } from "../../shared/ids.ts";
import type { DirectoryDatabase } from "../context.ts";
import { ensureDirectorySchema } from "./schema.ts";
import { foldText } from "./text.ts";

/** A user as the directory shows it. */
export interface DirectoryUser {
  userId: UserId;
  /** False: deactivated; the user is not found any more. */
  isActive: boolean;
  displayName: string | null;
  avatarUrl: string | null;
  /** Position in the user's own stream that this was read at. */
  position: number;
}

/** Writes a user's row, unless a newer one is there. */
export async function writeDirectoryUser(directory: DirectoryDatabase, user: DirectoryUser): Promise<void> {
  await ensureDirectorySchema(directory);
  const displayName = user.isActive ? user.displayName : null;
  const upsert = {
    query: `INSERT INTO directory_users (user_id, is_active, display_name, avatar_url, localpart_key, name_key,
        search_text, position)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (user_id) DO UPDATE SET is_active = excluded.is_active, display_name = excluded.display_name,
        avatar_url = excluded.avatar_url, localpart_key = excluded.localpart_key, name_key = excluded.name_key,
        search_text = excluded.search_text, position = excluded.position
      WHERE excluded.position >= directory_users.position`,
    bindings: [
      user.userId,
      Number(user.isActive),
      displayName,
      user.isActive ? user.avatarUrl : null,
      foldText(localpartOf(user.userId)),
      foldText(displayName ?? ""),
      foldText(`${user.userId}\n${displayName ?? ""}`),
      user.position,
    ],
  };
  // The index is made to agree with whatever row is stored, so that a write that came too late changes nothing.
  const unindex = {
    query: "DELETE FROM user_search WHERE rowid = (SELECT user_nid FROM directory_users WHERE user_id = ?)",
    bindings: [user.userId],
  };
  const index = {
    query: `INSERT INTO user_search (rowid, search_text)
      SELECT user_nid, search_text FROM directory_users WHERE user_id = ? AND is_active = 1`,
    bindings: [user.userId],
  };
  await directory.batch([upsert, unindex, index]);
}

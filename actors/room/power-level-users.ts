import { parseUserId } from "../../shared/ids.ts";
import { type JsonObject, objectField } from "../../shared/json.ts";

/**
 * A key of `users` in an `m.room.power_levels` that is no user id; null: all are. The authorization rules ask for less, so
 * that no server stays behind others; who writes such an event here has made a mistake, and is told.
 *
 * @param current content that the event replaces: what another server has let in may stay, since whoever changes one level
 *   sends all of them.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels
 */
export function findNoUser(levels: JsonObject, current: JsonObject = {}): string | null {
  const [users, known] = [levels, current].map((content) => objectField(content, "users") ?? {});
  const isStrange = (user: string): boolean => parseUserId(user) === null && !Object.hasOwn(known ?? {}, user);
  return Object.keys(users ?? {}).find(isStrange) ?? null;
}

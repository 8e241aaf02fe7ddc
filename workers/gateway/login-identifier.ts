import {
  isValidLocalpart,
  localpartOf,
  parseUserId,
  type ServerName,
  serverNameOf,
  type UserId,
  userIdOf,
} from "../../shared/ids.ts";
import { type JsonObject, objectField, stringField } from "../../shared/json.ts";

/**
 * The local user whom a password login or stage names: in `identifier` (`m.id.user`), or in the deprecated `user`.
 * Null when it names nobody that could be a user of this server, third-party identifiers included.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#identifier-types
 */
export function passwordLoginUser(object: JsonObject, serverName: ServerName): UserId | null {
  const identifier = objectField(object, "identifier");
  if (identifier === null) return localUser(stringField(object, "user"), serverName);
  if (stringField(identifier, "type") !== "m.id.user") return null;
  return localUser(stringField(identifier, "user"), serverName);
}

/** "The fully qualified user ID or just local part": either, of this server, in any letter case. */
function localUser(text: string | null, serverName: ServerName): UserId | null {
  if (text === null) return null;
  const localpart = text.startsWith("@") ? localpartOfLocal(text, serverName) : text;
  return localpart === null ? null : localUserId(localpart, serverName);
}

function localpartOfLocal(text: string, serverName: ServerName): string | null {
  const userId = parseUserId(text);
  return userId === null || serverNameOf(userId) !== serverName ? null : localpartOf(userId);
}

/** The user id of a localpart in any letter case; null when its grammar or length is wrong. */
export function localUserId(localpart: string, serverName: ServerName): UserId | null {
  return exactUserId(localpart.toLowerCase(), serverName);
}

/** The user id of a localpart as it stands; null when no user of this server can have it. */
export function exactUserId(localpart: string, serverName: ServerName): UserId | null {
  return isValidLocalpart(localpart) ? parseUserId(userIdOf(localpart, serverName)) : null;
}

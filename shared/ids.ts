/**
 * Branded identifiers: parsed once where they enter, trusted afterwards.
 *
 * @see https://spec.matrix.org/v1.19/appendices/#identifier-grammar
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type ServerName = Branded<"ServerName">;
export type UserId = Branded<"UserId">;
export type RoomId = Branded<"RoomId">;
export type EventId = Branded<"EventId">;
export type RoomAlias = Branded<"RoomAlias">;
export type DeviceId = Branded<"DeviceId">;

/** Longest identifier, in bytes of UTF-8. */
export const maxIdBytes = 255;

const ipv6 = /^\[[0-9A-Fa-f:.]{2,45}\]$/;
const ipv4OrDns = /^[0-9A-Za-z.-]{1,255}$/;
const port = /^[0-9]{1,5}$/;

/** Parses a server name: host with an optional port. @see https://spec.matrix.org/v1.19/appendices/#server-name */
export function parseServerName(text: string): ServerName | null {
  if (text.length > 255) return null;
  const end = text.startsWith("[") ? text.indexOf("]") + 1 : text.indexOf(":") === -1 ? text.length : text.indexOf(":");
  const host = text.slice(0, end);
  const rest = text.slice(end);
  if (!(host.startsWith("[") ? ipv6 : ipv4OrDns).test(host)) return null;
  if (rest !== "" && !(rest.startsWith(":") && port.test(rest.slice(1)))) return null;
  return text as ServerName;
}

/** Splits `sigil localpart ":" domain`; null when it has no localpart separator or is too long. */
function parseSigil(text: string, sigil: string): { localpart: string; serverName: ServerName } | null {
  if (!text.startsWith(sigil) || !isShortText(text)) return null;
  const colon = text.indexOf(":");
  if (colon === -1) return null;
  const serverName = parseServerName(text.slice(colon + 1));
  return serverName === null ? null : { localpart: text.slice(1, colon), serverName };
}

function isShortText(text: string): boolean {
  if (!text.isWellFormed() || text.includes("\0")) return false;
  // No character has more than three bytes for each of its UTF-16 units.
  return text.length * 3 <= maxIdBytes || new TextEncoder().encode(text).length <= maxIdBytes;
}

/**
 * Parses a user id, accepting the historical localparts that other servers still hold.
 * @see https://spec.matrix.org/v1.19/appendices/#user-identifiers
 */
export function parseUserId(text: string): UserId | null {
  const parts = parseSigil(text, "@");
  return parts === null ? null : (text as UserId);
}

/** Whether a localpart may be given to a new user. @see https://spec.matrix.org/v1.19/appendices/#user-identifiers */
export function isValidLocalpart(localpart: string): boolean {
  return /^[a-z0-9._=/+-]+$/.test(localpart);
}

/** Parses a room id: with a domain, or (room version 12) the bare hash of the create event. @see https://spec.matrix.org/v1.19/appendices/#room-ids */
export function parseRoomId(text: string): RoomId | null {
  if (!text.startsWith("!") || text.length < 2 || !isShortText(text)) return null;
  if (!text.includes(":")) return /^![A-Za-z0-9_-]{43}$/.test(text) ? (text as RoomId) : null;
  return parseSigil(text, "!") === null ? null : (text as RoomId);
}

/** Parses an event id of any room version. @see https://spec.matrix.org/v1.19/appendices/#event-ids */
export function parseEventId(text: string): EventId | null {
  return text.startsWith("$") && text.length > 1 && isShortText(text) ? (text as EventId) : null;
}

/** Parses a room alias. @see https://spec.matrix.org/v1.19/appendices/#room-aliases */
export function parseRoomAlias(text: string): RoomAlias | null {
  const parts = parseSigil(text, "#");
  return parts === null || parts.localpart === "" ? null : (text as RoomAlias);
}

/** The server name of a user id or room alias (everything after the first colon). */
export function serverNameOf(id: UserId | RoomAlias): ServerName {
  return id.slice(id.indexOf(":") + 1) as ServerName;
}

/** The localpart of a user id or room alias. */
export function localpartOf(id: UserId | RoomAlias): string {
  return id.slice(1, id.indexOf(":"));
}

/** Makes a user id of a localpart that was checked already. */
export function userIdOf(localpart: string, serverName: ServerName): UserId {
  return `@${localpart}:${serverName}` as UserId;
}

/** Marks a value that this server made or stored itself as the identifier that it is. */
export const trusted = {
  userId: (text: string) => text as UserId,
  roomId: (text: string) => text as RoomId,
  eventId: (text: string) => text as EventId,
  serverName: (text: string) => text as ServerName,
  roomAlias: (text: string) => text as RoomAlias,
  deviceId: (text: string) => text as DeviceId,
};

/** Verify keys of servers as they travel between actors, and which of them count for what. */
import { parseUserId, type ServerName, serverNameOf } from "../ids.ts";
import { type JsonObject, objectField, stringField } from "../json.ts";
import { signingKeyIds, type VerifyKeys } from "./signing.ts";

/** A key that a server signs with, or once did. */
export interface VerifyKey {
  /** Ed25519 public key, unpadded base64. */
  readonly key: string;
  /** Until when it counts as current, ms since epoch: at most seven days after it was fetched. */
  readonly validUntilTs: number;
  /** When its server gave it up, ms since epoch; null: it is in use. */
  readonly expiredTs: number | null;
}

/** server name → key id → key. */
export type KeyRing = Readonly<Record<ServerName, Readonly<Record<string, VerifyKey>>>>;

/**
 * The keys of a server that count for an event.
 *
 * @param validAt `origin_server_ts`, where the room version asks that the key was valid then; null where it does not.
 * @returns null when no keys of that server are known.
 * @see https://spec.matrix.org/v1.19/rooms/v5/#signing-key-validity-period
 */
export function keysForEvent(ring: KeyRing, server: ServerName, validAt: number | null): VerifyKeys | null {
  const known = Object.hasOwn(ring, server) ? ring[server] : undefined;
  if (known === undefined) return null;
  const counts = ({ validUntilTs, expiredTs }: VerifyKey): boolean =>
    validAt === null || validAt <= (expiredTs ?? validUntilTs);
  return new Map(
    Object.entries(known)
      .filter(([, key]) => counts(key))
      .map(([keyId, { key }]) => [keyId, key]),
  );
}

/**
 * The keys of a server that count for a request made now: those in use, while they are valid.
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
export function keysForRequest(keys: Readonly<Record<string, VerifyKey>>, nowMs: number): VerifyKeys {
  const inUse = Object.entries(keys).filter(([, key]) => key.expiredTs === null && key.validUntilTs >= nowMs);
  return new Map(inUse.map(([keyId, { key }]) => [keyId, key]));
}

/**
 * The servers that may have to have signed an event, whatever its room's version, with the ids of the keys they used: what
 * must be at hand before the event can be checked. At most three.
 */
export function possibleSigners(pdu: JsonObject): Map<ServerName, string[]> {
  const signers = new Map<ServerName, string[]>();
  const eventId = stringField(pdu, "event_id")?.replace(/^\$/, "@") ?? null;
  const authoriser = stringField(objectField(pdu, "content") ?? {}, "join_authorised_via_users_server");
  for (const text of [stringField(pdu, "sender"), eventId, authoriser]) {
    const userId = text === null ? null : parseUserId(text);
    if (userId === null) continue;
    const server = serverNameOf(userId);
    const keyIds = signingKeyIds(pdu, server);
    if (keyIds.length > 0) signers.set(server, keyIds);
  }
  return signers;
}

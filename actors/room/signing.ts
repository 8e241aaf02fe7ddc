import { MatrixError } from "../../shared/errors.ts";
import { rotationGraceMs, signingKeyCacheMs } from "../../shared/federation-api/keys.ts";
import { type KeyRing, keysForEvent } from "../../shared/matrix/key-ring.ts";
import { publicKeyOf, type VerifyKeys } from "../../shared/matrix/signing.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import type { RoomContext } from "./context.ts";
import type { KeyLookup } from "./receive.ts";

/** A key may have been given up since it was asked for: because the clock was set, say. Undoes the transaction that it is thrown in. */
export class OldKey extends MatrixError {
  constructor() {
    super(503, "M_UNKNOWN", "The server's signing key is being replaced");
  }
}

/**
 * The server's signing key; a replaced one is in use for some minutes at most. To be asked for right before the transaction
 * that signs: what is dated after its key was given up, no other server ever takes.
 */
export async function fetchSigningKey(room: RoomContext): Promise<SigningKey> {
  const { signingKey } = room.memory;
  const now = room.clock.now();
  if (signingKey !== null && isKnownFor(signingKey.fetchedTs, now, signingKeyCacheMs)) return signingKey.key;
  const key = await room.actors.server(room.config.serverName).getSigningKey();
  room.memory.signingKey = { key, fetchedTs: now };
  return key;
}

/**
 * The key to sign an event with that is dated now: the one that was asked for before the transaction, or a newer one.
 * @throws OldKey
 */
export function signingKeyNow(room: RoomContext, asked: SigningKey): SigningKey {
  const { signingKey } = room.memory;
  if (signingKey === null) return asked;
  const isGood = isKnownFor(signingKey.fetchedTs, room.clock.now(), rotationGraceMs);
  if (!isGood) throw new OldKey();
  return signingKey.key;
}

/** Whether something is known for less than a time. A clock that was set back says nothing of that. */
function isKnownFor(sinceTs: number, now: number, lessThanMs: number): boolean {
  return sinceTs <= now && now - sinceTs < lessThanMs;
}

/** This server's own verify keys, as they count for events. */
export function ownVerifyKeys(key: SigningKey): VerifyKeys {
  return new Map([[key.keyId, publicKeyOf(key)]]);
}

/** The keys that came with events, and this server's own. */
export function keyLookup(room: RoomContext, own: VerifyKeys, keys: KeyRing): KeyLookup {
  return (server, validAt) => {
    const given = keysForEvent(keys, server, validAt);
    return server === room.config.serverName ? new Map([...(given ?? []), ...own]) : given;
  };
}

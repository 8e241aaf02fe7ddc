import { signingKeyCacheMs } from "../../shared/federation-api/keys.ts";
import { type KeyRing, keysForEvent } from "../../shared/matrix/key-ring.ts";
import { publicKeyOf, type VerifyKeys } from "../../shared/matrix/signing.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import type { RoomContext } from "./context.ts";
import type { KeyLookup } from "./receive.ts";

/** The server's signing key, always asked for before a transaction; a replaced one is in use for some minutes at most. */
export async function fetchSigningKey(room: RoomContext): Promise<SigningKey> {
  const { signingKey } = room.memory;
  const now = room.clock.now();
  if (signingKey !== null && now - signingKey.fetchedTs < signingKeyCacheMs) return signingKey.key;
  const key = await room.actors.server(room.config.serverName).getSigningKey();
  room.memory.signingKey = { key, fetchedTs: now };
  return key;
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

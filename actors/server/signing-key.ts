import { maxValidityMs, rotationGraceMs } from "../../shared/federation-api/keys.ts";
import { type JsonObject, parseStoredObject } from "../../shared/json.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import type { VerifyKey } from "../../shared/matrix/key-ring.ts";
import { generateSigningKey, publicKeyOf, signJson } from "../../shared/matrix/signing.ts";
import type { RotatedKey, SigningKey } from "../../shared/rpc/server.ts";
import type { ServerContext } from "./context.ts";

/** The key that signs in this server's name: made on first use, and then the same until it is replaced. */
export function getSigningKey(server: ServerContext): SigningKey {
  const known = server.store.signingKeys.findCurrent();
  if (known !== null) return known;
  return server.store.transaction((tx) => {
    const key = generateSigningKey(server.random);
    tx.signingKeys.insert(key, server.clock.now());
    server.log.info("signing key made", { key_id: key.keyId });
    return key;
  });
}

/**
 * Replaces the key. The old one signs for a while yet, and verifies for good what it has signed until then: rooms from
 * version 5 on refuse an event that is dated after its key was given up.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#publishing-keys
 */
export function rotateSigningKey(server: ServerContext): RotatedKey {
  const old = getSigningKey(server);
  const now = server.clock.now();
  const oldExpiresTs = now + rotationGraceMs;
  return server.store.transaction((tx) => {
    const key = generateSigningKey(server.random);
    tx.signingKeys.expire(old.keyId, oldExpiresTs);
    tx.signingKeys.insert(key, now);
    server.log.info("signing key replaced", { key_id: key.keyId, old_key_id: old.keyId });
    return { keyId: key.keyId, oldKeyId: old.keyId, oldExpiresTs };
  });
}

/**
 * The signed keys of this server. Each key in use signs: it proves that it is ours. In the order of canonical JSON, so that
 * who takes only the signatures out has the very bytes that were signed.
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server
 */
export function getServerKeys(server: ServerContext): JsonObject {
  const { inUse, old } = ownKeys(server);
  const keys: JsonObject = {
    old_verify_keys: Object.fromEntries(
      old.map((key) => [key.keyId, { expired_ts: key.expiredTs, key: publicKeyOf(key) }]),
    ),
    server_name: server.serverName,
    valid_until_ts: server.clock.now() + maxValidityMs,
    verify_keys: Object.fromEntries(inUse.map((key) => [key.keyId, { key: publicKeyOf(key) }])),
  };
  const signed = inUse.reduce((answer, key) => signJson(answer, server.serverName, key), keys);
  return parseStoredObject(canonicalJson(signed));
}

/** Our own keys, as the actors of other servers give theirs. */
export function getOwnVerifyKeys(server: ServerContext, keyIds: readonly string[]): Record<string, VerifyKey> {
  const { inUse, old } = ownKeys(server);
  const validUntilTs = server.clock.now() + maxValidityMs;
  const keys: [string, VerifyKey][] = [
    ...inUse.map((key): [string, VerifyKey] => [key.keyId, { key: publicKeyOf(key), validUntilTs, expiredTs: null }]),
    ...old.map((key): [string, VerifyKey] => {
      const { keyId, expiredTs } = key;
      return [keyId, { key: publicKeyOf(key), validUntilTs: expiredTs, expiredTs }];
    }),
  ];
  return Object.fromEntries(keys.filter(([keyId]) => keyIds.length === 0 || keyIds.includes(keyId)));
}

/** `inUse`: the current key, and what it replaces as long as that may still sign. */
function ownKeys(server: ServerContext): { inUse: SigningKey[]; old: (SigningKey & { expiredTs: number })[] } {
  const current = getSigningKey(server);
  const now = server.clock.now();
  const replaced = server.store.signingKeys.replaced();
  return {
    inUse: [current, ...replaced.filter(({ expiredTs }) => expiredTs > now)],
    old: replaced.filter(({ expiredTs }) => expiredTs <= now),
  };
}

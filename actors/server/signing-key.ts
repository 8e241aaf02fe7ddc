import type { JsonObject } from "../../shared/json.ts";
import { generateSigningKey, publicKeyOf, signJson } from "../../shared/matrix/signing.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import type { ServerContext } from "./context.ts";

/** How far ahead the published keys are said to be valid; others trust them for no longer anyway. */
const validityMs = 7 * 24 * 60 * 60 * 1000;

/** The key that signs in this server's name: made on first use, and then the same for good. */
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
 * The signed keys of this server.
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server
 */
export function getServerKeys(server: ServerContext): JsonObject {
  const key = getSigningKey(server);
  const oldVerifyKeys: JsonObject = {};
  for (const old of server.store.signingKeys.expired()) {
    oldVerifyKeys[old.keyId] = { key: publicKeyOf(old), expired_ts: old.expiredTs };
  }
  const keys: JsonObject = {
    server_name: server.serverName,
    verify_keys: { [key.keyId]: { key: publicKeyOf(key) } },
    old_verify_keys: oldVerifyKeys,
    valid_until_ts: server.clock.now() + validityMs,
  };
  return signJson(keys, server.serverName, key);
}

/**
 * The keys that servers publish, and what key servers say of others' keys.
 * @see https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */
import { Buffer } from "node:buffer";
import { decodeBase64, encodeBase64 } from "../base64.ts";
import { MatrixError } from "../errors.ts";
import type { ServerName } from "../ids.ts";
import { field, isObject, type JsonObject, objectField, stringField } from "../json.ts";
import { parseSignedJson } from "../json-text.ts";
import { checkCanonical } from "../matrix/canonical-json.ts";
import { numberValue } from "../matrix/exact-numbers.ts";
import { signaturesOf } from "../matrix/hashes.ts";
import type { VerifyKey } from "../matrix/key-ring.ts";
import { isValidSignature, type VerifyKeys } from "../matrix/signing.ts";
import type { PeerRequest } from "../rpc/egress.ts";

/** What a server has published of its keys, checked. */
export interface PublishedKeys {
  readonly keys: ReadonlyMap<string, VerifyKey>;
  /** As the server signed it. */
  readonly response: JsonObject;
}

/** The longest answer about one server's keys. */
const maxResponseBytes = 65_536;
/** The longest answer of a key server, which is about several. */
const maxQueryBytes = 4_194_304;
/** "if it hasn't answered by then, it will not": an answer that any server has at hand. */
const timeoutMs = 10_000;

/** Keys of one server that are looked at, at most: of those in use, and of those that were. */
const maxKeys = 100;

/** "Servers MUST use the lesser of this field and 7 days into the future when determining if a key is valid." */
export const maxValidityMs = 7 * 24 * 60 * 60 * 1000;

/** How long an actor may sign with a key that it was once told is current. The old one is valid for longer than that. */
export const signingKeyCacheMs = 5 * 60 * 1000;

/**
 * How long a replaced key stays in use. Longer than rooms remember the key that they once asked for: what they sign
 * meanwhile is good, and others that have not heard of the new key yet learn it in time.
 */
export const rotationGraceMs = 2 * signingKeyCacheMs;

/** Keys whose private half everybody knows: ELEMENTSEC-2025-1670. */
const bannedKeys: readonly string[] = ["l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og"];

/** Whether a public key, in unpadded base64, proves nothing. */
export function isBannedKey(publicKey: string): boolean {
  return bannedKeys.includes(publicKey);
}

/**
 * Asks a server for its own keys. The request bears no signature: else each of two servers would first have to have the
 * other's keys.
 * @see https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server
 */
export function serverKeysRequest(destination: ServerName): PeerRequest {
  const path = "/_matrix/key/v2/server";
  return { destination, method: "GET", path, content: null, isSigned: false, timeoutMs, maxBytes: maxResponseBytes };
}

/**
 * Asks a key server for keys of others.
 * @param wanted server → key id → until when it should be valid, ms since epoch
 * @see https://spec.matrix.org/v1.19/server-server-api/#post_matrixkeyv2query
 */
export function keyQueryRequest(
  destination: ServerName,
  wanted: ReadonlyMap<ServerName, ReadonlyMap<string, number>>,
): PeerRequest {
  const serverKeys = [...wanted].map(([server, keys]) => {
    const criteria = [...keys].map(([keyId, validAt]) => [keyId, { minimum_valid_until_ts: validAt }]);
    return [server, Object.fromEntries(criteria)];
  });
  return {
    destination,
    method: "POST",
    path: "/_matrix/key/v2/query",
    content: JSON.stringify({ server_keys: Object.fromEntries(serverKeys) }),
    isSigned: true,
    timeoutMs,
    maxBytes: maxQueryBytes,
  };
}

/**
 * Checks what a server has published. A key counts as in use only if the server has signed with it, so that nobody can
 * publish a key of somebody else as their own. That the answer came from the server itself is for TLS to prove.
 *
 * @param response as {@link parseSignedJson} gives it
 * @returns null when it is not of the server, or signed by none of its keys.
 * @see https://spec.matrix.org/v1.19/server-server-api/#publishing-keys
 */
export function checkServerKeys(response: JsonObject, serverName: ServerName, nowMs: number): PublishedKeys | null {
  if (stringField(response, "server_name") !== serverName) return null;
  const validUntil = numberValue(field(response, "valid_until_ts"));
  const current = keysOf(response, "verify_keys").map(([keyId, key]) => [keyId, key.publicKey] as const);
  const proven = new Set(validSignatures(response, serverName, new Map(current)));
  if (validUntil === null || proven.size === 0) return null;
  // A key that is given up in the future must not count for longer than one in use either.
  const bounded = (ts: number) => Math.floor(Math.max(0, Math.min(ts, nowMs + maxValidityMs)));
  const keys = new Map<string, VerifyKey>();
  for (const [keyId, { publicKey, expiredTs }] of keysOf(response, "old_verify_keys")) {
    if (expiredTs === null) continue;
    keys.set(keyId, { key: publicKey, validUntilTs: bounded(expiredTs), expiredTs: bounded(expiredTs) });
  }
  for (const [keyId, key] of current) {
    if (proven.has(keyId)) keys.set(keyId, { key, validUntilTs: bounded(validUntil), expiredTs: null });
  }
  return { keys, response };
}

interface ListedKey {
  readonly publicKey: string;
  readonly expiredTs: number | null;
}

function keysOf(response: JsonObject, name: "verify_keys" | "old_verify_keys"): [string, ListedKey][] {
  const listed = Object.entries(objectField(response, name) ?? {}).slice(0, maxKeys);
  return listed.flatMap(([keyId, entry]) => {
    const bytes = isObject(entry) ? decodeBase64(stringField(entry, "key") ?? "") : null;
    if (!isObject(entry) || bytes?.length !== 32 || !/^ed25519:[^\s]{1,240}$/.test(keyId)) return [];
    const publicKey = encodeBase64(bytes);
    if (isBannedKey(publicKey)) return [];
    return [[keyId, { publicKey, expiredTs: numberValue(field(entry, "expired_ts")) }]];
  });
}

/** The ids of those keys with which a server has validly signed an object. */
function validSignatures(object: JsonObject, signer: ServerName, keys: VerifyKeys): string[] {
  const canonical = checkCanonical(object, "lenient", ["signatures", "unsigned"]);
  const signatures = objectField(signaturesOf(object), signer);
  if (!canonical.ok || signatures === null) return [];
  const message = Buffer.from(canonical.text, "utf8");
  return [...keys.keys()].filter((keyId) => {
    const signature = stringField(signatures, keyId);
    return signature !== null && isValidSignature(message, signature, keys.get(keyId) ?? "");
  });
}

/**
 * Whether a server has signed an object with at least one of these keys.
 * @see https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature
 */
export function isSignedBy(object: JsonObject, signer: ServerName, keys: VerifyKeys): boolean {
  return validSignatures(object, signer, keys).length > 0;
}

/**
 * The answers in the list of a key server, unchecked.
 * @see https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
 */
export function parseKeyQueryAnswer(text: string): JsonObject[] {
  const list = field(parseKeyAnswer(text) ?? {}, "server_keys");
  return Array.isArray(list) ? list.filter(isObject) : [];
}

/** An answer about keys as an object, its numbers as they were signed; null when it is none. */
export function parseKeyAnswer(text: string): JsonObject | null {
  try {
    const answer = parseSignedJson(text);
    return isObject(answer) ? answer : null;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return null;
    throw thrown;
  }
}

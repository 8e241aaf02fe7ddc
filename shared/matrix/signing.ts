import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { decodeBase64, encodeBase64 } from "../base64.ts";
import type { RandomSource } from "../clock.ts";
import { parseUserId, type ServerName, serverNameOf } from "../ids.ts";
import { field, isObject, type JsonObject, objectField, stringField, withFields } from "../json.ts";
import { type CanonicalMode, canonicalJson, checkCanonical } from "./canonical-json.ts";
import { canonicalMode, signaturesOf, signedText, withContentHash } from "./hashes.ts";
import { redact } from "./redaction.ts";
import type { RoomVersionRules } from "./room-version.ts";
import { scratchUtf8 } from "./scratch-utf8.ts";

/** An Ed25519 signing key as plain data, so that it travels between actors. */
export interface SigningKey {
  /** `ed25519:<version>` */
  readonly keyId: string;
  /** 32 bytes, unpadded base64. */
  readonly seed: string;
}

/** Verify keys of one server: key id → public key, unpadded base64. */
export type VerifyKeys = ReadonlyMap<string, string>;

const unsignedKeys: readonly string[] = ["signatures", "unsigned"];

/** What precedes a raw Ed25519 key in its DER forms (RFC 8410). */
const pkcs8Prefix = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]);
const spkiPrefix = Uint8Array.from([48, 42, 48, 5, 6, 3, 43, 101, 112, 3, 33, 0]);
const keyBytes = 32;
const signatureBytes = 64;

/** Most verifications for one third-party invite: an event has room for 600 signatures, and another for 1,000 keys. */
const maxInviteChecks = 1_000;

/** Imported keys by their base64; the oldest go first, so that foreign keys cannot fill the memory. */
const maxCachedKeys = 1_000;
const privateKeys = new Map<string, KeyObject>();
const publicKeys = new Map<string, KeyObject>();

/** Makes a signing key. `random` must be the system's cryptographic source in production. */
export function generateSigningKey(random: RandomSource): SigningKey {
  const version = encodeBase64(random.bytes(6)).replace(/[+/]/g, "_");
  return { keyId: `ed25519:${version}`, seed: encodeBase64(random.bytes(keyBytes)) };
}

/** The public half of a signing key, unpadded base64. @see https://spec.matrix.org/v1.19/server-server-api/#publishing-keys */
export function publicKeyOf(key: SigningKey): string {
  const der = createPublicKey(importPrivateKey(key)).export({ format: "der", type: "spki" });
  return encodeBase64(new Uint8Array(der).subarray(spkiPrefix.length));
}

/** The Ed25519 signature of bytes, unpadded base64. What it signs is for the caller to encode. */
export function signBytes(message: Uint8Array, key: SigningKey): string {
  return encodeBase64(sign(null, message, importPrivateKey(key)));
}

/**
 * Signs a JSON object: adds `signatures.<signer>.<key id>` and keeps signatures that are there.
 *
 * @throws Error when the object is not canonical JSON.
 * @see https://spec.matrix.org/v1.19/appendices/#signing-details
 */
export function signJson(
  object: JsonObject,
  signer: ServerName,
  key: SigningKey,
  mode: CanonicalMode = "strict",
): JsonObject {
  return addSignature(object, signer, key.keyId, signatureOver(object, key, mode));
}

function signatureOver(object: JsonObject, key: SigningKey, mode: CanonicalMode): string {
  return signBytes(scratchUtf8(canonicalJson(object, unsignedKeys, mode)), key);
}

function addSignature(object: JsonObject, signer: string, keyId: string, signature: string): JsonObject {
  const signatures = signaturesOf(object);
  const ofSigner = withFields(objectField(signatures, signer) ?? {}, { [keyId]: signature });
  return withFields(object, { signatures: withFields(signatures, { [signer]: ofSigner }) });
}

/**
 * Hashes, redacts and signs an event, and puts hash and signature on the whole event.
 * @see https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events
 */
export function signEvent(event: JsonObject, rules: RoomVersionRules, signer: ServerName, key: SigningKey): JsonObject {
  return countersignEvent(withContentHash(event, rules), rules, signer, key);
}

/**
 * Adds a signature to an event that is hashed already: an invite for our user, or a restricted join that we authorize.
 * @see https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
export function countersignEvent(
  event: JsonObject,
  rules: RoomVersionRules,
  signer: ServerName,
  key: SigningKey,
): JsonObject {
  return addSignature(event, signer, key.keyId, signatureOver(redact(event, rules), key, canonicalMode(rules)));
}

/**
 * Whether a server has signed an event: at least one signature is by a key of `keys`, and all that are, are valid. Signatures by
 * unknown keys or algorithms are skipped. Holds for the full event and its redacted copy alike. Which servers must have
 * signed: {@link requiredSigners}. Which keys count at the event's time is for the caller to choose.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
export function verifyEvent(event: JsonObject, rules: RoomVersionRules, signer: ServerName, keys: VerifyKeys): boolean {
  const text = signedText(event, rules);
  return text !== null && hasSigned(event, signer, keys, text);
}

/** @param text what the signatures on the object are over. */
function hasSigned(object: JsonObject, signer: string, keys: VerifyKeys, text: string): boolean {
  const signatures = objectField(signaturesOf(object), signer);
  if (signatures === null) return false;
  const message = scratchUtf8(text);
  let verified = false;
  for (const [keyId, signature] of Object.entries(signatures)) {
    const publicKey = keyId.startsWith("ed25519:") ? keys.get(keyId) : undefined;
    if (publicKey === undefined) continue;
    if (typeof signature !== "string" || !isValidSignature(message, signature, publicKey)) return false;
    verified = true;
  }
  return verified;
}

/**
 * Whether any Ed25519 signature on an object, in whosever name, is by one of the keys: how a third-party invite is proven.
 * @see https://spec.matrix.org/v1.19/server-server-api/#verifying-the-invite
 */
export function isSignedByAnyKey(object: JsonObject, publicKeys: readonly string[]): boolean {
  if (!checkCanonical(object).ok) return false;
  const message = scratchUtf8(canonicalJson(object, unsignedKeys));
  const signatures = Object.values(signaturesOf(object)).flatMap((ofServer) =>
    isObject(ofServer) ? Object.entries(ofServer) : [],
  );
  let checksLeft = maxInviteChecks;
  for (const [keyId, signature] of signatures) {
    if (!keyId.startsWith("ed25519:") || typeof signature !== "string") continue;
    for (const key of publicKeys) {
      if (checksLeft-- === 0) return false;
      if (isValidSignature(message, signature, key)) return true;
    }
  }
  return false;
}

/** Checks one signature over bytes. False for a key or signature that is not well-formed. */
export function isValidSignature(message: Uint8Array, signature: string, publicKey: string): boolean {
  const bytes = decodeBase64(signature);
  const key = importPublicKey(publicKey);
  return bytes !== null && bytes.length === signatureBytes && key !== null && verify(null, message, key, bytes);
}

/**
 * The ids of the keys with which a server claims to have signed, of algorithms that we understand.
 * @see https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature
 */
export function signingKeyIds(object: JsonObject, signer: string): string[] {
  return Object.keys(objectField(signaturesOf(object), signer) ?? {}).filter((keyId) => keyId.startsWith("ed25519:"));
}

/**
 * The servers that must have signed an event: the sender's, except for an invite by third-party id; in room versions 1
 * and 2 that of the event id; from version 8 that of the user who authorizes a restricted join.
 *
 * @returns null when an id from which a server would follow is not valid.
 * @see https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
export function requiredSigners(event: JsonObject, rules: RoomVersionRules): ReadonlySet<ServerName> | null {
  const signers = new Set<ServerName>();
  const content = objectField(event, "content") ?? {};
  const isMember = stringField(event, "type") === "m.room.member";
  const membership = isMember ? stringField(content, "membership") : null;
  const add = (userId: string | null): boolean => {
    const parsed = userId === null ? null : parseUserId(userId);
    if (parsed !== null) signers.add(serverNameOf(parsed));
    return parsed !== null;
  };

  const isThirdPartyInvite = membership === "invite" && Object.hasOwn(content, "third_party_invite");
  if (!isThirdPartyInvite && !add(stringField(event, "sender"))) return null;
  // Event ids of versions 1 and 2 have the shape of a user id but for the sigil.
  if (rules.eventIdFormat === "serverChosen" && !add(stringField(event, "event_id")?.replace(/^\$/, "@") ?? null)) {
    return null;
  }
  const hasAuthoriser =
    rules.allowsRestrictedJoin && isMember && Object.hasOwn(content, "join_authorised_via_users_server");
  if (hasAuthoriser && !add(stringField(content, "join_authorised_via_users_server"))) return null;
  return signers;
}

/** Whether an object carries any signature in a server's name, without checking it. */
export function hasSignatureOf(event: JsonObject, signer: ServerName): boolean {
  const signatures = field(signaturesOf(event), signer);
  return signatures !== undefined && isObject(signatures) && Object.keys(signatures).length > 0;
}

function importPrivateKey(key: SigningKey): KeyObject {
  const cached = privateKeys.get(key.seed);
  if (cached !== undefined) return cached;
  const seed = decodeBase64(key.seed);
  if (seed === null || seed.length !== keyBytes) throw new Error("a signing key's seed must be 32 bytes of base64");
  const der = Buffer.concat([pkcs8Prefix, seed]);
  return remember(privateKeys, key.seed, createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
}

/** Null for what is not a key. */
function importPublicKey(base64: string): KeyObject | null {
  const cached = publicKeys.get(base64);
  if (cached !== undefined) return cached;
  const bytes = base64.length <= signatureBytes ? decodeBase64(base64) : null;
  if (bytes === null || bytes.length !== keyBytes) return null;
  return remember(
    publicKeys,
    base64,
    createPublicKey({ key: Buffer.concat([spkiPrefix, bytes]), format: "der", type: "spki" }),
  );
}

function remember<Value>(cache: Map<string, Value>, name: string, value: Value): Value {
  const oldest = cache.size >= maxCachedKeys ? cache.keys().next() : null;
  if (oldest !== null && !oldest.done) cache.delete(oldest.value);
  cache.set(name, value);
  return value;
}

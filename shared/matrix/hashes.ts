import { createHash } from "node:crypto";
import { decodeBase64, encodeBase64, encodeBase64Url } from "../base64.ts";
import { type JsonObject, objectField, stringField, withFields } from "../json.ts";
import { type CanonicalMode, canonicalJson } from "./canonical-json.ts";
import { redact } from "./redaction.ts";
import type { RoomVersionRules } from "./room-version.ts";

/** How the room version's events are encoded for hashing and signing. */
export function canonicalMode(rules: RoomVersionRules): CanonicalMode {
  return rules.isStrictCanonicalJson ? "strict" : "lenient";
}

/**
 * The content hash of an event: SHA-256 over all of it except `unsigned`, `signatures` and `hashes`, in unpadded base64.
 * @see https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event
 */
export function contentHash(event: JsonObject, rules: RoomVersionRules): string {
  return encodeBase64(sha256(canonicalJson(event, ["unsigned", "signatures", "hashes"], canonicalMode(rules))));
}

/**
 * Whether an event's `hashes.sha256` is its content hash. When it is not, the caller goes on with the redacted event.
 * @see https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
export function hasValidContentHash(event: JsonObject, rules: RoomVersionRules): boolean {
  const claimed = stringField(objectField(event, "hashes") ?? {}, "sha256");
  const bytes = claimed === null ? null : decodeBase64(claimed);
  return bytes !== null && encodeBase64(bytes) === contentHash(event, rules);
}

/** The reference hash as bytes: SHA-256 over the redacted event without `signatures` and `unsigned`. */
function referenceHashBytes(event: JsonObject, rules: RoomVersionRules): Uint8Array {
  return sha256(canonicalJson(redact(event, rules), ["signatures", "unsigned"], canonicalMode(rules)));
}

/**
 * The reference hash of an event, in the base64 of the room version's event ids (unpadded; URL-safe from version 4).
 * @see https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event
 */
export function referenceHash(event: JsonObject, rules: RoomVersionRules): string {
  const bytes = referenceHashBytes(event, rules);
  return rules.eventIdFormat === "base64Url" ? encodeBase64Url(bytes) : encodeBase64(bytes);
}

function sha256(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text, "utf8").digest());
}

/** An event with its content hash set, replacing any other. @see https://spec.matrix.org/v1.19/server-server-api/#adding-hashes-and-signatures-to-outgoing-events */
export function withContentHash(event: JsonObject, rules: RoomVersionRules): JsonObject {
  return withFields(event, {
    hashes: withFields(objectField(event, "hashes") ?? {}, { sha256: contentHash(event, rules) }),
  });
}

/** The signatures of an event by server name; empty when it has none that could be read. */
export function signaturesOf(event: JsonObject): JsonObject {
  return objectField(event, "signatures") ?? {};
}

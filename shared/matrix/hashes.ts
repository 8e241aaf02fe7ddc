import { hash } from "node:crypto";
import { decodeBase64, encodeBase64 } from "../base64.ts";
import { type JsonObject, objectField, stringField, withFields } from "../json.ts";
import { type CanonicalMode, canonicalJson, checkCanonical } from "./canonical-json.ts";
import { redact } from "./redaction.ts";
import type { RoomVersionRules } from "./room-version.ts";
import { scratchUtf8 } from "./scratch-utf8.ts";

/** 32 bytes in base64, without padding. */
const digestLength = 43;

const notHashedKeys: readonly string[] = ["unsigned", "signatures", "hashes"];
const notSignedKeys: readonly string[] = ["unsigned", "signatures"];

/** How the room version's events are encoded for hashing and signing. */
export function canonicalMode(rules: RoomVersionRules): CanonicalMode {
  return rules.isStrictCanonicalJson ? "strict" : "lenient";
}

/**
 * The content hash of an event: SHA-256 over all of it except `unsigned`, `signatures` and `hashes`, in unpadded base64.
 * @see https://spec.matrix.org/v1.19/server-server-api/#calculating-the-content-hash-for-an-event
 */
export function contentHash(event: JsonObject, rules: RoomVersionRules): string {
  return sha256(canonicalJson(event, notHashedKeys, canonicalMode(rules)));
}

/**
 * Whether an event's `hashes.sha256` is its content hash. When it is not, the caller goes on with the redacted event.
 * @see https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
export function hasValidContentHash(event: JsonObject, rules: RoomVersionRules): boolean {
  const claimed = stringField(objectField(event, "hashes") ?? {}, "sha256");
  if (claimed === null) return false;
  const computed = contentHash(event, rules);
  if (claimed === computed) return true;
  // The same bytes may have been written with padding.
  const bytes = decodeBase64(claimed);
  return bytes !== null && encodeBase64(bytes) === computed;
}

interface SignedForm {
  readonly rules: RoomVersionRules;
  /** Null: it has none, because it is not canonical JSON. */
  readonly text: string | null;
  hash: string | null;
}

/** As long as an event is there, so is its form: whoever receives it asks for its id, its signatures and its id again. */
const forms = new WeakMap<JsonObject, SignedForm>();

function signedForm(event: JsonObject, rules: RoomVersionRules): SignedForm {
  const known = forms.get(event);
  if (known?.rules === rules) return known;
  const canonical = checkCanonical(redact(event, rules), canonicalMode(rules), notSignedKeys);
  const form: SignedForm = { rules, text: canonical.ok ? canonical.text : null, hash: null };
  forms.set(event, form);
  return form;
}

/**
 * What the servers of an event sign, and its reference hash is over: the redacted event as canonical JSON.
 *
 * @param event not to be changed afterwards: PDUs never are.
 * @returns null when the event is not canonical JSON.
 * @see https://spec.matrix.org/v1.19/server-server-api/#signing-events
 */
export function signedText(event: JsonObject, rules: RoomVersionRules): string | null {
  return signedForm(event, rules).text;
}

/**
 * The reference hash of an event, in the base64 of the room version's event ids (unpadded; URL-safe from version 4).
 * @see https://spec.matrix.org/v1.19/server-server-api/#calculating-the-reference-hash-for-an-event
 */
export function referenceHash(event: JsonObject, rules: RoomVersionRules): string {
  const form = signedForm(event, rules);
  if (form.text === null) throw new Error("an event is not canonical JSON");
  form.hash ??= sha256(form.text, rules.eventIdFormat === "base64Url" ? "base64url" : "base64");
  return form.hash;
}

/** Of text in UTF-8, in unpadded base64. */
function sha256(text: string, encoding: "base64" | "base64url" = "base64"): string {
  return hash("sha256", scratchUtf8(text), encoding).slice(0, digestLength);
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

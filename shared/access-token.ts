/**
 * The form of access, refresh and OpenID tokens: `tsr_<base64url localpart>_<secret>_<crc>`, `tsrr_…` and `tso_…`.
 *
 * The localpart in clear lets the gateway reach the right UserActor without a look-up; the checksum lets it drop what
 * was never a token of this server; the 256-bit secret proves it, and only its hash is ever stored.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { encodeBase64Url } from "./base64.ts";
import type { RandomSource } from "./clock.ts";

export type TokenKind = "access" | "refresh" | "openId";

export interface ParsedToken {
  /** The owner as the token claims it; only the owner's actor can tell whether it is true. */
  localpart: string;
  secret: string;
}

const prefixes: Readonly<Record<TokenKind, string>> = { access: "tsr_", refresh: "tsrr_", openId: "tso_" };
const secretBytes = 32;
/** Characters of base64url for 32 and for 4 bytes. */
const secretLength = 43;
const checksumLength = 6;
/** A localpart is at most 255 bytes, 340 characters of base64url. */
const maxTokenLength = 5 + 340 + 1 + secretLength + 1 + checksumLength;
// Secret and checksum are taken by their length from the end: base64url has `_` in its alphabet.
const tokenForm = /^([A-Za-z0-9_-]+)_([A-Za-z0-9_-]{43})_([A-Za-z0-9_-]{6})$/;

/** Makes a new token. `random` must be the system's cryptographic source in production. */
export function makeToken(kind: TokenKind, localpart: string, random: RandomSource): { token: string; secret: string } {
  const owner = encodeBase64Url(new TextEncoder().encode(localpart));
  const secret = encodeBase64Url(random.bytes(secretBytes));
  const body = `${prefixes[kind]}${owner}_${secret}`;
  return { token: `${body}_${checksum(body)}`, secret };
}

/** Parses an access token; null for what this server cannot have made. Proves nothing yet. */
export function parseAccessToken(token: string): ParsedToken | null {
  return parseToken("access", token);
}

/** Parses a refresh token; null for what this server cannot have made. Proves nothing yet. */
export function parseRefreshToken(token: string): ParsedToken | null {
  return parseToken("refresh", token);
}

/** Parses an OpenID token; null for what this server cannot have made. Proves nothing yet. */
export function parseOpenIdToken(token: string): ParsedToken | null {
  return parseToken("openId", token);
}

/** What is stored of a token in place of its secret: SHA-256. */
export function hashSecret(secret: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(secret, "utf8").digest());
}

function parseToken(kind: TokenKind, token: string): ParsedToken | null {
  const prefix = prefixes[kind];
  if (token.length > maxTokenLength || !token.startsWith(prefix)) return null;
  const [, owner, secret, sum] = tokenForm.exec(token.slice(prefix.length)) ?? [];
  if (owner === undefined || secret === undefined || sum === undefined) return null;
  if (checksum(token.slice(0, -checksumLength - 1)) !== sum) return null;
  const localpart = decodeOwner(owner);
  return localpart === null ? null : { localpart, secret };
}

/** Null unless `owner` is exactly what {@link makeToken} writes, so that one token has one form. */
function decodeOwner(owner: string): string | null {
  const bytes = Uint8Array.from(Buffer.from(owner, "base64url"));
  if (encodeBase64Url(bytes) !== owner) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function checksum(body: string): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, crc32(body));
  return encodeBase64Url(bytes);
}

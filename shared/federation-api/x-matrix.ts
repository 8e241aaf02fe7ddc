/**
 * The signature that every request between homeservers carries.
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
import { Buffer } from "node:buffer";
import { parseServerName, type ServerName } from "../ids.ts";
import { type JsonObject, type JsonValue, maxSignedJsonDepth } from "../json.ts";
import { canonicalJson } from "../matrix/canonical-json.ts";
import { isValidSignature, type SigningKey, signBytes, type VerifyKeys } from "../matrix/signing.ts";

/** What the signature is over. */
export interface SignedRequest {
  readonly origin: ServerName;
  readonly destination: ServerName;
  readonly method: string;
  /** Path and query exactly as they go over the wire. */
  readonly uri: string;
  /** The body as `parseExactly` gives it; null: none. */
  readonly content: JsonValue;
}

/** One signature that a request claims to have. */
export interface RequestSignature {
  readonly origin: ServerName;
  /** Null: an older server, which does not say whom it means. */
  readonly destination: string | null;
  readonly keyId: string;
  readonly signature: string;
}

/** Signatures on one request, at most: servers have one key, or two while they change it. */
const maxSignatures = 10;

/**
 * What is signed: the request as a JSON object. Numbers of the body may be such as only rooms of versions 1 to 5 allow.
 *
 * @throws Error when the body has no canonical JSON, which no body has that was parsed from outside.
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
function signedBytes({ origin, destination, method, uri, content }: SignedRequest): Uint8Array {
  const request: JsonObject = { method, uri, origin, destination };
  if (content !== null) request.content = content;
  return Buffer.from(canonicalJson(request, [], "lenient", maxSignedJsonDepth + 1), "utf8");
}

/**
 * Signs a request.
 *
 * @returns the value of the header `Authorization`.
 * @throws Error when the body has no canonical JSON.
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
export function authorizationHeader(request: SignedRequest, key: SigningKey): string {
  const signature = signBytes(signedBytes(request), key);
  const { origin, destination } = request;
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${signature}"`;
}

/**
 * Whether a request is signed by its origin: at least one signature is by a key of `keys`, and all that are, are valid.
 *
 * @param signatures what {@link parseAuthorization} gave, all by `request.origin`.
 * @param keys the origin's keys that count for requests.
 * @see https://spec.matrix.org/v1.19/appendices/#checking-for-a-signature
 */
export function verifyRequest(
  request: SignedRequest,
  signatures: readonly RequestSignature[],
  keys: VerifyKeys,
): boolean {
  const message = signedBytes(request);
  const checks = signatures.flatMap(({ keyId, signature }) => {
    const publicKey = keys.get(keyId);
    return publicKey === undefined ? [] : [isValidSignature(message, signature, publicKey)];
  });
  return checks.length > 0 && checks.every((isValid) => isValid);
}

/** RFC 9110, section 5.6.2. */
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** "the recipient should allow colons to be included in values without requiring the value to be enclosed in quotes" */
const bareValue = "[!#$%&'*+.^_`|~0-9A-Za-z:-]+";
const quotedValue = '"((?:[^"\\\\]|\\\\.)*)"';

const schemePattern = /X-Matrix +(?=[^ =])/iy;
const parameterPattern = new RegExp(`(${token})[ \\t]*=[ \\t]*(?:${quotedValue}|(${bareValue}))`, "y");
const commaPattern = /[ \t]*,[ \t]*/y;

/**
 * Parses the header `Authorization` of a request by a server. Several such headers arrive as one, with commas between
 * them.
 *
 * @returns null when it is not of this scheme, not well-formed, names a parameter twice, lacks one, or speaks for several
 *   servers at once.
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
export function parseAuthorization(header: string): RequestSignature[] | null {
  const credentials = splitCredentials(header);
  if (credentials === null || credentials.length > maxSignatures) return null;
  const signatures: RequestSignature[] = [];
  for (const parameters of credentials) {
    const origin = parseServerName(parameters.get("origin") ?? "");
    const [keyId, signature] = [parameters.get("key"), parameters.get("sig")];
    if (origin === null || keyId === undefined || signature === undefined) return null;
    if (signatures.some((other) => other.origin !== origin)) return null;
    signatures.push({ origin, destination: parameters.get("destination") ?? null, keyId, signature });
  }
  return signatures;
}

/** The parameters of each credentials, by their names in lower case. "Unknown parameters are ignored." */
function splitCredentials(header: string): Map<string, string>[] | null {
  const all: Map<string, string>[] = [];
  let index = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = index;
    const match = pattern.exec(header);
    if (match !== null) index = pattern.lastIndex;
    return match;
  };
  for (;;) {
    if (take(schemePattern) !== null) all.push(new Map());
    const parameters = all.at(-1);
    const match = take(parameterPattern);
    if (parameters === undefined || match === null) return null;
    const [, name = "", quoted, bare] = match;
    if (parameters.has(name.toLowerCase())) return null;
    // "a backslash-character pair is replaced by the character that follows the backslash"
    parameters.set(name.toLowerCase(), bare ?? (quoted ?? "").replace(/\\(.)/g, "$1"));
    if (index === header.length) return all;
    if (take(commaPattern) === null) return null;
  }
}

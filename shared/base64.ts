import { Buffer } from "node:buffer";

/** Unpadded standard base64, as Matrix signs and hashes with. @see https://spec.matrix.org/v1.19/appendices/#unpadded-base64 */
export function encodeBase64(bytes: Uint8Array): string {
  return withoutPadding(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64"));
}

/** Unpadded URL-safe base64 (event ids from room version 4, tokens). */
export function encodeBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

/** Decodes padded or unpadded, standard or URL-safe base64; null when `text` is not base64. */
export function decodeBase64(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return null;
  const unpadded = withoutPadding(text);
  if (unpadded.length % 4 === 1) return null;
  return new Uint8Array(Buffer.from(unpadded, "base64"));
}

function withoutPadding(text: string): string {
  const padding = text.indexOf("=");
  return padding === -1 ? text : text.slice(0, padding);
}

const utf8 = new TextEncoder();

/** No UTF-16 unit has more than three bytes; room for nearly all events. */
const scratch = new Uint8Array(65_536);
const longestText = scratch.length / 3;

/**
 * Text in UTF-8, to be hashed, signed or verified at once: the bytes are good until the next call, so nobody may keep them.
 * That spares an array for each, which costs workerd more than the encoding.
 */
export function scratchUtf8(text: string): Uint8Array {
  if (text.length > longestText) return utf8.encode(text);
  return scratch.subarray(0, utf8.encodeInto(text, scratch).written);
}

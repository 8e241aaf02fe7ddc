/**
 * Numbers as they were written, for rooms of versions 1 to 5, whose events may hold integers that no double holds: a
 * depth of 2^63-1 was once sent into thousands of rooms, and a server that loses its last digits cannot verify what
 * follows. Such a number is kept as the engine's raw JSON, which `JSON.stringify` writes back digit for digit.
 *
 * @see https://spec.matrix.org/v1.19/appendices/#canonical-json
 * @see https://spec.matrix.org/v1.19/rooms/v1/#canonical-json
 */
import { field, isObject, type JsonObject, type JsonValue } from "../json.ts";

declare global {
  // Part of ECMAScript 2026; the compiler's library does not have it yet.
  interface JSON {
    rawJSON(text: string): JsonObject;
    isRawJSON(value: unknown): boolean;
    parse(
      text: string,
      reviver: (key: string, value: JsonValue, context: { readonly source?: string }) => JsonValue,
    ): JsonValue;
  }
}

/** Parses JSON, keeping numbers exact that a double would change. @throws SyntaxError when the text is not JSON. */
export function parseExactly(text: string): JsonValue {
  if (!mayLoseDigits.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_key: string, value: JsonValue, context: { readonly source?: string }) =>
    typeof value === "number" && context.source !== undefined && losesDigits(context.source, value)
      ? JSON.rawJSON(context.source)
      : value,
  );
}

/** A decimal, or an integer of so many digits that a double may not hold it. Seldom there, and keeping numbers is slow. */
const mayLoseDigits = /[0-9]{16}|[0-9]\.[0-9]/;

/** Integers beyond 2^53-1, and decimals that would be written otherwise, such as `1.0`. Exponents are resolved. */
function losesDigits(source: string, value: number): boolean {
  return /^-?[0-9]+(\.[0-9]+)?$/.test(source) && source !== "-0" && String(value) !== source;
}

/** The text of an exact number; null for every other value. */
export function exactNumberText(value: JsonValue): string | null {
  if (!isObject(value) || !JSON.isRawJSON(value)) return null;
  const text = field(value, "rawJSON");
  return typeof text === "string" ? text : null;
}

/** A number's value, exact or not, as the nearest double; null for what is no number. */
export function numberValue(value: JsonValue | undefined): number | null {
  if (typeof value === "number") return value;
  const text = value === undefined ? null : exactNumberText(value);
  return text === null ? null : Number(text);
}

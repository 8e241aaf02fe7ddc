import { errors, MatrixError } from "./errors.ts";
import { isObject, type JsonObject, type JsonValue, maxJsonDepth, maxSignedJsonDepth } from "./json.ts";
import { parseExactly } from "./matrix/exact-numbers.ts";

/**
 * Parses JSON text from outside: a body, or a filter in a query. Nesting is checked before anything is parsed: a value
 * that is too deep overflows the stack of whoever walks it, or hands it to an actor.
 *
 * @throws MatrixError M_NOT_JSON when it is not JSON or nested too deeply; M_BAD_JSON for what would silently become
 *   something else: text that no UTF-8 can carry (a lone surrogate), a number beyond what a double holds (`null`)
 * @see https://spec.matrix.org/v1.19/client-server-api/#api-standards
 */
export function parseJson(text: string): JsonValue {
  return parseChecked(text, maxJsonDepth, JSON.parse);
}

/**
 * Parses a body that another server has signed, keeping numbers as they were written, so that the signature can be
 * checked, and the events in it passed on.
 *
 * @throws MatrixError as {@link parseJson} does
 * @see https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */
export function parseSignedJson(text: string): JsonValue {
  return parseChecked(text, maxSignedJsonDepth, parseExactly);
}

/**
 * Parses an answer that lists events of anybody's making, each of which its reader checks by itself: one with a lone
 * surrogate, a number beyond what a double holds or too much nesting must not take the others with it. Where the nesting
 * is too deep for whoever walks it, it is cut off; that event is none all the same.
 *
 * @throws MatrixError M_NOT_JSON when it is not JSON
 */
export function parseEventLists(text: string): JsonValue {
  return parse(isDeeperThan(text, maxSignedJsonDepth) ? cutBelow(text, maxSignedJsonDepth) : text, parseExactly);
}

/** A part of a signed body without numbers that were kept as they were written; null where it is no object, or nested too deeply. */
export function plainObject(value: JsonValue): JsonObject | null {
  try {
    const plain = parseJson(JSON.stringify(value));
    return isObject(plain) ? plain : null;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return null;
    throw thrown;
  }
}

function parseChecked(text: string, maxDepth: number, parser: (text: string) => JsonValue): JsonValue {
  if (isDeeperThan(text, maxDepth)) throw errors.notJson(`The JSON is nested deeper than ${maxDepth}`);
  const value = parse(text, parser);
  // The walk over the value is paid for only where there can be something to find.
  if (mayHoldSurrogate.test(text) && !every(value, (leaf) => typeof leaf !== "string" || leaf.isWellFormed())) {
    throw errors.badJson("The JSON holds text with a lone surrogate");
  }
  if (mayOverflow.test(text) && !every(value, (leaf) => typeof leaf !== "number" || Number.isFinite(leaf))) {
    throw errors.badJson("The JSON holds a number beyond what a double holds");
  }
  return value;
}

/** An escape of a surrogate, paired or not. Unescaped, none can come in: what arrives is UTF-8. */
const mayHoldSurrogate = /\\u[dD][89a-fA-F]/;
/** An exponent of three digits, or so many digits that a smaller one is enough. */
const mayOverflow = /[eE]\+?0*[1-9][0-9]{2}|[0-9]{200}/;

function parse(text: string, parser: (text: string) => JsonValue): JsonValue {
  try {
    return parser(text);
  } catch {
    throw errors.notJson("This is not valid JSON");
  }
}

/** Whether brackets outside of strings nest deeper than `max`. */
function isDeeperThan(text: string, max: number): boolean {
  return walkBrackets(text, ({ depth }) => depth > max);
}

/** The text with `null` for every array and object that lies deeper than `max`. */
function cutBelow(text: string, max: number): string {
  const kept: string[] = [];
  let from = 0;
  walkBrackets(text, ({ index, depth, isOpening }) => {
    if (depth !== max + 1) return false;
    if (isOpening) kept.push(text.slice(from, index), "null");
    else from = index + 1;
    return false;
  });
  kept.push(text.slice(from));
  return kept.join("");
}

/** A bracket outside of strings, and how deep what it opens or closes is. */
interface Bracket {
  readonly index: number;
  readonly depth: number;
  readonly isOpening: boolean;
}

/** Runs over the text, since a parsed value may be too deep to walk, until `visit` says that it is enough. @returns whether it did */
function walkBrackets(text: string, visit: (bracket: Bracket) => boolean): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (inString) {
      if (code === backslash) index += 1;
      else if (code === quote) inString = false;
    } else if (code === quote) inString = true;
    else if (code === openBrace || code === openBracket) {
      depth += 1;
      if (visit({ index, depth, isOpening: true })) return true;
    } else if (code === closeBrace || code === closeBracket) {
      if (visit({ index, depth, isOpening: false })) return true;
      depth -= 1;
    }
  }
  return false;
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Whether every key, and every value that is no list and no object, passes. */
function every(value: JsonValue, passes: (leaf: JsonValue) => boolean): boolean {
  if (Array.isArray(value)) return value.every((entry) => every(entry, passes));
  if (!isObject(value)) return passes(value);
  return Object.entries(value).every(([key, entry]) => passes(key) && every(entry, passes));
}

/**
 * Canonical JSON: the one encoding that every server hashes and signs, and the checks that received text must pass
 * before `JSON.parse` hides what it was.
 *
 * @see https://spec.matrix.org/v1.19/appendices/#canonical-json
 */

import { isObject, type JsonObject, type JsonValue, maxJsonDepth } from "../json.ts";
import { exactNumberText, parseExactly } from "./exact-numbers.ts";

/** Whether a value is canonical JSON, and if not, why. */
export type CanonicalCheck =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: string };

/** A parsed value, or why the text is refused. */
export type ParsedJson =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly reason: string };

/** `strict`: what room versions 6 and later demand. `lenient`: what older rooms may hold; any finite number is written. */
export type CanonicalMode = "strict" | "lenient";

/** Signals a non-canonical value from deep inside the writer; never leaves this file except as a bug of the caller. */
class NotCanonical extends Error {}

/**
 * Encodes a value as canonical JSON.
 *
 * Strings are not checked to be NFC and lone surrogates are refused: they have no UTF-8 form.
 *
 * @param omit keys left out at the top level (`signatures`, `unsigned` …), so that callers need not copy the object.
 * @param maxDepth deepest nesting of arrays and objects.
 * @throws Error when the value is not canonical: for values from outside call {@link checkCanonical} before.
 * @see https://spec.matrix.org/v1.19/appendices/#canonical-json
 */
export function canonicalJson(
  value: JsonValue,
  omit: readonly string[] = [],
  mode: CanonicalMode = "strict",
  maxDepth: number = maxJsonDepth,
): string {
  // Where more nesting is allowed, it is counted from below zero.
  const outside = maxJsonDepth - maxDepth;
  const text = writeNatively(value, omit, outside);
  if (text !== null) return text;
  if (omit.length > 0 && isObject(value)) return writeObject(value, omit, outside + 1, mode);
  return write(value, outside, mode);
}

/**
 * Checks a value from outside against the rules of canonical JSON.
 *
 * @param omit keys left out at the top level, and not checked.
 * @returns its canonical JSON, or why it has none.
 * @see https://spec.matrix.org/v1.19/appendices/#canonical-json
 */
export function checkCanonical(
  value: JsonValue,
  mode: CanonicalMode = "strict",
  omit: readonly string[] = [],
  maxDepth: number = maxJsonDepth,
): CanonicalCheck {
  try {
    return { ok: true, text: canonicalJson(value, omit, mode, maxDepth) };
  } catch (thrown) {
    if (thrown instanceof NotCanonical) return { ok: false, reason: thrown.message };
    throw thrown;
  }
}

/**
 * By the engine's own writer, which takes a third of the time; in either mode. Null when it might write what is not
 * canonical: nearly all that is received and all that is stored has its keys in order already.
 */
function writeNatively(value: JsonValue, omit: readonly string[], depth: number): string | null {
  const kept = omit.length > 0 && isObject(value) ? withoutKeys(value, omit) : value;
  if (kept === undefined || !isInOrder(kept, depth)) return null;
  const text = JSON.stringify(kept);
  // Lone surrogates are written as escapes, and they alone.
  return text.includes("\\ud") ? null : text;
}

/** Itself, where it has none of the keys; undefined, where it cannot be copied by assignment. */
function withoutKeys(object: JsonObject, omit: readonly string[]): JsonObject | undefined {
  if (!omit.some((key) => Object.hasOwn(object, key))) return object;
  const copy: JsonObject = {};
  for (const key of Object.keys(object)) {
    const value = object[key];
    if (omit.includes(key)) continue;
    if (value === undefined || key === "__proto__") return undefined;
    copy[key] = value;
  }
  return copy;
}

/** Whether all keys are in order, all numbers canonical, and the nesting within its bound. */
function isInOrder(value: JsonValue, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isSafeInteger(value) && !Object.is(value, -0);
    case "object":
      if (value === null) return true;
      if (depth >= maxJsonDepth) return false;
      return Array.isArray(value) ? isArrayInOrder(value, depth + 1) : isObjectInOrder(value, depth + 1);
    default:
      return false;
  }
}

function isArrayInOrder(values: readonly JsonValue[], depth: number): boolean {
  for (const value of values) if (!isInOrder(value, depth)) return false;
  return true;
}

function isObjectInOrder(object: JsonObject, depth: number): boolean {
  let last = "";
  for (const key of Object.keys(object)) {
    const value = object[key];
    // A number kept as it was written is an object with this key.
    if (value === undefined || key === "rawJSON" || compareCodePoints(last, key) > 0) return false;
    if (!isInOrder(value, depth)) return false;
    last = key;
  }
  return true;
}

function write(value: JsonValue, depth: number, mode: CanonicalMode): string {
  switch (typeof value) {
    case "string":
      return writeString(value);
    case "number":
      return writeNumber(value, mode);
    case "boolean":
      return value ? "true" : "false";
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return writeArray(value, depth + 1, mode);
      return writeExactNumber(value, mode) ?? writeObject(value, [], depth + 1, mode);
    default:
      throw new NotCanonical(`a value of type ${typeof value} is not JSON`);
  }
}

/** ASCII without quotes, backslashes and control characters: most strings of an event, and nothing in them to escape. */
const plainText = /^[ !#-[\]-~]*$/;

function writeString(text: string): string {
  if (plainText.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw new NotCanonical("a string holds a lone surrogate");
  return JSON.stringify(text);
}

/** "Numbers in the JSON must be integers in the range [-(2**53)+1, (2**53)-1] … and negative zero -0 MUST NOT appear." */
function writeNumber(number: number, mode: CanonicalMode): string {
  if (mode === "strict") {
    if (!Number.isSafeInteger(number))
      throw new NotCanonical("a number is not an integer between -(2^53)+1 and (2^53)-1");
    if (Object.is(number, -0)) throw new NotCanonical("a number is negative zero");
    return String(number);
  }
  if (!Number.isFinite(number)) throw new NotCanonical("a number is not finite");
  // String() writes integers from 1e21 with an exponent; BigInt writes their digits.
  return Number.isInteger(number) ? BigInt(number).toString() : String(number);
}

/** The digits of a number kept as it was written; null for every other object. */
function writeExactNumber(value: JsonObject, mode: CanonicalMode): string | null {
  const text = exactNumberText(value);
  if (text !== null && mode === "strict") throw new NotCanonical("a number is not a canonical integer");
  return text;
}

function writeArray(values: readonly JsonValue[], depth: number, mode: CanonicalMode): string {
  assertDepth(depth);
  let text = "";
  for (const value of values) text += `${text === "" ? "" : ","}${write(value, depth, mode)}`;
  return `[${text}]`;
}

function writeObject(object: JsonObject, omit: readonly string[], depth: number, mode: CanonicalMode): string {
  assertDepth(depth);
  const keys = Object.keys(object);
  const arePlain = sortKeys(keys);
  let text = "";
  for (const key of keys) {
    if (omit.length > 0 && omit.includes(key)) continue;
    const value = object[key];
    if (value === undefined) throw new NotCanonical(`the key ${JSON.stringify(key)} has no value`);
    const name = arePlain ? `"${key}"` : writeString(key);
    text += `${text === "" ? "" : ","}${name}:${write(value, depth, mode)}`;
  }
  return `{${text}}`;
}

function assertDepth(depth: number): void {
  if (depth > maxJsonDepth) throw new NotCanonical(`nested deeper than ${maxJsonDepth}`);
}

/** Brings keys into the order of their code points. @returns whether there is nothing in them to escape */
function sortKeys(keys: string[]): boolean {
  let isSorted = true;
  let last = "";
  for (const key of keys) {
    if (!plainText.test(key)) {
      keys.sort(compareCodePoints);
      return false;
    }
    if (key < last) isSorted = false;
    last = key;
  }
  // What was canonical before has its keys in order already. Only surrogates sort otherwise by UTF-16 unit.
  if (!isSorted) keys.sort();
  return true;
}

/**
 * Orders strings by Unicode code point. `Array.sort` orders by UTF-16 unit, which puts U+10000 before U+FFFF.
 * @see https://spec.matrix.org/v1.19/appendices/#canonical-json
 */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

/** Surrogates (U+D800 to U+DFFF) stand for code points above every other UTF-16 unit. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

const quote = 0x22;
const backslash = 0x5c;

/**
 * Parses received text, refusing what `JSON.parse` silently changes: floats, exponents, `-0`, integers beyond 2^53-1,
 * lone surrogates; and nesting deeper than 64. Of two equal keys the last wins, as everywhere in Matrix.
 *
 * @see https://spec.matrix.org/v1.19/appendices/#canonical-json
 */
export function parseStrictJson(text: string): ParsedJson {
  const problem = scan(text, "strict");
  if (problem !== null) return { ok: false, reason: problem };
  return parseScanned(text, JSON.parse);
}

/**
 * Parses text of a room version that does not enforce canonical JSON (1 to 5): any number passes and keeps its digits,
 * the bounds on nesting and the refusal of lone surrogates stay.
 *
 * @see https://spec.matrix.org/v1.19/rooms/v1/#canonical-json
 */
export function parseLenientJson(text: string): ParsedJson {
  const problem = scan(text, "lenient");
  if (problem !== null) return { ok: false, reason: problem };
  return parseScanned(text, parseExactly);
}

function parseScanned(text: string, parse: (text: string) => JsonValue): ParsedJson {
  let value: JsonValue;
  try {
    value = parse(text);
  } catch {
    return { ok: false, reason: "not JSON" };
  }
  // A lone surrogate can only come in raw or as an escape; the walk over the value is paid for only then.
  if (!text.isWellFormed() || /\\u[dD][89a-fA-F]/.test(text)) {
    const check = checkCanonical(value, "lenient");
    if (!check.ok) return check;
  }
  return { ok: true, value };
}

/** Walks the text outside of strings, for nesting and numbers. Syntax is left to `JSON.parse`. */
function scan(text: string, mode: CanonicalMode): string | null {
  let depth = 0;
  let index = 0;
  while (index < text.length) {
    const unit = text.charCodeAt(index);
    if (unit === quote) {
      index = endOfString(text, index);
    } else if (unit === 0x7b || unit === 0x5b) {
      depth++;
      if (depth > maxJsonDepth) return `nested deeper than ${maxJsonDepth}`;
    } else if (unit === 0x7d || unit === 0x5d) {
      depth--;
    } else if (unit === 0x2d || (unit >= 0x30 && unit <= 0x39)) {
      const end = endOfNumber(text, index);
      const token = text.slice(index, end);
      if (mode === "strict" && !isCanonicalNumber(token)) return "a number is not a canonical integer";
      if (!Number.isFinite(Number(token))) return "a number is beyond what a double holds";
      index = end - 1;
    }
    index++;
  }
  return null;
}

/** The index of the quote that closes the string opened at `start`; the text's length when none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && /[0-9.eE+-]/.test(text.charAt(end))) end++;
  return end;
}

function isCanonicalNumber(token: string): boolean {
  return token !== "-0" && /^-?[0-9]+$/.test(token) && Number.isSafeInteger(Number(token));
}

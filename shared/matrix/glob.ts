/**
 * Glob-style matching without regular expressions: no pattern, however it is made, costs more than pattern length times
 * text length, and common ones cost one pass.
 *
 * @see https://spec.matrix.org/v1.19/appendices/#glob-style-matching
 */

/** One stretch of a pattern between two `*`; `?` stands for any one character. */
interface Segment {
  /** Code points, `anyCharacter` for `?`. Used when the segment has a `?`. */
  readonly codes: readonly number[];
  /** The whole segment when it has no `?`. */
  readonly literal: string | null;
}

const anyCharacter = -1;

/** A pattern, compiled once and matched often. */
export interface Glob {
  readonly segments: readonly Segment[];
}

/** Compiles a pattern. Matching is by code point: `?` matches an emoji as one character. */
export function compileGlob(pattern: string): Glob {
  return { segments: pattern.split("*").map(compileSegment) };
}

/** Compiles a pattern in which only `*` is special, as in filters. @see https://spec.matrix.org/v1.19/client-server-api/#filtering */
export function compileStarPattern(pattern: string): Glob {
  return { segments: pattern.split("*").map(literalSegment) };
}

/** A pattern in which nothing is special: the text itself. */
export function literalPattern(text: string): Glob {
  return { segments: [literalSegment(text)] };
}

function literalSegment(text: string): Segment {
  return { codes: [...text].map((char) => char.codePointAt(0) ?? anyCharacter), literal: text };
}

function compileSegment(text: string): Segment {
  if (!text.includes("?")) return literalSegment(text);
  const codes = [...text].map((char) => (char === "?" ? anyCharacter : (char.codePointAt(0) ?? anyCharacter)));
  return { codes, literal: null };
}

/** Whether the pattern matches the whole text. @see https://spec.matrix.org/v1.19/appendices/#glob-style-matching */
export function matchesGlob(glob: Glob, text: string): boolean {
  return findGlob(
    glob,
    text,
    (index) => index === 0,
    (index) => index === text.length,
  );
}

/**
 * Whether the pattern matches some substring that starts and ends at a word boundary: "the start or end of the value, or
 * any character not in the sets [A-Z], [a-z], [0-9] or _".
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#conditions-1
 */
export function matchesGlobInWords(glob: Glob, text: string): boolean {
  return findGlob(
    glob,
    text,
    (index) => index === 0 || !isWordUnit(text.charCodeAt(index - 1)),
    (index) => index === text.length || !isWordUnit(text.charCodeAt(index)),
  );
}

/** A check of a position between two characters. */
type Boundary = (index: number) => boolean;

/**
 * Places the segments from left to right, each as early as it fits. That is exact: an earlier place never takes away a
 * later segment's room. Only a pattern without `*` must hold both boundaries at once.
 */
function findGlob(glob: Glob, text: string, isStart: Boundary, isEnd: Boundary): boolean {
  const last = glob.segments.length - 1;
  let from = 0;
  for (const [index, segment] of glob.segments.entries()) {
    const bounds = { isStart: index === 0 ? isStart : null, isEnd: index === last ? isEnd : null };
    const end = findSegment(segment, text, from, bounds);
    if (end === null) return false;
    from = end;
  }
  return true;
}

/** Where a segment must start and end; null: anywhere. */
interface Bounds {
  readonly isStart: Boundary | null;
  readonly isEnd: Boundary | null;
}

/** Where the first occurrence from `from` on ends that keeps the bounds; null when there is none. */
function findSegment(segment: Segment, text: string, from: number, { isStart, isEnd }: Bounds): number | null {
  // What stands before a leading `*` or after a trailing one: the text's own ends are boundaries.
  if (segment.codes.length === 0 && isEnd === null) return from;
  if (segment.codes.length === 0 && isStart === null) return text.length;
  for (let start = from; start <= text.length; start++) {
    if (segment.literal !== null) {
      start = text.indexOf(segment.literal, start);
      if (start === -1) return null;
    }
    if (isStart !== null && !isStart(start)) continue;
    const end = segment.literal !== null ? start + segment.literal.length : matchAt(segment, text, start);
    if (end !== null && (isEnd === null || isEnd(end))) return end;
  }
  return null;
}

function matchAt({ codes }: Segment, text: string, start: number): number | null {
  if (isLowSurrogate(text.charCodeAt(start)) && isHighSurrogate(text.charCodeAt(start - 1))) return null;
  let index = start;
  for (const code of codes) {
    if (index >= text.length) return null;
    const unit = text.charCodeAt(index);
    const found = isHighSurrogate(unit) ? (text.codePointAt(index) ?? unit) : unit;
    if (code !== anyCharacter && code !== found) return null;
    index += found > 0xffff ? 2 : 1;
  }
  return index;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function isWordUnit(unit: number): boolean {
  return (unit >= 48 && unit <= 57) || (unit >= 65 && unit <= 90) || (unit >= 97 && unit <= 122) || unit === 95;
}

/** How names and search terms are folded, so that they meet. */

/** Longest text that is indexed for one room or user, in UTF-16 units. */
const maxIndexedLength = 2_000;
/** Longest search term that is looked at. */
const maxTermLength = 255;
/** Words of a search term that must all match; further ones are not looked at. */
const maxWords = 8;
/** The index holds substrings of this many characters. */
const indexedLength = 3;

/** Folds text: compatibility forms and case are the same, what cannot be typed is gone. */
export function foldText(text: string): string {
  return text
    .slice(0, maxIndexedLength)
    .toWellFormed()
    .normalize("NFKC")
    .toLowerCase()
    .replace(/\p{Cc}+/gu, " ")
    .trim();
}

/** The words of a search term. */
export interface SearchWords {
  /** Long enough for the index, as an FTS5 query in which each is an exact substring; null when there is none. */
  readonly query: string | null;
  /** Shorter ones, to be looked for in the text itself. */
  readonly short: readonly string[];
}

/** Splits a search term into words. Nothing in it is query syntax: each word is quoted. */
export function searchWords(term: string): SearchWords {
  const words = foldText(term.slice(0, maxTermLength))
    .split(/\s+/)
    .filter((word) => word !== "")
    .slice(0, maxWords);
  const long = words.filter((word) => [...word].length >= indexedLength);
  return {
    query: long.length === 0 ? null : long.map((word) => `"${word.replaceAll('"', '""')}"`).join(" AND "),
    short: words.filter((word) => [...word].length < indexedLength),
  };
}

/** The least text that sorts after every text that starts with `prefix`. */
export function afterPrefix(prefix: string): string {
  return `${prefix}\u{10ffff}`;
}

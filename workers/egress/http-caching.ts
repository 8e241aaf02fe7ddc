/** How long a `.well-known` without a word about it is kept: "The recommended sensible default is 24 hours." */
export const defaultCacheMs = 24 * 60 * 60 * 1000;

/**
 * How long an answer may be kept, by its `Cache-Control` and `Expires`; null when they do not say.
 * @see https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1
 */
export function freshForMs(headers: Headers, now: number): number | null {
  const directives = (headers.get("Cache-Control") ?? "").toLowerCase().split(",");
  const named = new Map(directives.map((directive) => splitDirective(directive)));
  if (named.has("no-store") || named.has("no-cache")) return 0;
  const maxAge = named.get("max-age");
  if (maxAge !== undefined && /^[0-9]{1,15}$/.test(maxAge)) {
    const age = headers.get("Age") ?? "0";
    return Math.max(0, Number(maxAge) - (/^[0-9]{1,15}$/.test(age) ? Number(age) : 0)) * 1000;
  }
  const expires = headers.get("Expires");
  if (expires === null) return null;
  const at = Date.parse(expires);
  // "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time in the past"
  return Number.isNaN(at) ? 0 : Math.max(0, at - now);
}

function splitDirective(directive: string): [name: string, value: string] {
  const equals = directive.indexOf("=");
  if (equals === -1) return [directive.trim(), ""];
  const value = directive.slice(equals + 1).trim();
  return [directive.slice(0, equals).trim(), value.replace(/^"(.*)"$/, "$1")];
}

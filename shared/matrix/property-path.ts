import { field, isObject, type JsonObject, type JsonValue } from "../json.ts";

/**
 * Splits a dot-separated path into property names: `\.` is a dot within a name and `\\` a backslash; any other backslash
 * stands for itself.
 *
 * @see https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */
export function parsePropertyPath(path: string): string[] {
  const names: string[] = [];
  let name = "";
  for (let index = 0; index < path.length; index++) {
    const char = path.charAt(index);
    const next = path.charAt(index + 1);
    if (char === "\\" && (next === "." || next === "\\")) {
      name += next;
      index++;
    } else if (char === ".") {
      names.push(name);
      name = "";
    } else {
      name += char;
    }
  }
  names.push(name);
  return names;
}

/** The property at a path; undefined when any step is missing or no object. Never reaches a prototype. */
export function propertyAt(object: JsonObject, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = object;
  for (const name of path) {
    if (value === undefined || !isObject(value)) return undefined;
    value = field(value, name);
  }
  return value;
}

import { field, type JsonObject, type JsonValue } from "../../json.ts";

/**
 * What an `m.room.canonical_alias` names, the main alias and the others, unchecked: some may be no aliases at all.
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomcanonical_alias
 */
export function aliasesIn(content: JsonObject): JsonValue[] {
  const alias = field(content, "alias");
  const others = field(content, "alt_aliases");
  const all: JsonValue[] = Array.isArray(others) ? [...others] : [];
  // "If not present, null, or empty the room should be considered to have no canonical alias."
  if (alias !== undefined && alias !== null && alias !== "") all.push(alias);
  return all;
}

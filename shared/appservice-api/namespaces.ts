import type { RoomAlias, UserId } from "../ids.ts";
import { field, isObject, type JsonObject, objectField, stringField } from "../json.ts";

/** Compiled once for each list of registrations: an actor's configuration never changes while it lives. */
const compiled = new WeakMap<readonly JsonObject[], { users: RegExp[]; aliases: RegExp[] }>();

/**
 * Whether an application service has claimed a user id for itself.
 * @see https://spec.matrix.org/v1.19/application-service-api/#registration
 */
export function isExclusiveUser(appservices: readonly JsonObject[], userId: UserId): boolean {
  return exclusiveOf(appservices).users.some((pattern) => pattern.test(userId));
}

/**
 * Whether an application service has claimed a room alias for itself.
 * @see https://spec.matrix.org/v1.19/application-service-api/#registration
 */
export function isExclusiveAlias(appservices: readonly JsonObject[], alias: RoomAlias): boolean {
  return exclusiveOf(appservices).aliases.some((pattern) => pattern.test(alias));
}

function exclusiveOf(appservices: readonly JsonObject[]): { users: RegExp[]; aliases: RegExp[] } {
  const known = compiled.get(appservices);
  if (known !== undefined) return known;
  const patterns = {
    users: appservices.flatMap((registration) => exclusivePatterns(registration, "users")),
    aliases: appservices.flatMap((registration) => exclusivePatterns(registration, "aliases")),
  };
  compiled.set(appservices, patterns);
  return patterns;
}

/**
 * Anchored at the start only, as the servers that bridges are written for do.
 * @throws SyntaxError for an expression that does not compile: the operator's registration file is wrong.
 */
function exclusivePatterns(registration: JsonObject, kind: "users" | "aliases"): RegExp[] {
  const list = field(objectField(registration, "namespaces") ?? {}, kind);
  if (!Array.isArray(list)) return [];
  return list
    .filter((entry) => isObject(entry))
    .filter((entry) => field(entry, "exclusive") === true)
    .map((entry) => stringField(entry, "regex"))
    .filter((regex) => regex !== null)
    .map((regex) => new RegExp(`^(?:${regex})`));
}

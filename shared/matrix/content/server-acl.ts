import { field, type JsonObject, type JsonValue } from "../../json.ts";

/** The lists of a server ACL, in lower case: they are compared without regard to case. @see https://spec.matrix.org/v1.19/client-server-api/#mroomserver_acl */
export interface ServerAclContent {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly allowsIpLiterals: boolean;
}

/**
 * Reads a server ACL. A missing list is empty, entries that are no text are passed over, and `allow_ip_literals`
 * "defaults to true if missing or otherwise not a boolean".
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#mroomserver_acl
 */
export function parseServerAcl(content: JsonObject): ServerAclContent {
  return {
    allow: patterns(field(content, "allow")),
    deny: patterns(field(content, "deny")),
    allowsIpLiterals: field(content, "allow_ip_literals") !== false,
  };
}

function patterns(value: JsonValue | undefined): string[] {
  if (!Array.isArray(value)) return [];
  return value.filter((entry) => typeof entry === "string").map((entry) => entry.toLowerCase());
}

import type { ServerName } from "../ids.ts";
import type { JsonObject } from "../json.ts";
import { parseServerAcl } from "./content/server-acl.ts";
import { compileGlob, type Glob, matchesGlob } from "./glob.ts";

/** A server ACL compiled for many checks: make it once for each `m.room.server_acl` event. */
export interface ServerAcl {
  readonly allow: readonly Glob[];
  readonly deny: readonly Glob[];
  readonly allowsIpLiterals: boolean;
}

/** Compiles the content of an `m.room.server_acl` event. @see https://spec.matrix.org/v1.19/client-server-api/#mroomserver_acl */
export function compileServerAcl(content: JsonObject): ServerAcl {
  const acl = parseServerAcl(content);
  return { ...acl, allow: acl.allow.map(compileGlob), deny: acl.deny.map(compileGlob) };
}

/**
 * Whether a server may take part in a room.
 *
 * @param acl null when the room has no server ACL.
 * @see https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms
 */
export function isServerAllowed(acl: ServerAcl | null, serverName: ServerName): boolean {
  // 1. "If there is no m.room.server_acl event in the room state, allow."
  if (acl === null) return true;
  const host = hostOf(serverName).toLowerCase();
  // 2. "If the server name is an IP address (v4 or v6) literal, and allow_ip_literals is present and false, deny."
  if (!acl.allowsIpLiterals && isIpLiteral(host)) return false;
  // 3. "If the server name matches an entry in the deny list, deny."
  if (acl.deny.some((glob) => matchesGlob(glob, host))) return false;
  // 4. "If the server name matches an entry in the allow list, allow." 5. "Otherwise, deny."
  return acl.allow.some((glob) => matchesGlob(glob, host));
}

/** "the suspect server's port number must not be considered" */
function hostOf(serverName: ServerName): string {
  return serverName.replace(/:[0-9]{1,5}$/, "");
}

function isIpLiteral(host: string): boolean {
  if (host.startsWith("[")) return true;
  const parts = host.split(".");
  return parts.length === 4 && parts.every((part) => /^[0-9]{1,3}$/.test(part) && Number(part) <= 255);
}

/** @see https://spec.matrix.org/v1.19/appendices/#server-name */
import type { ServerName } from "../../shared/ids.ts";
import type { Route } from "../../shared/rpc/server-peer.ts";
import { isIpLiteral, isOddNumber } from "./addresses.ts";

/** The port of a server that names none. */
export const defaultPort = 8448;

/** A server name taken apart. */
export interface NameParts {
  /** A DNS name or an IP address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number | null;
  readonly isLiteral: boolean;
}

/** Takes a server name apart; null when its host is a number in disguise or its port none that can be dialled. */
export function splitServerName(name: ServerName): NameParts | null {
  const [, bracketed, plain = "", portText] = /^(?:\[([^\]]*)\]|([^:]*))(?::([0-9]+))?$/.exec(name) ?? [];
  const host = bracketed ?? plain;
  const port = portText === undefined ? null : Number(portText);
  if (host === "" || (port !== null && (port < 1 || port > 65_535))) return null;
  const isLiteral = isIpLiteral(host);
  if (bracketed !== undefined ? !(isLiteral && host.includes(":")) : !isLiteral && isOddNumber(host)) return null;
  return { host, port, isLiteral };
}

/**
 * The route to a server whose name says it all: an IP address or an explicit port (steps 1 and 2 of the resolution; 3.1 and
 * 3.2 for a name that a `.well-known` gave). Null when its host has to be looked up.
 *
 * @see https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
export function fixedRoute(name: ServerName, { host, port, isLiteral }: NameParts): Route | null {
  if (!isLiteral && port === null) return null;
  return { targets: [{ host, port: port ?? defaultPort }], hostHeader: name, tlsName: host };
}

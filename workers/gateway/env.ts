import type { SupportContact } from "../../shared/endpoint.ts";
import { ConfigError, type Variables } from "../../shared/env.ts";

/** The bindings as the gateway uses them: the three kinds of actors, and the variables beside them. */
export interface GatewayEnv {
  readonly ROOM: DurableObjectNamespace;
  readonly USER: DurableObjectNamespace;
  readonly SERVER: DurableObjectNamespace;
}

/** Configuration that only the gateway needs. */
export interface GatewayConfig {
  /**
   * Header in which a proxy in front of this server names the client's address (`CF-Connecting-IP` on Cloudflare); of a
   * list, the last entry is the proxy's own word. Null: no header is believed, the peer's address counts.
   */
  readonly clientAddressHeader: string | null;
  readonly support: SupportContact;
}

/** Parses the gateway's own variables. @throws ConfigError naming the first wrong one. */
export function parseGatewayConfig(variables: Variables): GatewayConfig {
  const header = text(variables, "CLIENT_ADDRESS_HEADER");
  if (header !== null && !/^[A-Za-z0-9-]{1,64}$/.test(header)) {
    throw new ConfigError("CLIENT_ADDRESS_HEADER", "must be the name of an HTTP header");
  }
  const page = text(variables, "SUPPORT_PAGE");
  if (page !== null && !URL.canParse(page)) throw new ConfigError("SUPPORT_PAGE", "must be a URL");
  const contact = text(variables, "SUPPORT_CONTACT");
  if (contact !== null && !contact.includes("@")) {
    throw new ConfigError("SUPPORT_CONTACT", "must be a Matrix user id or an e-mail address");
  }
  return { clientAddressHeader: header, support: { contact, page } };
}

function text(variables: Variables, name: string): string | null {
  const value = variables[name];
  if (value === undefined || value === "") return null;
  if (typeof value !== "string") throw new ConfigError(name, "must be text");
  return value;
}

/** Longest address taken from a header: an IPv6 address with a zone. */
const maxAddressLength = 64;

/**
 * The client's address: as the trusted header says it or, where none is named, the peer's own. A peer on this machine is a
 * proxy that speaks for everybody, so it counts as unknown; null then.
 *
 * @param peer `cf.clientIp` of a self-hosted request: address and port.
 */
export function clientAddressOf(headers: Headers, headerName: string | null, peer: string | null): string | null {
  if (headerName === null) return peer === null ? null : remoteAddressOf(peer);
  const last = headers.get(headerName)?.split(",").at(-1)?.trim();
  return last === undefined || last === "" || last.length > maxAddressLength ? null : last;
}

function remoteAddressOf(peer: string): string | null {
  const address = peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  const isLoopback = address === "::1" || /^(::ffff:)?127\./.test(address);
  return isLoopback || address === "" ? null : address;
}

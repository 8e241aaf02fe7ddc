/** Whom the egress does not connect to. What a DNS name resolves to is checked by the runtime's network service. */
import type { Config } from "../../shared/env.ts";
import { isIpLiteral, isOddNumber, isPublicAddress } from "./addresses.ts";
import { defaultPort, splitServerName } from "./server-names.ts";

/** Names that mean this machine or its network wherever they are resolved. */
const privateName = /(?:^|\.)(?:localhost|local|internal|home\.arpa|localdomain)\.?$/i;
const hostName = /^[0-9A-Za-z_](?:[0-9A-Za-z_.-]{0,252}[0-9A-Za-z_.])?$/;

/**
 * Why a host is not connected to; null when it may be.
 * @param host a DNS name or an IP address, IPv6 without brackets
 */
export function refusalOf(config: Config, { host, port }: { host: string; port: number }): string | null {
  const isLiteral = isIpLiteral(host);
  if (!isLiteral && (!hostName.test(host) || isOddNumber(host))) return `${host} is not a host`;
  if (port < 1 || port > 65_535 || !Number.isInteger(port)) return `${port} is not a port`;
  if (isOurOwn(config, host, port)) return `${host} is this server itself`;
  if (config.federationAllowPrivateNetwork) return null;
  const isPrivate = isLiteral ? !isPublicAddress(host) : privateName.test(host);
  return isPrivate ? `${host} is not on the open internet` : null;
}

/** A request to ourselves by way of the network: a peer that delegates to us, or redirects to us, to have us ask ourselves. */
function isOurOwn(config: Config, host: string, port: number): boolean {
  const own = splitServerName(config.serverName);
  const base = new URL(config.publicBaseUrl);
  const basePort = base.port === "" ? (base.protocol === "https:" ? 443 : 80) : Number(base.port);
  const isHost = (other: string | undefined) => normal(other ?? "") === normal(host);
  if (isHost(own?.host) && (own?.port === null ? [443, defaultPort] : [own?.port]).includes(port)) return true;
  return isHost(base.hostname.replace(/^\[(.*)\]$/, "$1")) && port === basePort;
}

const normal = (host: string) => host.toLowerCase().replace(/\.$/, "");

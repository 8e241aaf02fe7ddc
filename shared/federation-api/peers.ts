/** Whom this server talks to. */
import type { Config } from "../env.ts";
import type { ServerName } from "../ids.ts";

/**
 * Whether another server may talk to us, and we to it: federation is on, the name is not our own, and the operator's lists
 * allow it. A list names servers, with their port where they have one.
 */
export function mayTalkTo(config: Config, serverName: ServerName): boolean {
  if (!config.federation || serverName === config.serverName) return false;
  if (config.federationDomainDeny.includes(serverName)) return false;
  return config.federationDomainAllow === null || config.federationDomainAllow.includes(serverName);
}

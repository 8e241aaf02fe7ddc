/** Homeservers that reach one another over TLS on the loopback address, as `npm start` runs them. */
import { join } from "node:path";
import { freePort, type Homeserver, type HomeserverOptions, startHomeserver } from "./homeserver.ts";

const tls = join(import.meta.dirname, "../selfhost/tls");

/** A homeserver that others can reach. */
export interface FederatedHomeserver extends Homeserver {
  /** Where other servers reach it, over TLS. */
  readonly federationPort: number;
}

/**
 * The variables of a homeserver named `localhost:<port>` that listens there, with a certificate of the tests' authority,
 * and trusts that authority and private addresses. For {@link startHomeserver} and `startProcess` alike.
 */
export function federationVariables(federationPort: number): Record<string, string> {
  return {
    SERVER_NAME: `localhost:${federationPort}`,
    FEDERATION_PORT: String(federationPort),
    TLS_CERT: join(tls, "server.pem"),
    TLS_KEY: join(tls, "server.key"),
    TRUSTED_CA: join(tls, "ca.pem"),
    FEDERATION_ALLOW_PRIVATE_NETWORK: "true",
    DNS_OVER_HTTPS: "off",
  };
}

/** Starts one server that others can reach. */
export async function startFederatedHomeserver(options: HomeserverOptions = {}): Promise<FederatedHomeserver> {
  const federationPort = await freePort();
  const env = { ...federationVariables(federationPort), ...options.env };
  const homeserver = await startHomeserver({ ...options, env });
  return Object.assign(homeserver, { federationPort });
}

/** Starts several servers, one after the other: each is two processes. */
export async function startFederatedHomeservers(
  count: number,
  options: HomeserverOptions = {},
): Promise<FederatedHomeserver[]> {
  const started: FederatedHomeserver[] = [];
  try {
    while (started.length < count) started.push(await startFederatedHomeserver(options));
  } catch (thrown) {
    await Promise.all(started.map((homeserver) => homeserver.stop()));
    throw thrown;
  }
  return started;
}

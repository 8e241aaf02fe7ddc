import { endpoint } from "../../../shared/endpoint.ts";

/** `GET /.well-known/matrix/server` — https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver */
export const getWellKnown = endpoint(
  { operationId: "getWellKnown", method: "GET", path: "/.well-known/matrix/server", auth: "none" },
  ({ config }) => ({ "m.server": hostAndPort(config.publicBaseUrl) }),
);

/** Host and port of a base URL; the port always, because without one it would mean 8448. */
function hostAndPort(baseUrl: string): string {
  const { hostname, port, protocol } = new URL(baseUrl);
  const defaultPort = protocol === "https:" ? "443" : "80";
  return `${hostname}:${port === "" ? defaultPort : port}`;
}

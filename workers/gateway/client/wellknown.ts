import { endpoint } from "../../../shared/endpoint.ts";

/** `GET /.well-known/matrix/client` — https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient */
export const getWellknown = endpoint(
  { operationId: "getWellknown", method: "GET", path: "/.well-known/matrix/client", auth: "none" },
  ({ config }) => ({ "m.homeserver": { base_url: config.publicBaseUrl } }),
);

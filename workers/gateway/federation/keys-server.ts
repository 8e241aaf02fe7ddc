import { endpoint } from "../../../shared/endpoint.ts";

/** `GET /_matrix/key/v2/server` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server */
export const getServerKey = endpoint(
  {
    operationId: "getServerKey",
    method: "GET",
    path: "/_matrix/key/v2/server",
    // Deprecated, and the same answer for every key id.
    aliases: ["/_matrix/key/v2/server/:keyId"],
    auth: "none",
  },
  ({ actors, config }) => actors.server(config.serverName).getServerKeys(),
);

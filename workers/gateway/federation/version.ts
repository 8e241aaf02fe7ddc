import { endpoint } from "../../../shared/endpoint.ts";
import { serverSoftware } from "../software.ts";

/** `GET /_matrix/federation/v1/version` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version */
export const getVersion = endpoint(
  { operationId: "getVersion", method: "GET", path: "/_matrix/federation/v1/version", auth: "none" },
  () => ({ server: { ...serverSoftware } }),
);

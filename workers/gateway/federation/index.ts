import type { Endpoint } from "../../../shared/endpoint.ts";
import * as keysServer from "./keys-server.ts";
import * as version from "./version.ts";
import * as wellknown from "./wellknown.ts";

/** The server-server API: one line for each file of the spec. */
export const federationEndpoints: readonly Endpoint[] = [
  ...Object.values(keysServer),
  ...Object.values(version),
  ...Object.values(wellknown),
];

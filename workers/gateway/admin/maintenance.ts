import { endpoint, Page } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { meter } from "../../../shared/meter.ts";

/**
 * `POST /_tessera/admin/v1/rebuild_directory`: writes the copies in D1 anew, that is the data of
 * https://spec.matrix.org/v1.19/client-server-api/#published-room-directory and of the user directory.
 */
export const rebuildDirectory = endpoint(
  {
    operationId: "rebuildDirectory",
    method: "POST",
    path: "/_tessera/admin/v1/rebuild_directory",
    auth: "adminToken",
  },
  ({ actors, config }) =>
    actors
      .server(config.serverName)
      .rebuildDirectory()
      .then((done) => ({ ...done })),
);

/**
 * `POST /_tessera/admin/v1/signing_key/rotate`: makes a new key of those that
 * https://spec.matrix.org/v1.19/server-server-api/#publishing-keys speaks of, and lets the old one run out.
 */
export const rotateSigningKey = endpoint(
  {
    operationId: "rotateSigningKey",
    method: "POST",
    path: "/_tessera/admin/v1/signing_key/rotate",
    auth: "adminToken",
  },
  async ({ actors, config }) => {
    const { keyId, oldKeyId, oldExpiresTs } = await actors.server(config.serverName).rotateSigningKey();
    return { key_id: keyId, old_key_id: oldKeyId, old_key_expires_ts: oldExpiresTs };
  },
);

/**
 * `GET /_tessera/meter`: what this isolate has counted, for benchmarks. Only where `METER` is on; else, as
 * https://spec.matrix.org/v1.19/client-server-api/#common-error-codes asks, there is no such endpoint.
 */
export const getMeter = endpoint(
  { operationId: "getMeter", method: "GET", path: "/_tessera/meter", auth: "none" },
  ({ config }) => {
    if (!config.meter) throw errors.unrecognized("Unknown endpoint");
    return { ...meter };
  },
);

/** `GET /health`: that the server answers, for whatever watches it. Beside https://spec.matrix.org/v1.19/client-server-api/ */
export const getHealth = endpoint(
  { operationId: "getHealth", method: "GET", path: "/health", auth: "none" },
  () => new Page("text/plain; charset=utf-8", "OK"),
);

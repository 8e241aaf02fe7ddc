import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { RegistrationToken } from "../../../shared/rpc/server.ts";
import { queryBoolean } from "../../../shared/validate.ts";

const listPath = "/_synapse/admin/v1/registration_tokens";
const tokenPath = "/_synapse/admin/v1/registration_tokens/:token";

const defaultLength = 16;
/** 64 characters, all of the token's alphabet: a random byte picks one evenly. */
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/**
 * `GET /_synapse/admin/v1/registration_tokens`, as Synapse documents it.
 * What the tokens are for: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
export const getRegistrationTokens = endpoint(
  {
    operationId: "getRegistrationTokens",
    method: "GET",
    path: listPath,
    auth: "adminToken",
    query: v.object({ valid: v.optional(queryBoolean) }),
  },
  async ({ query, actors, config, clock }) => {
    const tokens = await actors.server(config.serverName).getRegistrationTokens();
    const now = clock.now();
    const wanted = tokens.filter((token) => query.valid === undefined || isUsable(token, now) === query.valid);
    return { registration_tokens: wanted.map(tokenAnswer) };
  },
);

/**
 * `GET /_synapse/admin/v1/registration_tokens/{token}`, as Synapse documents it.
 * What the tokens are for: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
export const getRegistrationToken = endpoint(
  { operationId: "getRegistrationToken", method: "GET", path: tokenPath, auth: "adminToken" },
  async ({ params, actors, config }) =>
    tokenAnswer(await actors.server(config.serverName).getRegistrationToken(params.token)),
);

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/**
 * `POST /_synapse/admin/v1/registration_tokens/new`, as Synapse documents it.
 * What the tokens are for: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
export const createRegistrationToken = endpoint(
  {
    operationId: "createRegistrationToken",
    method: "POST",
    path: "/_synapse/admin/v1/registration_tokens/new",
    auth: "adminToken",
    body: v.object({
      token: v.nullish(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,64}$/))),
      uses_allowed: v.nullish(count),
      expiry_time: v.nullish(count),
      length: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(64))),
    }),
  },
  async ({ body, actors, config, clock, random }) => {
    const expiryTime = body.expiry_time ?? null;
    if (expiryTime !== null && expiryTime < clock.now()) throw errors.invalidParam("expiry_time is in the past");
    const token = body.token ?? randomToken(random.bytes(body.length ?? defaultLength));
    const usesAllowed = body.uses_allowed ?? null;
    return tokenAnswer(
      await actors.server(config.serverName).createRegistrationToken({ token, usesAllowed, expiryTime }),
    );
  },
);

/**
 * `PUT /_synapse/admin/v1/registration_tokens/{token}`, as Synapse documents it.
 * What the tokens are for: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
export const updateRegistrationToken = endpoint(
  {
    operationId: "updateRegistrationToken",
    method: "PUT",
    path: tokenPath,
    auth: "adminToken",
    body: v.object({ uses_allowed: v.nullish(count), expiry_time: v.nullish(count) }),
  },
  async ({ params, body, actors, config }) => {
    const { uses_allowed: usesAllowed, expiry_time: expiryTime } = body;
    const updated = await actors.server(config.serverName).updateRegistrationToken({
      token: params.token,
      ...(usesAllowed === undefined ? {} : { usesAllowed }),
      ...(expiryTime === undefined ? {} : { expiryTime }),
    });
    return tokenAnswer(updated);
  },
);

/**
 * `DELETE /_synapse/admin/v1/registration_tokens/{token}`, as Synapse documents it.
 * What the tokens are for: https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 */
export const deleteRegistrationToken = endpoint(
  { operationId: "deleteRegistrationToken", method: "DELETE", path: tokenPath, auth: "adminToken" },
  async ({ params, actors, config }) => {
    await actors.server(config.serverName).deleteRegistrationToken(params.token);
    return {};
  },
);

function randomToken(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => alphabet[byte % alphabet.length]).join("");
}

function isUsable(token: RegistrationToken, now: number): boolean {
  const hasUses = token.usesAllowed === null || token.completed < token.usesAllowed;
  return hasUses && (token.expiryTime === null || token.expiryTime >= now);
}

/** A use is taken in the moment of registration, so none is ever pending. */
function tokenAnswer({ token, usesAllowed, completed, expiryTime }: RegistrationToken): JsonObject {
  return { token, uses_allowed: usesAllowed, pending: 0, completed, expiry_time: expiryTime };
}

import { createHmac, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { sessionAnswer } from "../client/session-answer.ts";
import { localUserId } from "../login-identifier.ts";

const path = "/_synapse/admin/v1/register";

/**
 * `GET /_synapse/admin/v1/register`: a nonce for a registration by shared secret.
 * Documented by Synapse, as "Shared-Secret Registration"; how the API's users get their accounts:
 * https://spec.matrix.org/v1.19/client-server-api/#legacy-account-registration
 */
export const getRegistrationNonce = endpoint(
  { operationId: "getRegistrationNonce", method: "GET", path, auth: "none" },
  async ({ actors, config }) => {
    secretOf(config);
    return { nonce: await actors.server(config.serverName).createRegistrationNonce() };
  },
);

/** The MAC separates by NUL, so none may be inside of what it covers. */
const noNul = v.check((text: string) => !text.includes("\0"));

const registerBody = v.object({
  nonce: v.string(),
  username: v.pipe(v.string(), noNul),
  password: v.pipe(v.string(), v.minLength(1), v.maxLength(512), noNul),
  displayname: v.nullish(v.string()),
  admin: v.optional(v.boolean(), false),
  user_type: v.nullish(v.string()),
  mac: v.string(),
});

/**
 * `POST /_synapse/admin/v1/register`: makes an account for whoever knows the shared secret.
 * Documented by Synapse, as "Shared-Secret Registration"; how the API's users get their accounts:
 * https://spec.matrix.org/v1.19/client-server-api/#legacy-account-registration
 */
export const registerBySharedSecret = endpoint(
  { operationId: "registerBySharedSecret", method: "POST", path, auth: "none", body: registerBody },
  async ({ body, actors, config }) => {
    const secret = secretOf(config);
    const isFresh = await actors.server(config.serverName).useRegistrationNonce(body.nonce);
    if (!isFresh) throw errors.unknown("Unrecognised nonce");
    if (!isMacRight(secret, body)) throw errors.forbidden("HMAC incorrect");
    const userId = localUserId(body.username, config.serverName);
    if (userId === null) throw errors.invalidUsername("A username is made of a-z, 0-9 and . _ = - / +");
    const { session } = await actors.user(userId).register({
      password: body.password,
      displayName: body.displayname ?? null,
      isAdmin: body.admin,
      registrationToken: null,
      bySharedSecret: true,
      session: { deviceId: null, initialDeviceDisplayName: null, refreshToken: false },
    });
    const answer = session === null ? { user_id: userId } : sessionAnswer(session);
    return { ...answer, home_server: config.serverName };
  },
);

function secretOf(config: Services["config"]): string {
  if (config.registrationSharedSecret === null) {
    throw errors.unknown("Shared secret registration is not enabled");
  }
  return config.registrationSharedSecret;
}

/** "HMAC-SHA1, with the key being the shared secret and the content being the nonce, user, password, …, separated by NULs" */
function isMacRight(secret: string, body: v.InferOutput<typeof registerBody>): boolean {
  const fields = [body.nonce, body.username, body.password, body.admin ? "admin" : "notadmin"];
  if (typeof body.user_type === "string") fields.push(body.user_type);
  const right = createHmac("sha1", secret).update(fields.join("\0")).digest();
  const given = new Uint8Array(right.length);
  const hex = /^[0-9a-fA-F]{40}$/.test(body.mac) ? body.mac : "";
  for (let index = 0; index < hex.length / 2; index += 1)
    given[index] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  return timingSafeEqual(given, right) && hex !== "";
}

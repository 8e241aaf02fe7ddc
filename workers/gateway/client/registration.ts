import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import type { RegistrationMode } from "../../../shared/env.ts";
import { errors } from "../../../shared/errors.ts";
import type { UserId } from "../../../shared/ids.ts";
import { anyObject, opaqueId } from "../../../shared/validate.ts";
import { localUserId } from "../login-identifier.ts";
import { requireUia, type UiaStage } from "../uia.ts";
import { sessionAnswer } from "./session-answer.ts";

const aliases = ["/_matrix/client/r0/register"];

const registerBody = v.object({
  auth: v.nullish(anyObject),
  username: v.nullish(v.string()),
  password: v.nullish(v.string()),
  device_id: v.nullish(opaqueId),
  initial_device_display_name: v.nullish(v.string()),
  inhibit_login: v.optional(v.boolean()),
  refresh_token: v.optional(v.boolean()),
});

/** What proves that somebody may make an account; null: nobody may. */
const flowsByMode: Readonly<Record<RegistrationMode, readonly (readonly UiaStage[])[] | null>> = {
  open: [["m.login.dummy"]],
  token: [["m.login.registration_token"]],
  closed: null,
};

/** `POST /_matrix/client/v3/register` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register */
export const register = endpoint(
  {
    operationId: "register",
    method: "POST",
    path: "/_matrix/client/v3/register",
    aliases,
    auth: "none",
    query: v.object({ kind: v.optional(v.picklist(["user", "guest"])) }),
    body: registerBody,
  },
  async (context) => {
    if (context.query.kind === "guest") throw errors.guestAccessForbidden("This server has no guest accounts");
    const flows = flowsByMode[context.config.registration];
    if (flows === null) throw errors.forbidden("Registration is closed on this server");
    const userId = await chooseUserId(context, context.body.username ?? null);
    // The session is not bound to the body: clients ask for the flows before the person has chosen a name.
    const bound = ["register"];
    const proven = await requireUia(context, { auth: context.body.auth ?? null, flows, bound, userId: null });
    return await makeAccount(context, userId, context.body, proven.registrationToken);
  },
);

/** "Homeservers MUST perform the relevant checks and return these codes before performing User-Interactive Authentication" */
async function chooseUserId({ actors, config, random }: Services, username: string | null): Promise<UserId> {
  const userId = localUserId(username ?? randomLocalpart(random.bytes(10)), config.serverName);
  if (userId === null) throw errors.invalidUsername("A username is made of a-z, 0-9 and . _ = - / +");
  if (username !== null) await actors.user(userId).assertAvailable();
  return userId;
}

function randomLocalpart(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte % 32]).join("");
}

async function makeAccount(
  { actors, config, clientAddress }: Services,
  userId: UserId,
  body: v.InferOutput<typeof registerBody>,
  registrationToken: string | null,
) {
  if (clientAddress !== null) await actors.server(config.serverName).limitAddress("rc_registration", clientAddress);
  const wanted = {
    deviceId: body.device_id ?? null,
    initialDeviceDisplayName: body.initial_device_display_name ?? null,
    refreshToken: body.refresh_token ?? false,
  };
  const { session } = await actors.user(userId).register({
    password: body.password ?? null,
    displayName: null,
    isAdmin: false,
    registrationToken,
    bySharedSecret: false,
    session: body.inhibit_login === true ? null : wanted,
  });
  return session === null ? { user_id: userId } : sessionAnswer(session);
}

/** `GET /_matrix/client/v3/register/available` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable */
export const checkUsernameAvailability = endpoint(
  {
    operationId: "checkUsernameAvailability",
    method: "GET",
    path: "/_matrix/client/v3/register/available",
    aliases: ["/_matrix/client/r0/register/available"],
    auth: "none",
    query: v.object({ username: v.string() }),
  },
  async (context) => {
    if (context.config.registration === "closed") throw errors.forbidden("Registration is closed on this server");
    await chooseUserId(context, context.query.username);
    return { available: true };
  },
);

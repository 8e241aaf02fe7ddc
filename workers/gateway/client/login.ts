import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { anyObject, opaqueId } from "../../../shared/validate.ts";
import { passwordLoginUser } from "../login-identifier.ts";
import { sessionAnswer } from "./session-answer.ts";

const path = "/_matrix/client/v3/login";
const aliases = ["/_matrix/client/r0/login"];

/** `GET /_matrix/client/v3/login` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login */
export const getLoginFlows = endpoint(
  { operationId: "getLoginFlows", method: "GET", path, aliases, auth: "none" },
  () => ({ flows: [{ type: "m.login.password" }] }),
);

const loginBody = v.object({
  type: v.string(),
  identifier: v.optional(anyObject),
  user: v.optional(v.string()),
  password: v.optional(v.string()),
  device_id: v.nullish(opaqueId),
  initial_device_display_name: v.nullish(v.string()),
  refresh_token: v.optional(v.boolean()),
});

/** `POST /_matrix/client/v3/login` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login */
export const login = endpoint(
  { operationId: "login", method: "POST", path, aliases, auth: "none", body: loginBody },
  async ({ body, actors, config, clientAddress }) => {
    if (body.type !== "m.login.password") throw errors.unknown(`${body.type} is not a login type of this server`);
    if (body.password === undefined) throw errors.missingParam("body.password: missing");
    if (clientAddress !== null) await actors.server(config.serverName).limitAddress("rc_login.address", clientAddress);
    const { identifier, user } = body;
    const named = { ...(identifier === undefined ? {} : { identifier }), ...(user === undefined ? {} : { user }) };
    const userId = passwordLoginUser(named, config.serverName);
    // The same words as for a wrong password: who exists here is nobody's business.
    if (userId === null) throw errors.forbidden("Invalid username or password");
    const session = await actors.user(userId).loginWithPassword({
      password: body.password,
      session: {
        deviceId: body.device_id ?? null,
        initialDeviceDisplayName: body.initial_device_display_name ?? null,
        refreshToken: body.refresh_token ?? false,
      },
    });
    return sessionAnswer(session);
  },
);

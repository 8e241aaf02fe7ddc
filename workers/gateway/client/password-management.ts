import { createHash } from "node:crypto";
import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { anyObject } from "../../../shared/validate.ts";
import { requireUia } from "../uia.ts";

/** `POST /_matrix/client/v3/account/password` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword */
export const changePassword = endpoint(
  {
    operationId: "changePassword",
    method: "POST",
    path: "/_matrix/client/v3/account/password",
    aliases: ["/_matrix/client/r0/account/password"],
    auth: "accessToken",
    body: v.object({
      new_password: v.string(),
      logout_devices: v.optional(v.boolean(), true),
      auth: v.nullish(anyObject),
    }),
  },
  async (context) => {
    const { auth, body, actors } = context;
    const { new_password: newPassword, logout_devices: logoutDevices } = body;
    const digest = createHash("sha256").update(newPassword).digest("base64");
    await requireUia(context, {
      auth: body.auth ?? null,
      flows: [["m.login.password"]],
      bound: ["changePassword", auth.userId, auth.deviceId, digest, logoutDevices],
      userId: auth.userId,
    });
    await actors.user(auth.userId).changePassword({ newPassword, logoutDevices, keepDevice: auth.deviceId });
    return {};
  },
);

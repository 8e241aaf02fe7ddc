import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { anyObject } from "../../../shared/validate.ts";
import { requireUia } from "../uia.ts";

/** `POST /_matrix/client/v3/account/deactivate` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate */
export const deactivateAccount = endpoint(
  {
    operationId: "deactivateAccount",
    method: "POST",
    path: "/_matrix/client/v3/account/deactivate",
    aliases: ["/_matrix/client/r0/account/deactivate"],
    auth: "accessToken",
    body: v.object({ auth: v.nullish(anyObject), erase: v.optional(v.boolean(), false) }),
  },
  async (context) => {
    const { auth, body, actors } = context;
    await requireUia(context, {
      auth: body.auth ?? null,
      flows: [["m.login.password"]],
      bound: ["deactivateAccount", auth.userId, auth.deviceId, body.erase],
      userId: auth.userId,
    });
    await actors.user(auth.userId).deactivate(body.erase);
    // "This must be `success` if the homeserver has no identifiers to unbind for the user."
    return { id_server_unbind_result: "success" };
  },
);

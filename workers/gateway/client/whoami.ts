import { endpoint } from "../../../shared/endpoint.ts";

/** `GET /_matrix/client/v3/account/whoami` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami */
export const getTokenOwner = endpoint(
  {
    operationId: "getTokenOwner",
    method: "GET",
    path: "/_matrix/client/v3/account/whoami",
    aliases: ["/_matrix/client/r0/account/whoami"],
    auth: "accessToken",
  },
  ({ auth }) => ({ user_id: auth.userId, device_id: auth.deviceId, is_guest: auth.isGuest }),
);

import { endpoint } from "../../../shared/endpoint.ts";

/** `POST /_matrix/client/v3/logout` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout */
export const logout = endpoint(
  {
    operationId: "logout",
    method: "POST",
    path: "/_matrix/client/v3/logout",
    aliases: ["/_matrix/client/r0/logout"],
    auth: "accessToken",
  },
  async ({ auth, actors }) => {
    await actors.user(auth.userId).logout(auth.deviceId);
    return {};
  },
);

/** `POST /_matrix/client/v3/logout/all` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall */
export const logoutAll = endpoint(
  {
    operationId: "logout_all",
    method: "POST",
    path: "/_matrix/client/v3/logout/all",
    aliases: ["/_matrix/client/r0/logout/all"],
    auth: "accessToken",
  },
  async ({ auth, actors }) => {
    await actors.user(auth.userId).logoutAll();
    return {};
  },
);

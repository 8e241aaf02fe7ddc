import { endpoint } from "../../../shared/endpoint.ts";
import { anyBody } from "../../../shared/validate.ts";
import { assertIsRequester } from "./requester.ts";

const globalPath = "/_matrix/client/v3/user/:userId/account_data/:type";
const globalAliases = ["/_matrix/client/r0/user/:userId/account_data/:type"];
const roomPath = "/_matrix/client/v3/user/:userId/rooms/:roomId/account_data/:type";
const roomAliases = ["/_matrix/client/r0/user/:userId/rooms/:roomId/account_data/:type"];

/** `GET /_matrix/client/v3/user/{userId}/account_data/{type}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype */
export const getAccountData = endpoint(
  { operationId: "getAccountData", method: "GET", path: globalPath, aliases: globalAliases, auth: "accessToken" },
  ({ params, auth, actors }) => {
    assertIsRequester(auth, params.userId);
    return actors.user(auth.userId).getAccountData(null, params.type);
  },
);

/** `PUT /_matrix/client/v3/user/{userId}/account_data/{type}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype */
export const setAccountData = endpoint(
  {
    operationId: "setAccountData",
    method: "PUT",
    path: globalPath,
    aliases: globalAliases,
    auth: "accessToken",
    body: anyBody,
  },
  async ({ params, auth, body, actors }) => {
    assertIsRequester(auth, params.userId);
    await actors.user(auth.userId).setAccountData(null, params.type, body);
    return {};
  },
);

/** `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidaccount_datatype */
export const getAccountDataPerRoom = endpoint(
  { operationId: "getAccountDataPerRoom", method: "GET", path: roomPath, aliases: roomAliases, auth: "accessToken" },
  ({ params, auth, actors }) => {
    assertIsRequester(auth, params.userId);
    return actors.user(auth.userId).getAccountData(params.roomId, params.type);
  },
);

/** `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype */
export const setAccountDataPerRoom = endpoint(
  {
    operationId: "setAccountDataPerRoom",
    method: "PUT",
    path: roomPath,
    aliases: roomAliases,
    auth: "accessToken",
    body: anyBody,
  },
  async ({ params, auth, body, actors }) => {
    assertIsRequester(auth, params.userId);
    await actors.user(auth.userId).setAccountData(params.roomId, params.type, body);
    return {};
  },
);

import { endpoint } from "../../../shared/endpoint.ts";

/** `GET /_matrix/client/v3/joined_rooms` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms */
export const getJoinedRooms = endpoint(
  {
    operationId: "getJoinedRooms",
    method: "GET",
    path: "/_matrix/client/v3/joined_rooms",
    aliases: ["/_matrix/client/r0/joined_rooms"],
    auth: "accessToken",
  },
  async ({ auth, actors }) => ({ joined_rooms: await actors.user(auth.userId).getJoinedRooms() }),
);

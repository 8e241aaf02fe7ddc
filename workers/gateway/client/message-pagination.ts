import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { queryFilter, queryInteger } from "../../../shared/validate.ts";
import { roomPositionOf } from "./room-position.ts";

const defaultLimit = 10;
const maxLimit = 1000;

/** `GET /_matrix/client/v3/rooms/{roomId}/messages` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages */
export const getRoomEvents = endpoint(
  {
    operationId: "getRoomEvents",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/messages",
    aliases: ["/_matrix/client/r0/rooms/:roomId/messages"],
    auth: "accessToken",
    query: v.object({
      from: v.optional(v.string()),
      to: v.optional(v.string()),
      dir: v.picklist(["b", "f"]),
      limit: v.optional(queryInteger(maxLimit)),
      filter: v.optional(queryFilter),
    }),
  },
  async (context) => {
    const { params, auth, query, actors } = context;
    const place = { userId: auth.userId, roomId: params.roomId };
    const from = await roomPositionOf(context, { token: query.from, ...place });
    const to = await roomPositionOf(context, { token: query.to, ...place });
    return await actors.room(params.roomId).getMessages({
      requester: auth.userId,
      deviceId: auth.deviceId,
      from,
      to,
      dir: query.dir,
      limit: query.limit ?? defaultLimit,
      filter: query.filter ?? null,
    });
  },
);

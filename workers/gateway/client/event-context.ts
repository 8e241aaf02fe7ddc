import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { queryFilter, queryInteger } from "../../../shared/validate.ts";

const defaultLimit = 10;
const maxLimit = 1000;

/** `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid */
export const getEventContext = endpoint(
  {
    operationId: "getEventContext",
    method: "GET",
    path: "/_matrix/client/v3/rooms/:roomId/context/:eventId",
    aliases: ["/_matrix/client/r0/rooms/:roomId/context/:eventId"],
    auth: "accessToken",
    query: v.object({ limit: v.optional(queryInteger(maxLimit)), filter: v.optional(queryFilter) }),
  },
  async ({ params, auth, query, actors }) => {
    const ignoredUsers = await actors.user(auth.userId).getIgnoredUsers();
    return await actors.room(params.roomId).getContext({
      requester: auth.userId,
      deviceId: auth.deviceId,
      eventId: params.eventId,
      limit: query.limit ?? defaultLimit,
      filter: query.filter ?? null,
      ignoredUsers,
    });
  },
);

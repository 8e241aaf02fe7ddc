import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { eventId } from "../../../shared/validate.ts";

const marker = v.nullish(eventId);

/** `POST /_matrix/client/v3/rooms/{roomId}/read_markers` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers */
export const setReadMarker = endpoint(
  {
    operationId: "setReadMarker",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/read_markers",
    aliases: ["/_matrix/client/r0/rooms/:roomId/read_markers"],
    auth: "accessToken",
    body: v.object({ "m.fully_read": marker, "m.read": marker, "m.read.private": marker }),
  },
  async ({ params, auth, body, actors }) => {
    const room = actors.room(params.roomId);
    for (const receiptType of ["m.read", "m.read.private"] as const) {
      const read = body[receiptType] ?? null;
      if (read !== null) await room.sendReceipt({ userId: auth.userId, receiptType, eventId: read, threadId: null });
    }
    const fullyRead = body["m.fully_read"] ?? null;
    if (fullyRead !== null) await actors.user(auth.userId).moveFullyRead(params.roomId, fullyRead);
    return {};
  },
);

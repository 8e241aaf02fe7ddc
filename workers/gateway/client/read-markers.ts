import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import type { EventId, RoomId } from "../../../shared/ids.ts";
import type { UserAuth } from "../../../shared/rpc/user.ts";
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
  async (context) => {
    const { params, auth, body, actors } = context;
    const room = actors.room(params.roomId);
    for (const receiptType of ["m.read", "m.read.private"] as const) {
      const read = body[receiptType] ?? null;
      if (read !== null) await room.sendReceipt({ userId: auth.userId, receiptType, eventId: read, threadId: null });
    }
    const fullyRead = body["m.fully_read"] ?? null;
    if (fullyRead !== null) await moveFullyRead(context, auth, params.roomId, fullyRead);
    return {};
  },
);

/** Moves the marker. "The event MUST belong to the room." @throws MatrixError M_NOT_FOUND when it does not, or is not visible */
export async function moveFullyRead(
  { actors }: Services,
  auth: UserAuth,
  roomId: RoomId,
  event: EventId,
): Promise<void> {
  await actors.room(roomId).getEvent(auth.userId, auth.deviceId, event);
  await actors.user(auth.userId).setFullyRead(roomId, event);
}

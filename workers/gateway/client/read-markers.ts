import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { MatrixError } from "../../../shared/errors.ts";
import { type EventId, parseEventId, type RoomId } from "../../../shared/ids.ts";
import { type JsonObject, stringField } from "../../../shared/json.ts";
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

/**
 * Moves the marker, and never back: a device that was away may say late what it had read. "The event MUST belong to the
 * room."
 * @throws MatrixError M_NOT_FOUND when it does not, or is not visible
 */
export async function moveFullyRead(
  { actors }: Services,
  auth: UserAuth,
  roomId: RoomId,
  event: EventId,
): Promise<void> {
  const user = actors.user(auth.userId);
  const stored = await user.getAccountData(roomId, "m.fully_read").catch(noneYet);
  const before = parseEventId(stringField(stored, "event_id") ?? "");
  if (await actors.room(roomId).isAfter(auth.userId, event, before)) await user.setFullyRead(roomId, event);
}

function noneYet(thrown: unknown): JsonObject {
  if (thrown instanceof MatrixError && thrown.errcode === "M_NOT_FOUND") return {};
  throw thrown;
}

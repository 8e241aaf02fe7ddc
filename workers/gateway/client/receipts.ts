import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";

/** `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}` — https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid */
export const postReceipt = endpoint(
  {
    operationId: "postReceipt",
    method: "POST",
    path: "/_matrix/client/v3/rooms/:roomId/receipt/:receiptType/:eventId",
    aliases: ["/_matrix/client/r0/rooms/:roomId/receipt/:receiptType/:eventId"],
    auth: "accessToken",
    body: v.object({ thread_id: v.optional(v.unknown()) }),
    allowsEmptyBody: true,
  },
  async ({ params, auth, body, actors }) => {
    const { receiptType, eventId, roomId } = params;
    const threadId = threadOf(body.thread_id);
    if (receiptType === "m.fully_read") {
      if (threadId !== null) throw errors.invalidParam("thread_id does not go with m.fully_read");
      await actors.user(auth.userId).moveFullyRead(roomId, eventId);
      return {};
    }
    if (receiptType !== "m.read" && receiptType !== "m.read.private") {
      throw errors.invalidParam("receiptType: must be m.read, m.read.private or m.fully_read");
    }
    await actors.room(roomId).sendReceipt({ userId: auth.userId, receiptType, eventId, threadId });
    return {};
  },
);

/** A thread that is given must be text, and not empty: both are M_INVALID_PARAM, whatever the type of the value. */
function threadOf(value: unknown): string | null {
  if (value === undefined) return null;
  if (typeof value !== "string" || value === "") throw errors.invalidParam("thread_id: must be a string, not empty");
  return value;
}

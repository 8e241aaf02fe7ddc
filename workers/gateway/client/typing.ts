import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { assertIsRequester } from "./requester.ts";

/** How long a user is typing who does not say for how long. */
const defaultTypingMs = 30_000;

/** `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid */
export const setTyping = endpoint(
  {
    operationId: "setTyping",
    method: "PUT",
    path: "/_matrix/client/v3/rooms/:roomId/typing/:userId",
    aliases: ["/_matrix/client/r0/rooms/:roomId/typing/:userId"],
    auth: "accessToken",
    body: v.object({ typing: v.boolean(), timeout: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0))) }),
  },
  async ({ params, auth, body, actors }) => {
    assertIsRequester(auth, params.userId);
    const timeoutMs = body.timeout ?? defaultTypingMs;
    await actors.room(params.roomId).setTyping({ userId: auth.userId, typing: body.typing, timeoutMs });
    return {};
  },
);

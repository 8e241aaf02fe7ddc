import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { type JsonObject, objectField } from "../../../shared/json.ts";
import { anyBody, parseBody } from "../../../shared/validate.ts";
import { assertIsRequester } from "./requester.ts";

const tagPath = "/_matrix/client/v3/user/:userId/rooms/:roomId/tags/:tag";
const tagAliases = ["/_matrix/client/r0/user/:userId/rooms/:roomId/tags/:tag"];

/** "The name of a tag MUST NOT exceed 255 bytes." */
const maxTagBytes = 255;

/** `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags */
export const getRoomTags = endpoint(
  {
    operationId: "getRoomTags",
    method: "GET",
    path: "/_matrix/client/v3/user/:userId/rooms/:roomId/tags",
    aliases: ["/_matrix/client/r0/user/:userId/rooms/:roomId/tags"],
    auth: "accessToken",
  },
  async ({ params, auth, actors }) => {
    assertIsRequester(auth, params.userId);
    const content = await actors.user(auth.userId).getAccountData(params.roomId, "m.tag").catch(noneYet);
    return { tags: objectField(content, "tags") ?? {} };
  },
);

function noneYet(thrown: unknown): JsonObject {
  if (thrown instanceof MatrixError && thrown.errcode === "M_NOT_FOUND") return {};
  throw thrown;
}

/** What the spec says of a tag's content. The rest of it is the client's own, and kept as it came. */
const tagBody = v.object({ order: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))) });

/** `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag */
export const setRoomTag = endpoint(
  {
    operationId: "setRoomTag",
    method: "PUT",
    path: tagPath,
    aliases: tagAliases,
    auth: "accessToken",
    body: anyBody,
  },
  async ({ params, auth, body, actors }) => {
    assertIsRequester(auth, params.userId);
    if (new TextEncoder().encode(params.tag).length > maxTagBytes) {
      throw errors.invalidParam(`tag: longer than ${maxTagBytes} bytes`);
    }
    parseBody(tagBody, body);
    await actors.user(auth.userId).setRoomTag(params.roomId, params.tag, body);
    return {};
  },
);

/** `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}` — https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag */
export const deleteRoomTag = endpoint(
  { operationId: "deleteRoomTag", method: "DELETE", path: tagPath, aliases: tagAliases, auth: "accessToken" },
  async ({ params, auth, actors }) => {
    assertIsRequester(auth, params.userId);
    await actors.user(auth.userId).setRoomTag(params.roomId, params.tag, null);
    return {};
  },
);

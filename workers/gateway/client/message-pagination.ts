import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import type { RoomId } from "../../../shared/ids.ts";
import { field, type JsonObject, stringField } from "../../../shared/json.ts";
import { parseRoomToken } from "../../../shared/matrix/stream-token.ts";
import type { MessagesInput } from "../../../shared/rpc/room.ts";
import { queryFilter, queryInteger } from "../../../shared/validate.ts";
import { fetchGap, maxWaitMs } from "./filling-gaps.ts";
import { roomPositionOf } from "./room-position.ts";

const defaultLimit = 10;
const maxLimit = 1000;
/** How often other servers are asked for one page, at most: each time they give up to 100 events. */
const maxRounds = 10;

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
      // Required, but who may not read the room hears of that first.
      dir: v.optional(v.picklist(["b", "f"])),
      limit: v.optional(queryInteger(maxLimit)),
      filter: v.optional(queryFilter),
    }),
  },
  async (context) => {
    const { params, auth, query } = context;
    const place = { userId: auth.userId, roomId: params.roomId };
    const from = await roomPositionOf(context, { token: query.from, ...place });
    const to = await roomPositionOf(context, { token: query.to, ...place });
    const ignoredUsers = await context.actors.user(auth.userId).getIgnoredUsers();
    return await readPage(context, params.roomId, {
      requester: auth.userId,
      deviceId: auth.deviceId,
      from,
      to,
      dir: query.dir ?? null,
      limit: query.limit ?? defaultLimit,
      filter: query.filter ?? null,
      ignoredUsers,
    });
  },
);

/** A page which, where it ends at a gap, is read anew once other servers have given what is missing there. */
async function readPage(services: Services, roomId: RoomId, input: MessagesInput): Promise<JsonObject> {
  const room = services.actors.room(roomId);
  const deadline = services.clock.now() + maxWaitMs;
  let page = await room.getMessages(input);
  for (let round = 0; round < maxRounds && isShort(page, input); round += 1) {
    const gap = await room.findGap(input.requester, parseRoomToken(stringField(page, "end") ?? ""));
    if (gap === null || !(await fetchGap(services, roomId, gap, deadline))) break;
    page = await room.getMessages(input);
  }
  return page;
}

function isShort(page: JsonObject, { dir, limit }: MessagesInput): boolean {
  const chunk = field(page, "chunk");
  return dir === "b" && Array.isArray(chunk) && chunk.length < limit;
}

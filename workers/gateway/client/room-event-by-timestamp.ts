import * as v from "valibot";
import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { getEventByTimestamp as askForEvent } from "../../../shared/federation-api/events.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import type { RoomId, UserId } from "../../../shared/ids.ts";
import type { Gap, NearestEvent } from "../../../shared/rpc/room-history.ts";
import { queryInteger } from "../../../shared/validate.ts";
import { fetchGap, inTime, maxWaitMs } from "./filling-gaps.ts";

/** How often other servers are asked for more of the past, at most: each time they give up to 100 events. */
const maxRounds = 10;

/** `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event */
export const getEventByTimestamp = endpoint(
  {
    operationId: "getEventByTimestamp",
    method: "GET",
    path: "/_matrix/client/v1/rooms/:roomId/timestamp_to_event",
    aliases: ["/_matrix/client/unstable/org.matrix.msc3030/rooms/:roomId/timestamp_to_event"],
    auth: "accessToken",
    query: v.object({ ts: queryInteger(Number.MAX_SAFE_INTEGER), dir: v.picklist(["f", "b"]) }),
  },
  async (context) => {
    const { params, auth, query } = context;
    const event = await findNearest(context, params.roomId, { requester: auth.userId, ...query });
    if (event === null) throw errors.notFound(`Unable to find an event from ${query.ts} in this direction`);
    return { event_id: event.eventId, origin_server_ts: event.originServerTs };
  },
);

interface Search {
  readonly requester: UserId;
  readonly ts: number;
  readonly dir: "f" | "b";
}

/**
 * The nearest event that is here or, where there is a gap at that time and another server knows a nearer one, can be had
 * with what lies between: only then can the client read around it.
 */
async function findNearest(services: Services, roomId: RoomId, search: Search): Promise<NearestEvent["event"]> {
  const room = services.actors.room(roomId);
  const deadline = services.clock.now() + maxWaitMs;
  let { event, gap } = await room.findNearest(search);
  if (gap === null || !(await isNearerElsewhere(services, { roomId, gap, search, event }))) return event;
  for (let round = 0; round < maxRounds && gap !== null; round += 1) {
    if (!(await fetchGap(services, roomId, gap, deadline))) break;
    ({ event, gap } = await room.findNearest(search));
  }
  return event;
}

/** Whether a server that may have what is missing knows an event nearer to the time. */
async function isNearerElsewhere(
  services: Services,
  { roomId, gap, search, event }: { roomId: RoomId; gap: Gap; search: Search; event: NearestEvent["event"] },
): Promise<boolean> {
  const { ts, dir } = search;
  const server = gap.servers.find((name) => mayTalkTo(services.config, name));
  if (server === undefined) return false;
  const asked = await inTime(services, maxWaitMs, askForEvent(services.egress, server, { roomId, ts, dir }));
  if (asked === null || !asked.ok) return false;
  const { originServerTs } = asked.value;
  const isBeyond = dir === "f" ? originServerTs >= ts : originServerTs <= ts;
  return isBeyond && (event === null || Math.abs(originServerTs - ts) < Math.abs(event.originServerTs - ts));
}

import * as v from "valibot";
import { endpoint, StreamedJson } from "../../../shared/endpoint.ts";
import { eventIdList } from "../../../shared/federation-api/pdu-lists.ts";
import { parseEventId } from "../../../shared/ids.ts";
import { queryInteger, queryList } from "../../../shared/validate.ts";
import { inOnePart } from "./pdu-stream.ts";

/** Ids of one request that are looked at, at most. */
const maxIds = 200;
const maxHistory = 100;
const defaultMissing = 10;
const maxMissing = 20;

const integer = v.pipe(v.number(), v.safeInteger());

/** `GET /_matrix/federation/v1/backfill/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid */
export const backfillRoom = endpoint(
  {
    operationId: "backfillRoom",
    method: "GET",
    path: "/_matrix/federation/v1/backfill/:roomId",
    auth: "serverSignature",
    query: v.object({ v: queryList, limit: queryInteger(maxHistory) }),
  },
  async ({ params, auth, query, actors, config, clock }) => {
    const from = query.v.slice(0, maxIds).flatMap((text) => parseEventId(text) ?? []);
    const input = { origin: auth.origin, from, limit: query.limit };
    const pdus = await actors.room(params.roomId).getHistory(input);
    await actors.server(auth.origin).noteSharedRoom(params.roomId);
    const facts = JSON.stringify({ origin: config.serverName, origin_server_ts: clock.now() });
    return new StreamedJson(inOnePart(`${facts.slice(0, -1)},"pdus":[${pdus.join(",")}]}`));
  },
);

/** `POST /_matrix/federation/v1/get_missing_events/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
export const getMissingPreviousEvents = endpoint(
  {
    operationId: "getMissingPreviousEvents",
    method: "POST",
    path: "/_matrix/federation/v1/get_missing_events/:roomId",
    auth: "serverSignature",
    body: v.object({
      earliest_events: eventIdList(maxIds),
      latest_events: eventIdList(maxIds),
      limit: v.nullish(v.pipe(integer, v.minValue(0)), defaultMissing),
      min_depth: v.nullish(integer, 0),
    }),
  },
  async ({ params, auth, body, actors }) => {
    const pdus = await actors.room(params.roomId).getMissing({
      origin: auth.origin,
      earliestEvents: body.earliest_events,
      latestEvents: body.latest_events,
      limit: Math.min(body.limit ?? defaultMissing, maxMissing),
      minDepth: body.min_depth ?? 0,
    });
    await actors.server(auth.origin).noteSharedRoom(params.roomId);
    return new StreamedJson(inOnePart(`{"events":[${pdus.join(",")}]}`));
  },
);

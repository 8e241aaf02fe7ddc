/** What is asked about events that others follow. */
import * as v from "valibot";
import type { EventId, RoomId, ServerName } from "../ids.ts";
import { parseEventLists } from "../json-text.ts";
import type { EgressRpc } from "../rpc/egress.ts";
import type { Client } from "../rpc/reply.ts";
import type { PduText } from "../rpc/room-peers.ts";
import { type Asked, askPeer } from "./ask.ts";
import { pduList } from "./pdu-lists.ts";

/** Events that are asked for at once, at most. */
export const maxMissingEvents = 20;
export const maxBackfill = 100;

const timeoutMs = 30_000;
const maxEventBytes = 65_536;
/** Room for what is around the events. */
const slackBytes = 65_536;

/** `POST /_matrix/federation/v1/get_missing_events/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1get_missing_eventsroomid */
export async function getMissingPreviousEvents(
  egress: Client<EgressRpc>,
  destination: ServerName,
  roomId: RoomId,
  wanted: { earliestEvents: readonly EventId[]; latestEvents: readonly EventId[]; minDepth: number },
): Promise<Asked<PduText[]>> {
  const path = `/_matrix/federation/v1/get_missing_events/${encodeURIComponent(roomId)}`;
  const content = JSON.stringify({
    earliest_events: wanted.earliestEvents,
    latest_events: wanted.latestEvents,
    limit: maxMissingEvents,
    min_depth: wanted.minDepth,
  });
  const maxBytes = maxMissingEvents * maxEventBytes * 2 + slackBytes;
  const request = { destination, method: "POST" as const, path, content, timeoutMs, maxBytes };
  const asked = await askPeer(egress, request, v.object({ events: pduList(maxMissingEvents) }), parseEventLists);
  return asked.ok ? { ok: true, value: asked.value.events } : asked;
}

/** `GET /_matrix/federation/v1/backfill/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1backfillroomid */
export async function backfillRoom(
  egress: Client<EgressRpc>,
  destination: ServerName,
  roomId: RoomId,
  wanted: { from: readonly EventId[]; limit: number },
): Promise<Asked<PduText[]>> {
  const limit = Math.min(wanted.limit, maxBackfill);
  const query = new URLSearchParams([...wanted.from.map((eventId) => ["v", eventId]), ["limit", String(limit)]]);
  const path = `/_matrix/federation/v1/backfill/${encodeURIComponent(roomId)}?${query}`;
  const maxBytes = limit * maxEventBytes * 2 + slackBytes;
  const request = { destination, method: "GET" as const, path, content: null, timeoutMs, maxBytes };
  const asked = await askPeer(egress, request, v.object({ pdus: pduList(limit) }), parseEventLists);
  return asked.ok ? { ok: true, value: asked.value.pdus } : asked;
}

/** What is asked about single events, states and auth chains. */
import * as v from "valibot";
import type { EventId, RoomId, ServerName } from "../ids.ts";
import { parseEventLists } from "../json-text.ts";
import type { EgressRpc, PeerRequest } from "../rpc/egress.ts";
import type { Client } from "../rpc/reply.ts";
import type { PduText } from "../rpc/room-peers.ts";
import { eventId, type Schema } from "../validate.ts";
import { type Asked, askPeer } from "./ask.ts";
import { eventIdList, pduList } from "./pdu-lists.ts";

/** Ids of a state, or of its auth chain, that are looked at, at most. */
export const maxStateIds = 200_000;
/** Events of an auth chain or a state that are looked at, at most. */
export const maxStateEvents = 20_000;

/** The longest list of ids, and the longest list of events, that an actor can hold while it is looked through. */
const maxIdBytes = 16 * 1024 * 1024;
const maxStateBytes = 16 * 1024 * 1024;
const maxEventBytes = 256 * 1024;

interface Question<T> {
  readonly egress: Client<EgressRpc>;
  readonly destination: ServerName;
  readonly path: string;
  readonly maxBytes: number;
  readonly schema: Schema<T>;
}

function ask<T>({ egress, destination, path, maxBytes, schema }: Question<T>): Promise<Asked<T>> {
  const request = { destination, method: "GET" as const, path, content: null, timeoutMs: 60_000, maxBytes };
  return askPeer(egress, request, schema, parseEventLists);
}

const federation = "/_matrix/federation/v1";

/**
 * `GET /_matrix/federation/v1/event/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1eventeventid
 *
 * @returns the event as it was given: whether it has that id is for the room to see. Null: there was none in the answer.
 */
export async function getEvent(
  egress: Client<EgressRpc>,
  destination: ServerName,
  eventId: EventId,
): Promise<Asked<PduText | null>> {
  const path = `${federation}/event/${encodeURIComponent(eventId)}`;
  const schema = v.object({ pdus: pduList(1) });
  const asked = await ask({ egress, destination, path, maxBytes: maxEventBytes, schema });
  return asked.ok ? { ok: true, value: asked.value.pdus[0] ?? null } : asked;
}

/**
 * `GET /_matrix/federation/v1/state_ids/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1state_idsroomid
 * @returns the state before the event.
 */
export async function getRoomStateIds(
  egress: Client<EgressRpc>,
  destination: ServerName,
  at: { roomId: RoomId; eventId: EventId },
): Promise<Asked<{ stateIds: EventId[]; authChainIds: EventId[] }>> {
  const schema = v.object({ pdu_ids: eventIdList(maxStateIds), auth_chain_ids: eventIdList(maxStateIds) });
  const asked = await ask({ egress, destination, path: statePath("state_ids", at), maxBytes: maxIdBytes, schema });
  if (!asked.ok) return asked;
  return { ok: true, value: { stateIds: asked.value.pdu_ids, authChainIds: asked.value.auth_chain_ids } };
}

/**
 * `GET /_matrix/federation/v1/state/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1stateroomid
 * @returns the request, for an answer of any length that is read piece by piece.
 */
export function stateRequest(destination: ServerName, at: { roomId: RoomId; eventId: EventId }): PeerRequest {
  return {
    destination,
    method: "GET",
    path: statePath("state", at),
    content: null,
    isSigned: true,
    timeoutMs: 600_000,
    maxBytes: 500_000_000,
  };
}

/** `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1event_authroomideventid */
export async function getEventAuth(
  egress: Client<EgressRpc>,
  destination: ServerName,
  at: { roomId: RoomId; eventId: EventId },
): Promise<Asked<PduText[]>> {
  const path = `${federation}/event_auth/${encodeURIComponent(at.roomId)}/${encodeURIComponent(at.eventId)}`;
  const schema = v.object({ auth_chain: pduList(maxStateEvents) });
  const asked = await ask({ egress, destination, path, maxBytes: maxStateBytes, schema });
  return asked.ok ? { ok: true, value: asked.value.auth_chain } : asked;
}

/** `GET /_matrix/federation/v1/timestamp_to_event/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1timestamp_to_eventroomid */
export async function getEventByTimestamp(
  egress: Client<EgressRpc>,
  destination: ServerName,
  { roomId, ts, dir }: { roomId: RoomId; ts: number; dir: "f" | "b" },
): Promise<Asked<{ eventId: EventId; originServerTs: number }>> {
  const path = `${federation}/timestamp_to_event/${encodeURIComponent(roomId)}?ts=${ts}&dir=${dir}`;
  const schema = v.object({ event_id: eventId, origin_server_ts: v.pipe(v.number(), v.safeInteger()) });
  const asked = await ask({ egress, destination, path, maxBytes: maxEventBytes, schema });
  if (!asked.ok) return asked;
  return { ok: true, value: { eventId: asked.value.event_id, originServerTs: asked.value.origin_server_ts } };
}

function statePath(endpoint: "state" | "state_ids", { roomId, eventId }: { roomId: RoomId; eventId: EventId }): string {
  return `${federation}/${endpoint}/${encodeURIComponent(roomId)}?event_id=${encodeURIComponent(eventId)}`;
}

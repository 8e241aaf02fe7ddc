/** Asking another server about its users and its room aliases. */
import * as v from "valibot";
import { parseServerName, type RoomAlias, type RoomId, type ServerName, serverNameOf, type UserId } from "../ids.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import { parseJson } from "../json-text.ts";
import type { EgressRpc } from "../rpc/egress.ts";
import type { Client } from "../rpc/reply.ts";
import { anyObject, roomId } from "../validate.ts";
import { type Asked, askPeer } from "./ask.ts";

const timeoutMs = 10_000;
const maxProfileBytes = 128 * 1024;
const maxDirectoryBytes = 256 * 1024;
/** Servers of one answer that are looked at. */
const maxServers = 500;

const serverList = v.pipe(
  v.custom<JsonValue[]>(Array.isArray),
  v.transform((values): ServerName[] =>
    values.slice(0, maxServers).flatMap((value) => (typeof value === "string" ? (parseServerName(value) ?? []) : [])),
  ),
);

/**
 * `GET /_matrix/federation/v1/query/profile` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile
 * @param field null: the whole profile
 */
export function queryProfile(
  egress: Client<Pick<EgressRpc, "request">>,
  userId: UserId,
  field: string | null,
  deadlineMs: number = timeoutMs,
): Promise<Asked<JsonObject>> {
  const query = new URLSearchParams({ user_id: userId, ...(field === null ? {} : { field }) });
  const path = `/_matrix/federation/v1/query/profile?${query}`;
  const asking = { destination: serverNameOf(userId), method: "GET" as const, path, content: null };
  const request = { ...asking, timeoutMs: deadlineMs, maxBytes: maxProfileBytes };
  return askPeer(egress, request, anyObject, parseJson);
}

/** `GET /_matrix/federation/v1/query/directory` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory */
export async function queryDirectory(
  egress: Client<EgressRpc>,
  alias: RoomAlias,
): Promise<Asked<{ roomId: RoomId; servers: ServerName[] }>> {
  const path = `/_matrix/federation/v1/query/directory?${new URLSearchParams({ room_alias: alias })}`;
  const destination = serverNameOf(alias);
  const request = { destination, method: "GET" as const, path, content: null, timeoutMs, maxBytes: maxDirectoryBytes };
  const asked = await askPeer(egress, request, v.object({ room_id: roomId, servers: serverList }));
  return asked.ok ? { ok: true, value: { roomId: asked.value.room_id, servers: asked.value.servers } } : asked;
}

/** Asking another server for a space and the rooms that it lists. */
import * as v from "valibot";
import type { RoomId, ServerName } from "../ids.ts";
import { field, isObject, type JsonObject, type JsonValue } from "../json.ts";
import { parseJson } from "../json-text.ts";
import type { EgressRpc } from "../rpc/egress.ts";
import type { Client } from "../rpc/reply.ts";
import { anyObject, roomId as roomIdSchema } from "../validate.ts";
import { type Asked, askPeer } from "./ask.ts";

const timeoutMs = 10_000;
const maxBytes = 4 * 1024 * 1024;
/** Rooms and events of one answer that are looked at. */
const maxEntries = 500;

/** The wire's `RoomSummary`, cut down to what the specification names. */
const roomSummary = v.object({
  room_id: roomIdSchema,
  num_joined_members: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  world_readable: v.boolean(),
  guest_can_join: v.boolean(),
  name: v.optional(v.string()),
  topic: v.optional(v.string()),
  canonical_alias: v.optional(v.string()),
  avatar_url: v.optional(v.string()),
  join_rule: v.optional(v.string()),
  room_type: v.optional(v.nullable(v.string())),
  allowed_room_ids: v.optional(v.nullable(v.array(v.string()))),
  encryption: v.optional(v.nullable(v.string())),
  room_version: v.optional(v.nullable(v.string())),
});

export type RemoteSummary = v.InferOutput<typeof roomSummary>;

export interface RemoteHierarchy {
  readonly room: RemoteSummary;
  /** The `m.space.child` events of the room, stripped, whatever their shape. */
  readonly childrenState: readonly JsonObject[];
  /** Rooms that the space lists, as far as they could be understood. */
  readonly children: readonly RemoteSummary[];
  /** Rooms of which the server says that our users can neither join nor read them. */
  readonly inaccessible: readonly string[];
}

const list: v.GenericSchema<unknown, JsonValue[]> = v.custom<JsonValue[]>(Array.isArray);

const answerSchema = v.object({
  room: anyObject,
  children: v.optional(list, []),
  inaccessible_children: v.optional(v.array(v.string()), []),
});

/** `GET /_matrix/federation/v1/hierarchy/{roomId}` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid */
export async function fetchHierarchy(
  egress: Client<EgressRpc>,
  destination: ServerName,
  { roomId, suggestedOnly }: { roomId: RoomId; suggestedOnly: boolean },
): Promise<Asked<RemoteHierarchy>> {
  const path = `/_matrix/federation/v1/hierarchy/${encodeURIComponent(roomId)}?suggested_only=${suggestedOnly}`;
  const request = { destination, method: "GET" as const, path, content: null, timeoutMs, maxBytes };
  const asked = await askPeer(egress, request, answerSchema, parseJson);
  if (!asked.ok) return asked;
  const room = v.safeParse(roomSummary, asked.value.room);
  if (!room.success || room.output.room_id !== roomId) {
    return { ok: false, status: null, reason: "its answer is not about the room" };
  }
  const childrenState = field(asked.value.room, "children_state");
  const children = objectsOf(asked.value.children).flatMap((child) => {
    const parsed = v.safeParse(roomSummary, child);
    return parsed.success ? [parsed.output] : [];
  });
  const inaccessible = asked.value.inaccessible_children;
  return { ok: true, value: { room: room.output, childrenState: objectsOf(childrenState), children, inaccessible } };
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.slice(0, maxEntries).filter(isObject) : [];
}

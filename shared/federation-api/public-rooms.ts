/** Public room directories: the body of a search, and asking another server for its list. */
import * as v from "valibot";
import type { ServerName } from "../ids.ts";
import { isObject, type JsonObject, type JsonValue, withFields } from "../json.ts";
import { parseJson } from "../json-text.ts";
import type { EgressRpc } from "../rpc/egress.ts";
import type { Client } from "../rpc/reply.ts";
import { objectOf } from "../validate.ts";
import { type Asked, askPeer } from "./ask.ts";

/** What `POST /publicRooms` may say, of clients and of servers. */
export const publicRoomsBody = v.object({
  limit: v.nullish(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  since: v.nullish(v.string()),
  filter: v.nullish(
    objectOf({
      generic_search_term: v.nullish(v.string()),
      room_types: v.nullish(v.pipe(v.array(v.nullable(v.string())), v.maxLength(100))),
    }),
  ),
  third_party_instance_id: v.nullish(v.string()),
});

/** A page of another server's list. */
export interface RemotePublicRooms {
  readonly limit: number;
  readonly since: string | null;
  readonly searchTerm: string | null;
  readonly roomTypes: (string | null)[] | null;
}

const timeoutMs = 20_000;
const maxBytes = 4 * 1024 * 1024;
const federationPath = "/_matrix/federation/v1/publicRooms";

const listOfObjects = v.pipe(
  v.custom<JsonValue[]>(Array.isArray),
  v.transform((values): JsonObject[] => values.filter(isObject)),
);

const answerSchema = v.object({
  chunk: listOfObjects,
  next_batch: v.optional(v.string()),
  prev_batch: v.optional(v.string()),
  total_room_count_estimate: v.optional(v.pipe(v.number(), v.safeInteger())),
});

/** `GET` or, where something is searched for, `POST /_matrix/federation/v1/publicRooms` — https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1publicrooms */
export async function fetchPublicRooms(
  egress: Client<EgressRpc>,
  destination: ServerName,
  { limit, since, searchTerm, roomTypes }: RemotePublicRooms,
): Promise<Asked<JsonObject>> {
  const isSearch = searchTerm !== null || roomTypes !== null;
  const query = new URLSearchParams({ limit: String(limit), ...(since === null ? {} : { since }) });
  const filter = {
    ...(searchTerm === null ? {} : { generic_search_term: searchTerm }),
    ...(roomTypes === null ? {} : { room_types: roomTypes }),
  };
  const asked = await askPeer(
    egress,
    {
      destination,
      method: isSearch ? "POST" : "GET",
      path: isSearch ? federationPath : `${federationPath}?${query}`,
      content: isSearch ? JSON.stringify({ limit, ...(since === null ? {} : { since }), filter }) : null,
      timeoutMs,
      maxBytes,
    },
    answerSchema,
    parseJson,
  );
  if (!asked.ok) return asked;
  const { chunk, ...counts } = asked.value;
  return { ok: true, value: withFields({ chunk }, counts) };
}

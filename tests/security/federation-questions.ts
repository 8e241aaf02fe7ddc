/** How other servers read rooms: every endpoint by which they do, and how one asks another. */
import { trusted } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { FederatedServer } from "../support/federation.ts";

const encode = encodeURIComponent;
const v1 = "/_matrix/federation/v1";

export interface Question {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body: JsonObject | null;
}

/** A question about an event of a room, or about the events before it. */
export type Ask = (roomId: string, eventId: string) => Question;

/** @param path below `/_matrix/federation/v1/` */
export const get = (path: string): Question => ({ method: "GET", path: `${v1}/${path}`, body: null });

/** Asks for the event nearest to a time, ms since epoch, from then on. */
export const askNearest = (roomId: string, ts: number): Question =>
  get(`timestamp_to_event/${encode(roomId)}?ts=${ts}&dir=f`);

/** Questions that name the room and an event. */
export const aboutEvents = {
  state: (roomId, eventId) => get(`state/${encode(roomId)}?event_id=${encode(eventId)}`),
  state_ids: (roomId, eventId) => get(`state_ids/${encode(roomId)}?event_id=${encode(eventId)}`),
  event_auth: (roomId, eventId) => get(`event_auth/${encode(roomId)}/${encode(eventId)}`),
  backfill: (roomId, eventId) => get(`backfill/${encode(roomId)}?limit=100&v=${encode(eventId)}`),
  get_missing_events: (roomId, eventId) => ({
    method: "POST",
    path: `${v1}/get_missing_events/${encode(roomId)}`,
    body: { earliest_events: [], latest_events: [eventId], limit: 20 },
  }),
} as const satisfies Readonly<Record<string, Ask>>;

/** The one question that names an event and no room. */
export const askEvent: Ask = (_roomId, eventId) => get(`event/${encode(eventId)}`);

/** Has a server ask another, as egress does. */
export async function askThrough(
  from: FederatedServer,
  to: string,
  { method, path, body }: Question,
): Promise<{ status: number; text: string }> {
  const answer = await from.egress.request({
    destination: trusted.serverName(to),
    method,
    path,
    content: body === null ? null : JSON.stringify(body),
    timeoutMs: 10_000,
    maxBytes: 10_000_000,
    isSigned: true,
  });
  if (answer.kind !== "answered") throw new Error(answer.reason);
  return answer;
}

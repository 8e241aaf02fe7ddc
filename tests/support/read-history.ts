/** Reading a room's history as clients do. */
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import type { FederatedReply, FederatedUser } from "./federation.ts";

export function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export function historyPage(person: FederatedUser, roomId: string, query: string): Promise<FederatedReply> {
  return person.get(`v3/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
}

/** All that a user is given reading back to the beginning, newest first. */
export async function readBack(person: FederatedUser, roomId: string, limit = 100): Promise<JsonObject[]> {
  const events: JsonObject[] = [];
  let from = "";
  for (let pages = 0; pages < 100; pages += 1) {
    const reply = await historyPage(person, roomId, `dir=b&limit=${limit}${from}`);
    if (reply.status !== 200) throw new Error(`no history: ${reply.text}`);
    events.push(...listOf(reply.body.chunk));
    if (reply.body.end === undefined) return events;
    from = `&from=${encodeURIComponent(String(reply.body.end))}`;
  }
  throw new Error("the history has no beginning");
}

/** The bodies of messages, in the order of the events. */
export function bodiesOf(events: readonly JsonObject[]): JsonValue[] {
  return events
    .filter((event) => event.type === "m.room.message")
    .map((event) => objectField(event, "content")?.body ?? null);
}

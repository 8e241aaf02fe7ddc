/** What people do and see, in words that hold for both servers: only the client-server API is used. */
import { setTimeout as sleep } from "node:timers/promises";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { type Client, type Reply, type TestUser, text } from "../support/client.ts";
import type { Pair, Side } from "./pair.ts";

/** Who has the room, and who comes from the other server. */
export interface Roles {
  readonly host: Side;
  readonly guest: Side;
}

/** Each scene is played both ways. */
export const ways = [
  ["a room of ours", (pair: Pair): Roles => ({ host: pair.ours, guest: pair.theirs })],
  ["a room of theirs", (pair: Pair): Roles => ({ host: pair.theirs, guest: pair.ours })],
] as const;

/** `rooms/{roomId}/…` of the client-server API. */
export function inRoom(roomId: string, rest: string): string {
  return `v3/rooms/${encodeURIComponent(roomId)}/${rest}`;
}

/** The answer, which must be 200. @throws Error with what the server said */
export async function ok(answer: Promise<Reply>): Promise<JsonObject> {
  const reply = await answer;
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text.slice(0, 1_000)}`);
  return reply.body;
}

/** Makes a room that others may join. */
export async function makeOpenRoom(person: Client, version = "12", request: JsonObject = {}): Promise<string> {
  const reply = await person.post("v3/createRoom", { preset: "public_chat", room_version: version, ...request });
  return text(reply, "room_id");
}

/** Joins by a server that is in the room. */
export async function joinBy(person: Client, roomIdOrAlias: string, via: Side): Promise<string> {
  const by = encodeURIComponent(via.serverName);
  const path = `v3/join/${encodeURIComponent(roomIdOrAlias)}?via=${by}&server_name=${by}`;
  return text(await person.post(path, {}), "room_id");
}

let transactions = 0;

/** Sends an event. Gives its id. */
export async function send(person: Client, roomId: string, type: string, content: JsonObject): Promise<string> {
  transactions += 1;
  return text(await person.put(inRoom(roomId, `send/${type}/interop${transactions}`), content), "event_id");
}

/** Says something in a room. Gives the event's id. */
export function say(person: Client, roomId: string, body: string): Promise<string> {
  return send(person, roomId, "m.room.message", { msgtype: "m.text", body });
}

/** Sets a part of a room's state. Gives the event's id. */
export async function setState(
  person: Client,
  roomId: string,
  content: JsonObject,
  [type, stateKey = ""]: readonly [type: string, stateKey?: string],
): Promise<string> {
  const path = inRoom(roomId, `state/${type}/${encodeURIComponent(stateKey)}`);
  return text(await person.put(path, content), "event_id");
}

/** Kicks, bans, invites … @param action as in the path */
export async function act(person: Client, roomId: string, action: string, userId: string): Promise<void> {
  await ok(person.post(inRoom(roomId, action), { user_id: userId }));
}

/** The objects of a list. */
export function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** All of a room's timeline that a person is given, oldest first. */
export async function timeline(person: Client, roomId: string): Promise<JsonObject[]> {
  const events: JsonObject[] = [];
  let from = "";
  for (let pages = 0; pages < 200; pages += 1) {
    const page = await ok(person.get(inRoom(roomId, `messages?dir=b&limit=100${from}`)));
    events.push(...objects(page.chunk));
    if (typeof page.end !== "string") return events.reverse();
    from = `&from=${encodeURIComponent(page.end)}`;
  }
  throw new Error("the history has no beginning");
}

/** The bodies of the messages that a person is given, oldest first. */
export async function messages(person: Client, roomId: string): Promise<string[]> {
  return (await timeline(person, roomId))
    .filter((event) => event.type === "m.room.message")
    .map((event) => String(objectField(event, "content")?.body));
}

/** A room's current state as a member is given it: one line for each event, with all that both servers must agree on. */
export async function stateOf(person: Client, roomId: string): Promise<string[]> {
  const reply = await person.get(inRoom(roomId, "state"));
  if (reply.status !== 200) throw new Error(`no state: ${reply.status} ${reply.text}`);
  return objects(reply.json)
    .map((event) => {
      const { type, state_key, event_id, sender, origin_server_ts, content } = event;
      return JSON.stringify([type, state_key, event_id, sender, origin_server_ts, sorted(content ?? null)]);
    })
    .toSorted();
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, field]) => [name, sorted(field ?? null)]);
}

/** The membership of a user as a person in the room sees it; null where there is none. */
export async function membershipOf(person: Client, roomId: string, userId: string): Promise<string | null> {
  const reply = await person.get(inRoom(roomId, `state/m.room.member/${encodeURIComponent(userId)}`));
  return typeof reply.body.membership === "string" ? reply.body.membership : null;
}

/** A person's sync, from the beginning. */
export function sync(person: TestUser, query = ""): Promise<JsonObject> {
  return ok(person.get(`v3/sync?timeout=0${query}`));
}

/** What a field deep in an object is. */
export function at(value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined {
  let found = value;
  for (const name of path) found = isObject(found) ? found[name] : undefined;
  return found;
}

/**
 * Asks again until the answer is right.
 *
 * @throws Error with the last answer, if it has not become right in time.
 */
export async function eventually<Value>(
  look: () => Promise<Value>,
  isRight: (value: Value) => boolean,
  timeoutMs = 20_000,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await look().catch((thrown: unknown) => {
      if (Date.now() > deadline) throw thrown;
      return null;
    });
    if (value !== null && isRight(value)) return value;
    if (Date.now() > deadline) throw new Error(`not so in time: ${JSON.stringify(value)?.slice(0, 2_000)}`);
    await sleep(100);
  }
}

/** Waits until two people on different servers are given the same state. */
export async function untilSameState(one: Client, other: Client, roomId: string, timeoutMs = 30_000): Promise<void> {
  const both = async () => [await stateOf(one, roomId), await stateOf(other, roomId)] as const;
  const difference = ([here, there]: Awaited<ReturnType<typeof both>>) => ({
    onlyHere: here.filter((line) => !there.includes(line)),
    onlyThere: there.filter((line) => !here.includes(line)),
  });
  const look = async () => difference(await both());
  await eventually(look, ({ onlyHere, onlyThere }) => onlyHere.length + onlyThere.length === 0, timeoutMs);
}

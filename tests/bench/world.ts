/** Users, rooms and what they do, as the scenarios need them. */
import { isObject, type JsonValue, objectField, stringField } from "../../shared/json.ts";
import { type Api, textField } from "./http.ts";

const v3 = "/_matrix/client/v3";

/** A registered user on a set of connections. */
export interface User {
  readonly api: Api;
  readonly userId: string;
}

/** Lets a homeserver that keeps its users be measured again. */
const run = Date.now().toString(36);
let transactions = 0;

/** Registers users, named after `prefix`, through user-interactive authentication. */
export async function makeUsers(api: Api, prefix: string, count: number): Promise<User[]> {
  const users: User[] = [];
  for (let index = 0; index < count; index += 1) users.push(await makeUser(api, `${prefix}-${run}-${index}`));
  return users;
}

/** Registers one user, named after `prefix`. */
export async function makeOneUser(api: Api, prefix: string): Promise<User> {
  return makeUser(api, `${prefix}-${run}`);
}

async function makeUser(api: Api, username: string): Promise<User> {
  const registration = { username, password: `the password of ${username}` };
  const asked = await api.exchange("POST", `${v3}/register`, registration);
  if (asked.status !== 401) throw new Error(`registration was answered ${asked.status}: ${JSON.stringify(asked.body)}`);
  const auth = { type: "m.login.dummy", session: textField(asked.body, "session") };
  const answer = await api.call("POST", `${v3}/register`, { ...registration, auth });
  return { api: api.as(textField(answer, "access_token")), userId: textField(answer, "user_id") };
}

/** Makes a room that anybody may join, and has the members join it. */
export async function makeRoom(owner: User, members: readonly User[] = []): Promise<string> {
  const answer = await owner.api.call("POST", `${v3}/createRoom`, { preset: "public_chat", name: "Bench" });
  const roomId = textField(answer, "room_id");
  for (const member of members) await joinRoom(member, roomId);
  return roomId;
}

/** Joins a room. */
export async function joinRoom(user: User, roomId: string): Promise<void> {
  await user.api.call("POST", `${v3}/join/${encodeURIComponent(roomId)}`, {});
}

/** Sends a text message. @returns its event id */
export async function sendMessage(user: User, roomId: string): Promise<string> {
  transactions += 1;
  const path = `${v3}/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${run}-${transactions}`;
  const body = { msgtype: "m.text", body: `Message ${transactions}: ${"lorem ipsum ".repeat(8)}` };
  return textField(await user.api.call("PUT", path, body), "event_id");
}

/** Says that the user types, or has stopped. */
export async function setTyping(user: User, roomId: string, typing: boolean): Promise<void> {
  const path = `${v3}/rooms/${encodeURIComponent(roomId)}/typing/${encodeURIComponent(user.userId)}`;
  await user.api.call("PUT", path, typing ? { typing, timeout: 30_000 } : { typing });
}

/** Says that the user has read up to an event. */
export async function sendReceipt(user: User, roomId: string, eventId: string): Promise<void> {
  const path = `${v3}/rooms/${encodeURIComponent(roomId)}/receipt/m.read/${encodeURIComponent(eventId)}`;
  await user.api.call("POST", path, {});
}

/** Says that the user has read up to an event, and need not be led back further, as most clients do. */
export async function setReadMarker(user: User, roomId: string, eventId: string): Promise<void> {
  const path = `${v3}/rooms/${encodeURIComponent(roomId)}/read_markers`;
  await user.api.call("POST", path, { "m.fully_read": eventId, "m.read": eventId });
}

/** One answer of `/sync`. */
export interface Synced {
  readonly nextBatch: string;
  /** Ids of all timeline events of joined rooms, in order. */
  readonly eventIds: readonly string[];
  readonly rooms: number;
  /** Rooms whose timeline left a gap. */
  readonly gaps: number;
}

/** Asks for what is new since a token; for everything when it is null. */
export async function sync(user: User, since: string | null, timeoutMs = 0): Promise<Synced> {
  const query = new URLSearchParams({ timeout: String(timeoutMs) });
  if (since !== null) query.set("since", since);
  const answer = await user.api.call("GET", `${v3}/sync?${query}`);
  const joined = objectField(objectField(answer, "rooms") ?? {}, "join") ?? {};
  const timelines = Object.values(joined).map((room) => (isObject(room) ? (objectField(room, "timeline") ?? {}) : {}));
  return {
    nextBatch: textField(answer, "next_batch"),
    eventIds: timelines.flatMap((timeline) => eventIdsIn(timeline.events)),
    rooms: timelines.length,
    gaps: timelines.filter((timeline) => timeline.limited === true).length,
  };
}

/** One page of history, newest first. */
export async function readMessages(
  user: User,
  roomId: string,
  from: string | null,
  limit = 100,
): Promise<{ eventIds: string[]; end: string | null }> {
  const query = new URLSearchParams({ dir: "b", limit: String(limit) });
  if (from !== null) query.set("from", from);
  const answer = await user.api.call("GET", `${v3}/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
  return { eventIds: eventIdsIn(answer.chunk), end: stringField(answer, "end") };
}

/** A client that syncs without end. */
export interface Listener {
  /** Resolves when the client has been given the event. @returns the time of it, as of `performance.now()` */
  heard(eventId: string): Promise<number>;
  /** How often each event came. */
  readonly counts: ReadonlyMap<string, number>;
  /** Events that it was not given because a timeline left a gap may be missing then. */
  readonly gaps: () => number;
  stop(): void;
}

/** Starts a listening client on connections of its own. */
export async function listen(user: User): Promise<Listener> {
  const own = user.api.reconnected();
  const listening: User = { api: own, userId: user.userId };
  const counts = new Map<string, number>();
  const times = new Map<string, number>();
  const waiting = new Map<string, (time: number) => void>();
  let stopped = false;
  let gaps = 0;
  const hear = (eventIds: readonly string[]): void => {
    const now = performance.now();
    for (const eventId of eventIds) {
      counts.set(eventId, (counts.get(eventId) ?? 0) + 1);
      times.set(eventId, now);
      waiting.get(eventId)?.(now);
    }
  };
  const loop = async (first: string): Promise<void> => {
    let since = first;
    while (!stopped) {
      const answer = await sync(listening, since, 30_000);
      hear(answer.eventIds);
      gaps += answer.gaps;
      since = answer.nextBatch;
    }
  };
  const { nextBatch } = await sync(listening, null);
  void loop(nextBatch).catch((thrown: unknown) => {
    if (!stopped) throw thrown;
  });
  return {
    heard: (eventId) => {
      const time = times.get(eventId);
      return time === undefined ? new Promise((resolve) => waiting.set(eventId, resolve)) : Promise.resolve(time);
    },
    counts,
    gaps: () => gaps,
    stop: () => {
      stopped = true;
      own.close();
    },
  };
}

function eventIdsIn(events: JsonValue | undefined): string[] {
  if (!Array.isArray(events)) return [];
  return events.map((event) => textField(isObject(event) ? event : {}, "event_id"));
}

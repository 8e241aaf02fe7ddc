/** Transactions of another server: made and signed beforehand, sent one after the other, and looked for afterwards. */
import { setTimeout as delay } from "node:timers/promises";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";
import type { BenchPeer, Homeserver, JoinedRoom, PreparedRequest } from "./federation-peers.ts";
import { type Api, textField } from "./http.ts";
import { makeOneUser, readMessages, type User } from "./world.ts";

const roomCount = 20;
/** What a transaction can have at most. */
export const pdusPerTransaction = 50;
/**
 * How many transactions are sent at most beyond the last whose events are known to be visible. Synapse answers before it has
 * processed the events, and drops those of a room of which a hundred wait: here at most twenty do.
 */
const maxAhead = 8;
const visibleWithinMs = 120_000;
const longestPauseMs = 500;

/** Rooms of the homeserver, with a user who lives there and one of the peer. */
export interface Scene {
  readonly homeserver: Homeserver;
  readonly peer: BenchPeer;
  readonly alice: User;
  readonly rooms: readonly RoomBuilder[];
}

/** A transaction that can be sent, and one of its events, whose being visible stands for all. */
interface SignedTransaction {
  readonly request: PreparedRequest;
  readonly eventIds: readonly string[];
  readonly sample: { readonly roomId: string; readonly eventId: string };
}

/** What came of a run. */
export interface LoadResult {
  readonly pdus: number;
  /** From the first request until the last event was visible. */
  readonly seconds: number;
  /** Milliseconds from each request to its answer. */
  readonly times: readonly number[];
  /** Answers other than 200, and events of which an answer says that they were not taken. */
  readonly errors: number;
}

/** Makes public rooms, and has the peer join each of them by the handshake. */
export async function prepareScene(api: Api, homeserver: Homeserver, peer: BenchPeer): Promise<Scene> {
  const alice = await makeOneUser(api, "alice");
  const rooms: RoomBuilder[] = [];
  for (let index = 0; index < roomCount; index += 1) {
    const preset = { preset: "public_chat", room_version: "12", name: `Room ${index}` };
    const created = await alice.api.call("POST", "/_matrix/client/v3/createRoom", preset);
    rooms.push(continued(await peer.join(homeserver, textField(created, "room_id"))));
  }
  return { homeserver, peer, alice, rooms };
}

function continued({ version, state, join }: JoinedRoom): RoomBuilder {
  return RoomBuilder.continuing(version, [...state, join], [join]);
}

/** Makes transactions of messages, spread evenly over the rooms. Each message follows the one before it in its room. */
export async function signTransactions(scene: Scene, count: number): Promise<SignedTransaction[]> {
  const made: SignedTransaction[] = [];
  let messages = 0;
  for (let index = 0; index < count; index += 1) {
    const events = Array.from({ length: pdusPerTransaction }, () => {
      messages += 1;
      return nextMessage(scene, messages);
    });
    made.push(transactionOf(scene, events));
    // Else nobody sees that the server has closed a connection meanwhile.
    await delay(0);
  }
  return made;
}

function nextMessage({ peer, rooms }: Scene, number: number): MatrixEvent {
  const room = rooms[number % rooms.length];
  if (room === undefined) throw new Error("there are no rooms");
  return room.message(user(`@bob:${peer.name}`), `Message ${number}: ${"lorem ipsum ".repeat(8)}`);
}

function transactionOf({ homeserver, peer }: Scene, events: readonly MatrixEvent[]): SignedTransaction {
  const last = events.at(-1);
  if (last === undefined) throw new Error("a transaction has no events");
  const pdus = events.map(({ pdu }) => pdu);
  const content = { origin: peer.name, origin_server_ts: Date.now(), pdus, edus: [] };
  const uri = `/_matrix/federation/v1/send/${encodeURIComponent(last.eventId)}`;
  return {
    request: peer.prepare(homeserver, { method: "PUT", uri, content }),
    eventIds: events.map(({ eventId }) => eventId),
    sample: { roomId: last.roomId, eventId: last.eventId },
  };
}

/** Sends the transactions, each when the one before it is answered, and waits until all events are visible. */
export async function sendTransactions(
  scene: Scene,
  transactions: readonly SignedTransaction[],
  maxSeconds: number,
): Promise<LoadResult> {
  const times: number[] = [];
  let errors = 0;
  const startedAt = performance.now();
  const isOver = (): boolean => performance.now() - startedAt > maxSeconds * 1_000;
  for (const [index, { request }] of transactions.entries()) {
    if (isOver()) break;
    const past = transactions[index - maxAhead];
    if (past !== undefined) await untilVisible(scene.alice, past);
    const sentAt = performance.now();
    const { status, text } = await scene.peer.send(scene.homeserver, request);
    times.push(performance.now() - sentAt);
    errors += status === 200 ? countErrors(text) : 1;
  }
  const sent = transactions.slice(0, times.length);
  for (const transaction of sent.slice(-maxAhead)) await untilVisible(scene.alice, transaction);
  const seconds = (performance.now() - startedAt) / 1_000;
  return { pdus: sent.length * pdusPerTransaction, seconds, times, errors };
}

/** Events of the transactions that the local user does not find by reading the rooms back. */
export async function countMissing(scene: Scene, transactions: readonly SignedTransaction[]): Promise<number> {
  const missing = new Set(transactions.flatMap(({ eventIds }) => eventIds));
  for (const { roomId } of scene.rooms) {
    let from: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof readMessages>> = await readMessages(scene.alice, roomId, from, 1_000);
      for (const eventId of page.eventIds) missing.delete(eventId);
      from = page.eventIds.length === 0 ? null : page.end;
    } while (from !== null);
  }
  return missing.size;
}

async function untilVisible({ api }: User, { sample }: SignedTransaction): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(sample.roomId)}/event/${encodeURIComponent(sample.eventId)}`;
  const deadline = performance.now() + visibleWithinMs;
  let pauseMs = 20;
  while ((await api.exchange("GET", path)).status !== 200) {
    if (performance.now() > deadline) throw new Error(`${sample.eventId} was not visible in ${visibleWithinMs} ms`);
    await delay(pauseMs);
    // Asking takes time of the server that is measured.
    pauseMs = Math.min(pauseMs * 2, longestPauseMs);
  }
}

/** Results of the answer that say that an event was not taken. */
function countErrors(text: string): number {
  const answer: JsonValue = JSON.parse(text);
  const results: JsonObject = isObject(answer) ? (objectField(answer, "pdus") ?? {}) : {};
  const all = Object.values(results);
  const failed = all.filter((result) => !isObject(result) || result.error !== undefined).length;
  return failed + Math.max(0, pdusPerTransaction - all.length);
}

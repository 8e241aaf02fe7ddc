/** A person with a matrix-js-sdk client: what they do to come in, and what they see on their screen. */
import {
  type AuthDict,
  ClientEvent,
  createClient,
  Filter,
  type ICreateClientOpts,
  type IStartClientOpts,
  type MatrixClient,
  MatrixError,
  type MatrixEvent,
  type Room,
  SyncState,
} from "matrix-js-sdk";
import { logger as globalLogger } from "matrix-js-sdk/lib/logger.js";
import { expect, vi } from "vitest";
import type { Homeserver } from "./homeserver-process.ts";

/** How long a person waits for something to appear before they call it broken. */
export const patienceMs = 10_000;

/** One client of a person, with what its sync has brought. */
export interface Person {
  readonly client: MatrixClient;
  readonly userId: string;
  readonly password: string;
  /**
   * All events that came down sync, in the server's order. The SDK's own timeline puts what the person says where it was
   * said, before the server has put it anywhere, and drops repetitions: it cannot be asked about either.
   */
  readonly synced: readonly MatrixEvent[];
}

/** What a client may set when it starts. */
export interface ClientSettings {
  readonly initialSyncLimit?: number;
  /** Most events of a room in one sync; past that it leaves a gap. */
  readonly timelineLimit?: number;
  readonly lazyLoadMembers?: boolean;
}

/** Registers through user-interactive authentication, as a registration form does, and starts the client. */
export async function register(server: Homeserver, username: string, settings: ClientSettings = {}): Promise<Person> {
  const password = `correct horse ${username}`;
  const anonymous = createClient({ baseUrl: server.baseUrl, logger: quietLogger });
  const request = { username, password, initial_device_display_name: `${username}'s first device` };
  const refusal = await refusalOf(anonymous.registerRequest(request));
  expect(refusal.httpStatus).toBe(401);
  expect(refusal.data.flows).toContainEqual({ stages: ["m.login.dummy"] });
  const auth: AuthDict = { type: "m.login.dummy", session: String(refusal.data.session) };
  const session = await anonymous.registerRequest({ ...request, auth });
  expect(session.user_id).toBe(`@${username}:${server.serverName}`);
  return startPerson(server, { ...session, password }, settings);
}

/** Logs in on another device with the password. */
export async function logIn(server: Homeserver, person: Person, settings: ClientSettings = {}): Promise<Person> {
  const anonymous = createClient({ baseUrl: server.baseUrl, logger: quietLogger });
  const session = await anonymous.loginRequest({
    type: "m.login.password",
    identifier: { type: "m.id.user", user: person.userId },
    password: person.password,
    initial_device_display_name: "another device",
  });
  expect(session.user_id).toBe(person.userId);
  return startPerson(server, { ...session, password: person.password }, settings);
}

interface Session {
  readonly user_id: string;
  readonly access_token?: string;
  readonly device_id?: string;
  readonly password: string;
}

async function startPerson(server: Homeserver, session: Session, settings: ClientSettings): Promise<Person> {
  const { user_id: userId, access_token: accessToken, device_id: deviceId } = session;
  if (accessToken === undefined || deviceId === undefined) throw new Error("the session has no token or no device");
  const client = createClient({ baseUrl: server.baseUrl, userId, accessToken, deviceId, logger: quietLogger });
  const synced: MatrixEvent[] = [];
  client.on(ClientEvent.Event, (event) => {
    if (event.getId() !== undefined) synced.push(event);
  });
  await startClient(client, settings);
  return { client, userId, password: session.password, synced };
}

/** Starts the client's sync and waits for its first answer. */
export async function startClient(client: MatrixClient, settings: ClientSettings): Promise<void> {
  const filter = new Filter(client.getSafeUserId());
  filter.setTimelineLimit(settings.timelineLimit ?? 100);
  const options: IStartClientOpts = {
    filter,
    initialSyncLimit: settings.initialSyncLimit ?? 20,
    lazyLoadMembers: settings.lazyLoadMembers ?? false,
    pollTimeout: 20_000,
  };
  await client.startClient(options);
  await eventually(() => expect(client.getSyncState()).toBe(SyncState.Syncing));
}

/** Looks again and again until the expectation holds, as long as a person would. */
export function eventually<Value>(
  look: () => Value | Promise<Value>,
  timeout = patienceMs,
  interval = 10,
): Promise<Value> {
  return vi.waitFor(look, { timeout, interval });
}

/** The room as this client has it. @throws when the client does not know it */
export function roomOf(person: Person, roomId: string): Room {
  const room = person.client.getRoom(roomId);
  if (room === null) throw new Error(`${person.userId} does not see the room`);
  return room;
}

/** Waits until the client has joined the room in its own eyes. */
export function eventuallyJoined(person: Person, roomId: string): Promise<Room> {
  return eventually(() => {
    const room = roomOf(person, roomId);
    expect(room.getMyMembership()).toBe("join");
    return room;
  });
}

/** The texts on the person's screen, oldest first: messages of the live timeline that were not redacted. */
export function textsSeen(person: Person, roomId: string): string[] {
  return roomOf(person, roomId).getLiveTimeline().getEvents().filter(isMessage).map(textOf);
}

/** The texts that came down sync, in the room's order; one that came twice is there twice. */
export function textsSynced(person: Person, roomId: string): string[] {
  return person.synced.filter((event) => event.getRoomId() === roomId && isMessage(event)).map(textOf);
}

/** The newest message of the room, as sync gave it. */
export function newestMessage(person: Person, roomId: string): string {
  const newest = person.synced.findLast((event) => event.getRoomId() === roomId && isMessage(event));
  const eventId = newest?.getId();
  if (eventId === undefined) throw new Error(`${person.userId} sees no message`);
  return eventId;
}

function isMessage(event: MatrixEvent): boolean {
  return event.getType() === "m.room.message" && !event.isRedacted() && !event.isRelation("m.replace");
}

function textOf(event: MatrixEvent): string {
  return String(event.getContent().body);
}

/** The event with this id in the person's live timeline. */
export function eventSeen(person: Person, roomId: string, eventId: string): MatrixEvent {
  const event = roomOf(person, roomId).findEventById(eventId);
  if (event === undefined) throw new Error(`${person.userId} does not see the event ${eventId}`);
  return event;
}

/** The refusal with which a request must fail. @throws when it succeeds or fails otherwise */
export async function refusalOf(request: Promise<unknown>): Promise<MatrixError> {
  try {
    await request;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return thrown;
    throw thrown;
  }
  throw new Error("the server allowed what it should refuse");
}

const ignore = (): void => undefined;

type Logger = NonNullable<ICreateClientOpts["logger"]>;

/** The SDK's own log is of no use to who reads the test's output. */
const quietLogger: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  getChild: () => quietLogger,
};

// Parts of the SDK ignore the client's logger.
Object.assign(globalLogger, quietLogger, { log: ignore });

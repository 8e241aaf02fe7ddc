import { afterAll, beforeAll, expect } from "vitest";
import type { JsonValue } from "../../shared/json.ts";
import { type Client, clientOf, loginUser, type Reply, registerUser, type TestUser } from "../support/client.ts";
import { type Homeserver, type HomeserverOptions, startHomeserver } from "../support/homeserver.ts";

/** The homeserver of one test file. */
export interface TestServer {
  readonly url: string;
  readonly logs: readonly string[];
  /** Somebody without a session. */
  anybody(): Client;
  user(localpart?: string): Promise<TestUser>;
  login(localpart: string, password: string): Promise<TestUser>;
}

/** Starts a homeserver before a file's tests and stops it after them. */
export function useHomeserver(options: HomeserverOptions = {}): TestServer {
  let server: Homeserver | null = null;
  beforeAll(async () => {
    server = await startHomeserver(options);
  });
  afterAll(() => server?.stop());
  const running = () => {
    if (server === null) throw new Error("the server runs only while tests run");
    return server;
  };
  return {
    get url() {
      return running().baseUrl;
    },
    get logs() {
      return running().logs;
    },
    anybody: () => clientOf(running().baseUrl),
    user: (localpart) => registerUser(running().baseUrl, localpart),
    login: (localpart, password) => loginUser(running().baseUrl, localpart, password),
  };
}

/** Expects the spec's form of a refusal. */
export function expectError(reply: Reply, status: number, errcode: string): void {
  expect({ status: reply.status, errcode: reply.body.errcode }, reply.text).toEqual({ status, errcode });
  expect(typeof reply.body.error).toBe("string");
  expect(reply.headers.get("Content-Type")).toBe("application/json");
  expect(reply.headers.get("Access-Control-Allow-Origin")).toBe("*");
}

/** Expects success, with exactly this body where one is given. */
export function expectOk(reply: Reply, json?: JsonValue): void {
  expect(reply.status, reply.text).toBe(200);
  if (json !== undefined) expect(reply.json).toEqual(json);
}

/** A path whose parameters are encoded: path`v3/rooms/${roomId}/join`. */
export function path(strings: TemplateStringsArray, ...params: readonly string[]): string {
  return String.raw({ raw: strings }, ...params.map(encodeURIComponent));
}

/** A room that `creator` made and the others have joined. */
export async function roomOf(creator: TestUser, ...others: readonly TestUser[]): Promise<string> {
  const made = await creator.post("v3/createRoom", { preset: "public_chat" });
  const roomId = String(made.body.room_id);
  for (const other of others) expectOk(await other.post(path`v3/rooms/${roomId}/join`, {}));
  return roomId;
}

/** Sends a text message and gives its event id. */
export async function say(user: TestUser, roomId: string, body: string): Promise<string> {
  const reply = await user.put(path`v3/rooms/${roomId}/send/m.room.message/${body}`, { msgtype: "m.text", body });
  expectOk(reply);
  return String(reply.body.event_id);
}

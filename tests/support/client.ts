import { isObject, type JsonObject, type JsonValue } from "../../shared/json.ts";

/** An answer as a client sees it. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** The JSON of the answer; null where it is none. */
  readonly json: JsonValue;
  /** The answer where it is a JSON object; empty where it is none. */
  readonly body: JsonObject;
  readonly text: string;
}

/** What a request may say beside method and path. */
export interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: JsonValue;
  /** Sent as it is, in place of `body`. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A client without any state but its access token: what is tested is the server. */
export interface Client {
  readonly baseUrl: string;
  readonly accessToken: string | null;
  request(method: string, path: string, options?: RequestOptions): Promise<Reply>;
  get(path: string): Promise<Reply>;
  put(path: string, body?: JsonValue): Promise<Reply>;
  post(path: string, body?: JsonValue): Promise<Reply>;
  delete(path: string, body?: JsonValue): Promise<Reply>;
}

/** Makes a client; paths that begin with `v3/` or `v1/` are under `/_matrix/client/`. */
export function clientOf(baseUrl: string, accessToken: string | null = null): Client {
  const request: Client["request"] = async (method, path, options = {}) => {
    const headers: Record<string, string> = { ...options.headers };
    if (accessToken !== null) headers.Authorization ??= `Bearer ${accessToken}`;
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    const url = baseUrl + (/^v\d/.test(path) ? `/_matrix/client/${path}` : path);
    const response = await fetch(url, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return replyOf(response, await response.text());
  };
  const withBody = (method: string) => (path: string, body?: JsonValue) =>
    request(method, path, body === undefined ? {} : { body });
  return {
    baseUrl,
    accessToken,
    request,
    get: (path) => request("GET", path),
    put: withBody("PUT"),
    post: withBody("POST"),
    delete: withBody("DELETE"),
  };
}

function replyOf({ status, headers }: Response, text: string): Reply {
  const json = parse(text);
  return { status, headers, json, body: isObject(json) ? json : {}, text };
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** A registered user with a session. */
export interface TestUser extends Client {
  readonly userId: string;
  readonly deviceId: string;
  readonly password: string;
}

let made = 0;

/** Registers a user on a server with open registration. */
export async function registerUser(baseUrl: string, localpart?: string): Promise<TestUser> {
  made += 1;
  const username = localpart ?? `user${made}`;
  const password = `password of ${username}`;
  const reply = await clientOf(baseUrl).post("v3/register", { username, password, auth: { type: "m.login.dummy" } });
  return { ...sessionOf(baseUrl, reply), password };
}

/** One more session of a user. */
export function loginAgain(user: TestUser, deviceId?: string): Promise<TestUser> {
  return loginUser(user.baseUrl, user.userId, user.password, deviceId);
}

/** A session of a user. @param name user id or localpart */
export async function loginUser(baseUrl: string, name: string, password: string, deviceId?: string): Promise<TestUser> {
  const identifier = { type: "m.id.user", user: name };
  const request = { type: "m.login.password", identifier, password };
  const reply = await clientOf(baseUrl).post(
    "v3/login",
    deviceId === undefined ? request : { ...request, device_id: deviceId },
  );
  return { ...sessionOf(baseUrl, reply), password };
}

function sessionOf(baseUrl: string, { status, body, text }: Reply) {
  const { user_id: userId, device_id: deviceId, access_token: accessToken } = body;
  if (typeof userId !== "string" || typeof deviceId !== "string" || typeof accessToken !== "string") {
    throw new Error(`no session: ${status} ${text}`);
  }
  return { ...clientOf(baseUrl, accessToken), userId, deviceId };
}

/** The string `name` of an answer. @throws Error when it is not there */
export function text(reply: Reply, name: string): string {
  const value = reply.body[name];
  if (typeof value !== "string") throw new Error(`no ${name}: ${reply.status} ${reply.text}`);
  return value;
}

/** Makes a room and gives its id. */
export async function makeRoom(user: Client, request: JsonObject = {}): Promise<string> {
  return text(await user.post("v3/createRoom", request), "room_id");
}

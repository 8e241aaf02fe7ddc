/** A small HTTP client over kept connections, light enough to leave the machine to the server that is measured. */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { JsonObject } from "../../shared/json.ts";

const requestTimeoutMs = 60_000;

type Method = "GET" | "POST" | "PUT";

/** Calls one homeserver as one user, or as nobody. */
export interface Api {
  /** @throws Error when the answer's status is not 200. */
  call(method: Method, path: string, body?: JsonObject): Promise<JsonObject>;
  /** The answer, whatever its status. */
  exchange(method: Method, path: string, body?: JsonObject): Promise<{ status: number; body: JsonObject }>;
  /** The same homeserver with an access token. */
  as(accessToken: string): Api;
  /** The same user on connections of their own. */
  reconnected(): Api;
  /** Closes all connections. */
  close(): void;
}

/** An {@link Api} without a token. */
export function apiOf(baseUrl: string): Api {
  return apiWith(baseUrl, newAgent(), null);
}

function newAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 512 });
}

function apiWith(baseUrl: string, agent: Agent, accessToken: string | null): Api {
  const call: Api["exchange"] = async (method, path, body) => {
    const { status, text } = await exchange({
      url: `${baseUrl}${path}`,
      agent,
      authorization: accessToken === null ? null : `Bearer ${accessToken}`,
      method,
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status, body: parseAnswer(text) };
  };
  return {
    exchange: call,
    call: async (method, path, body) => {
      const answer = await call(method, path, body);
      if (answer.status === 200) return answer.body;
      throw new Error(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body).slice(0, 500)}`);
    },
    as: (token) => apiWith(baseUrl, agent, token),
    reconnected: () => apiWith(baseUrl, newAgent(), accessToken),
    close: () => agent.destroy(),
  };
}

function parseAnswer(text: string): JsonObject {
  try {
    return JSON.parse(text);
  } catch {
    return { text };
  }
}

/** A field that must be text. */
export function textField(object: JsonObject, name: string): string {
  const value = object[name];
  if (typeof value !== "string") throw new Error(`the answer has no ${name}`);
  return value;
}

/** One request. */
export interface Exchange {
  readonly url: string;
  /** Null: a connection of those that the process keeps. */
  readonly agent: Agent | null;
  readonly authorization: string | null;
  readonly method: Method;
  /** JSON */
  readonly body: string | null;
}

/** Sends a request and reads its answer, whatever its status. */
export function exchange(input: Exchange): Promise<{ status: number; text: string }> {
  const { url, agent, authorization, method, body } = input;
  const headers: Record<string, string> = {};
  if (authorization !== null) headers.Authorization = authorization;
  if (body !== null) {
    headers["Content-Type"] = "application/json";
    headers["Content-Length"] = String(Buffer.byteLength(body));
  }
  const request = url.startsWith("https:") ? httpsRequest : httpRequest;
  const options = { method, headers, timeout: requestTimeoutMs, ...(agent === null ? {} : { agent }) };
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject);
    });
    sent.on("timeout", () => sent.destroy(new Error(`${method} ${url} was not answered in ${requestTimeoutMs} ms`)));
    sent.on("error", reject);
    sent.end(body ?? undefined);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

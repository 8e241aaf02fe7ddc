/** A homeserver that a test plays itself: it signs what the test wants, and answers what the test wants. */
import { authorizationHeader } from "../../shared/federation-api/x-matrix.ts";
import { type ServerName, trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { publicKeyOf, type SigningKey, signJson } from "../../shared/matrix/signing.ts";
import type { FederatedReply, FederatedServer, Federation } from "./federation.ts";
import { testKeyOf } from "./room-builder.ts";

/** What the peer answers to a path; null: 404. */
export type PeerHandler = (request: Request) => JsonValue | Response | null | Promise<JsonValue | Response | null>;

/** How a request of the peer's is to differ from an honest one. */
export interface PeerRequestOptions {
  /** Another key than the peer's own. */
  readonly key?: SigningKey;
  /** In place of the honest header; null: none. */
  readonly authorization?: string | null;
}

/** A server with a key made of its name, in a federation of servers in this process. */
export class TestPeer {
  readonly name: ServerName;
  readonly key: SigningKey;
  /** Requests that came in, but for those for keys. */
  readonly received: { method: string; path: string; body: JsonValue }[] = [];
  readonly #federation: Federation;
  readonly #handlers: { pattern: RegExp; handler: PeerHandler }[] = [];

  constructor(federation: Federation, name: string) {
    this.#federation = federation;
    this.name = trusted.serverName(name);
    this.key = testKeyOf(this.name);
    federation.foreign.set(name, (request) => this.#answer(request));
  }

  /** Answers requests whose path (with query) matches; the newest handler that does not return null counts. */
  on(pattern: RegExp, handler: PeerHandler): void {
    this.#handlers.unshift({ pattern, handler });
  }

  /** The peer's published keys. */
  keys(): JsonObject {
    const keys = {
      server_name: this.name,
      verify_keys: { [this.key.keyId]: { key: publicKeyOf(this.key) } },
      old_verify_keys: {},
      valid_until_ts: this.#federation.clock.now() + 7 * 24 * 60 * 60 * 1000,
    };
    return signJson(keys, this.name, this.key);
  }

  /** Sends a signed request. @param path with query, from `/_matrix/` */
  async request(
    server: FederatedServer,
    method: string,
    path: string,
    body: JsonValue = null,
    options: PeerRequestOptions = {},
  ): Promise<FederatedReply> {
    const destination = trusted.serverName(server.name);
    const signed = { origin: this.name, destination, method, uri: path, content: body };
    const honest = authorizationHeader(signed, options.key ?? this.key);
    const authorization = options.authorization === undefined ? honest : options.authorization;
    const headers: Record<string, string> = authorization === null ? {} : { Authorization: authorization };
    const init = body === null ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const response = await server.fetch(new Request(`https://${server.name}${path}`, init));
    const text = await response.text();
    const json: JsonValue = text === "" ? null : JSON.parse(text);
    return { status: response.status, body: isObject(json) ? json : {}, json, text };
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const path = pathname + search;
    if (pathname.startsWith("/_matrix/key/v2/server")) return Response.json(this.keys());
    const text = await request.clone().text();
    this.received.push({ method: request.method, path, body: text === "" ? null : JSON.parse(text) });
    for (const { pattern, handler } of this.#handlers) {
      const answer = pattern.test(path) ? await handler(request) : null;
      if (answer instanceof Response) return answer;
      if (answer !== null) return Response.json(answer);
    }
    return Response.json({ errcode: "M_UNRECOGNIZED", error: "unknown endpoint" }, { status: 404 });
  }
}

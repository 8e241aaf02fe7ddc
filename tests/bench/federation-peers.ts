/** Servers on the loopback address that join a room of the homeserver and take what it sends, or do not. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { authorizationHeader } from "../../shared/federation-api/x-matrix.ts";
import { type ServerName, trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField, withFields } from "../../shared/json.ts";
import { eventFromPdu, type MatrixEvent } from "../../shared/matrix/event.ts";
import { publicKeyOf, signEvent, signJson } from "../../shared/matrix/signing.ts";
import { rulesOf, testKeyOf } from "../support/room-builder.ts";
import { exchange } from "./http.ts";

const roomVersion = "12";
const tlsFolder = join(import.meta.dirname, "../selfhost/tls");
const tlsFile = (name: string): string => readFileSync(join(tlsFolder, name), "utf8");
const hourMs = 60 * 60 * 1000;

/** How a server behaves: it takes what comes, takes a request and never answers, or refuses the connection. */
export type PeerState = "living" | "silent" | "gone";

/** The homeserver that is measured. */
export interface Homeserver {
  /** Where it speaks to servers; over TLS with a certificate of the tests' authority, where it is an address of `https`. */
  readonly baseUrl: string;
  readonly serverName: string;
}

/** What is known of a room after joining it. */
export interface JoinedRoom {
  readonly roomId: string;
  readonly version: string;
  /** The state before the join. */
  readonly state: readonly MatrixEvent[];
  readonly join: MatrixEvent;
}

/** A request that is ready to be sent. */
export interface PreparedRequest {
  readonly method: "GET" | "PUT";
  readonly uri: string;
  readonly authorization: string;
  readonly body: string | null;
}

/** One server, named after its port. */
export class BenchPeer {
  readonly name: ServerName;
  readonly #server: Server;
  readonly #onMessage: (body: string) => void;
  readonly #connections = new Agent({ keepAlive: true, ca: tlsFile("ca.pem") });
  state: PeerState = "living";
  /** Transactions that came. */
  transactions = 0;

  private constructor(server: Server, onMessage: (body: string) => void) {
    const address = server.address() as AddressInfo;
    this.name = trusted.serverName(`localhost:${address.port}`);
    this.#server = server;
    this.#onMessage = onMessage;
    server.on("request", (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response));
  }

  /** @param onMessage called with the body of each message that comes, repeats included. */
  static async start(onMessage: (body: string) => void): Promise<BenchPeer> {
    const server = createServer({ cert: tlsFile("server.pem"), key: tlsFile("server.key") });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new BenchPeer(server, onMessage);
  }

  /** Joins `@bob` of this server by the handshake. */
  async join(homeserver: Homeserver, roomId: string): Promise<JoinedRoom> {
    const rules = rulesOf(roomVersion);
    const room = encodeURIComponent(roomId);
    const joiner = encodeURIComponent(`@bob:${this.name}`);
    const make = `/_matrix/federation/v1/make_join/${room}/${joiner}?ver=${roomVersion}`;
    const made = await this.#request(homeserver, "GET", make, null);
    const template = withFields(objectField(made, "event") ?? {}, { origin_server_ts: Date.now() });
    const join = eventFromPdu(signEvent(template, rules, this.name, testKeyOf(this.name)), rules);
    const send = `/_matrix/federation/v2/send_join/${room}/${encodeURIComponent(join.eventId)}`;
    const { state } = await this.#request(homeserver, "PUT", send, join.pdu);
    const pdus = Array.isArray(state) ? state.filter(isObject) : [];
    return { roomId, version: roomVersion, state: pdus.map((pdu) => eventFromPdu(pdu, rules)), join };
  }

  /** Signs a request, so that sending it takes no more time of the machine than it must. */
  prepare(
    { serverName }: Homeserver,
    { method, uri, content }: { method: "GET" | "PUT"; uri: string; content: JsonValue },
  ): PreparedRequest {
    const signed = { origin: this.name, destination: trusted.serverName(serverName), method, uri, content };
    const authorization = authorizationHeader(signed, testKeyOf(this.name));
    return { method, uri, authorization, body: content === null ? null : JSON.stringify(content) };
  }

  /** Sends a request on a kept connection. */
  async send({ baseUrl }: Homeserver, request: PreparedRequest): Promise<{ status: number; text: string }> {
    const { method, uri, authorization, body } = request;
    const agent = baseUrl.startsWith("https:") ? this.#connections : null;
    return await exchange({ url: `${baseUrl}${uri}`, agent, authorization, method, body });
  }

  /** Ends it: whoever connects is refused from then on. */
  stop(): void {
    this.state = "gone";
    this.#server.close();
    this.#server.closeAllConnections();
    this.#connections.destroy();
  }

  async #request(homeserver: Homeserver, method: "GET" | "PUT", uri: string, content: JsonValue): Promise<JsonObject> {
    const { status, text } = await this.send(homeserver, this.prepare(homeserver, { method, uri, content }));
    if (status !== 200) throw new Error(`${method} ${uri} was answered ${status}: ${text}`);
    const answer: JsonValue = JSON.parse(text);
    return isObject(answer) ? answer : {};
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const path = request.url ?? "";
    if (path.startsWith("/_matrix/key/v2/server")) {
      respond(response, 200, this.#keys());
    } else if (path.startsWith("/_matrix/federation/v1/send/")) {
      this.transactions += 1;
      if (this.state !== "living") return;
      for (const body of bodiesIn(JSON.parse(Buffer.concat(chunks).toString("utf8")))) this.#onMessage(body);
      respond(response, 200, { pdus: {} });
    } else respond(response, 404, { errcode: "M_UNRECOGNIZED", error: "unknown endpoint" });
  }

  #keys(): JsonObject {
    const key = testKeyOf(this.name);
    const keys = {
      server_name: this.name,
      verify_keys: { [key.keyId]: { key: publicKeyOf(key) } },
      old_verify_keys: {},
      valid_until_ts: Date.now() + hourMs,
    };
    return signJson(keys, this.name, key);
  }
}

function respond(response: ServerResponse, status: number, body: JsonObject): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}

function bodiesIn(transaction: JsonValue): string[] {
  const pdus = isObject(transaction) ? transaction.pdus : null;
  if (!Array.isArray(pdus)) return [];
  return pdus
    .filter(isObject)
    .filter(({ type }) => type === "m.room.message")
    .map((pdu) => String(objectField(pdu, "content")?.body));
}

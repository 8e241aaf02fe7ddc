/** The server that is asked, its people and another server; and how a generated request becomes a real one. */
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { authorizationHeader } from "../../shared/federation-api/x-matrix.ts";
import { type ServerName, trusted } from "../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField, stringField, withFields } from "../../shared/json.ts";
import { eventFromPdu } from "../../shared/matrix/event.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import { type SigningKey, signEvent } from "../../shared/matrix/signing.ts";
import { BenchPeer } from "../bench/federation-peers.ts";
import { registerAdmin, serverOptions } from "../security/requests.ts";
import { clientOf, loginUser, registerUser, type TestUser } from "../support/client.ts";
import { federationVariables } from "../support/federated-homeservers.ts";
import { freePort, type HomeserverProcess, startProcess } from "../support/homeserver.ts";
import { rulesOf, testKeyOf } from "../support/room-builder.ts";
import { Remembered } from "./references.ts";
import type { Credentials, FuzzRequest, Script } from "./requests.ts";
import { damaged } from "./values.ts";

const people = 8;
/** When a request is given up. */
const silenceMs = 120_000;
/** How many requests are under way at the same time. */
export const parallel = 8;

/** A request as it was sent. */
export interface Sent {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** What came of it. */
export interface Outcome {
  readonly request: FuzzRequest;
  readonly sent: Sent;
  /** Null: no answer, and `text` says why. */
  readonly status: number | null;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  readonly ms: number;
}

/** What a script has made itself, by the kind of reference; beside it, the template it was given. */
interface Own {
  readonly values: Map<string, string>;
  template: JsonObject | null;
  version: string;
}

/** A server in a process of its own, under test. */
export class Target {
  readonly process: HomeserverProcess;
  readonly serverName: ServerName;
  readonly remembered = new Remembered();
  readonly #peer: BenchPeer;
  readonly #key: SigningKey;
  readonly #people: TestUser[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: parallel });
  #admin: TestUser | null = null;
  #made = 0;

  private constructor(process: HomeserverProcess, serverName: string, peer: BenchPeer) {
    this.process = process;
    this.serverName = trusted.serverName(serverName);
    this.#peer = peer;
    this.#key = testKeyOf(peer.name);
  }

  static async start(): Promise<Target> {
    const port = await freePort();
    const started = await startProcess({ env: { ...federationVariables(port), ...serverOptions.env } });
    const target = new Target(started, `localhost:${port}`, await BenchPeer.start(() => undefined));
    for (let number = 0; number < people; number += 1) target.#people.push(await target.#newUser());
    target.#admin = await target.#newAdmin();
    for (const name of ["bob", "eve"]) target.remembered.add("peerUserId", `@${name}:${target.#peer.name}`);
    for (const server of [target.serverName, target.#peer.name]) target.remembered.add("server", server);
    target.remembered.add("userId", `@bob:${target.#peer.name}`);
    for (let number = 0; number < 4; number += 1)
      target.remembered.add("roomAlias", `#alias${number}:${target.serverName}`);
    return target;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#peer.stop();
    await this.process.kill9();
  }

  get people(): readonly TestUser[] {
    return this.#people;
  }

  /** Makes the requests of a script in their order. */
  async run(script: Script, report: (outcome: Outcome) => void): Promise<void> {
    const own: Own = { values: new Map(), template: null, version: "12" };
    for (const request of script) {
      const outcome = await this.#send(request, this.#written(request, own));
      report(outcome);
      this.#learn(outcome, own);
      if (outcome.status === 401) await this.#revive(request.credentials);
    }
  }

  #learn({ status, text }: Outcome, own: Own): void {
    // A challenge has a session.
    const answer = status === 200 || status === 401 ? parse(text) : null;
    if (answer === null || !isObject(answer)) return;
    this.remembered.learn(answer);
    const roomId = stringField(answer, "room_id");
    const eventId = stringField(answer, "event_id");
    if (roomId !== null) own.values.set("ownRoomId", roomId);
    if (eventId !== null) own.values.set("ownEventId", eventId);
    own.template = objectField(answer, "event") ?? own.template;
    own.version = stringField(answer, "room_version") ?? own.version;
  }

  /** Some requests end a session, or an account: then somebody new takes that place. */
  async #revive(credentials: Credentials): Promise<void> {
    if (credentials.kind === "admin") this.#admin = await this.#newAdmin();
    if (credentials.kind !== "user") return;
    const number = credentials.number % people;
    const user = this.#people[number];
    if (user === undefined || (await user.get("v3/account/whoami")).status === 200) return;
    this.#people[number] = await loginUser(user.baseUrl, user.userId, user.password).catch(() => this.#newUser());
  }

  async #newUser(): Promise<TestUser> {
    this.#made += 1;
    const user = await registerUser(this.process.baseUrl, `person${this.#made}`);
    this.remembered.add("userId", user.userId);
    this.remembered.add("deviceId", user.deviceId);
    this.remembered.add("accessToken", user.accessToken ?? "");
    this.remembered.add("password", user.password);
    return user;
  }

  #newAdmin(): Promise<TestUser> {
    this.#made += 1;
    const { baseUrl } = this.process;
    const login = (name: string, password: string) => loginUser(baseUrl, name, password);
    return registerAdmin({ anybody: () => clientOf(baseUrl), login }, `admin${this.#made}`);
  }

  /** Puts real ids and a real proof into a request. */
  #written(request: FuzzRequest, own: Own): Sent {
    this.#noteWho(request.credentials, own.values);
    const body = this.#bodyOf(request, own);
    // Half of a character, which a name cut short may end in, cannot be in a URL.
    const inUrl = (value: string) => encodeURIComponent(value.toWellFormed());
    const resolved = this.remembered.resolve(request.target, own.values, inUrl);
    const { credentials, method } = request;
    const token = credentials.kind === "inQuery" ? this.#tokenOf(credentials.number) : null;
    const target = token === null ? resolved : `${resolved}${resolved.includes("?") ? "&" : "?"}access_token=${token}`;
    const headers: Record<string, string> = {};
    if (body !== null && request.contentType !== null) headers["Content-Type"] = request.contentType;
    const authorization = this.#authorizationOf(credentials, { method, target, headers, body });
    if (authorization !== null) headers.Authorization = authorization;
    return { method, target, headers, body };
  }

  #noteWho(credentials: Credentials, values: Map<string, string>): void {
    const user = this.#people["number" in credentials ? credentials.number % people : 0];
    if (user === undefined) return;
    values.set("ownUserId", user.userId).set("ownDeviceId", user.deviceId).set("ownPassword", user.password);
  }

  #bodyOf({ endpoint, template, body }: FuzzRequest, own: Own): string | null {
    const rules = rulesOf(own.version);
    if (template !== null && own.template !== null) {
      const event = withFields(own.template, { origin_server_ts: Date.now() });
      const sent = this.#signed(template.damage === null ? event : damaged(event, template.damage), rules);
      const text = this.remembered.resolve(JSON.stringify(sent), own.values, inJson);
      own.values.set("ownEventId", eventIdOf(sent, rules) ?? own.values.get("ownEventId") ?? "$x");
      return text;
    }
    if (body === null) return null;
    const text = this.remembered.resolve(body, own.values, inJson);
    return endpoint.auth === "serverSignature" ? this.#withSignedEvents(text, rules) : text;
  }

  /** Signs the events in a body, so that more is looked at than their signatures. */
  #withSignedEvents(text: string, rules: RoomVersionRules): string {
    const body = parse(text);
    if (body === null || !isObject(body)) return text;
    if (stringField(body, "sender") !== null) return JSON.stringify(this.#signed(body, rules));
    const event = objectField(body, "event");
    const pdus = Array.isArray(body.pdus) ? body.pdus.map((pdu) => this.#signed(pdu, rules)) : undefined;
    if (event === null && pdus === undefined) return text;
    const signed = event === null ? {} : { event: this.#signed(event, rules) };
    return JSON.stringify(withFields(body, { ...signed, ...(pdus === undefined ? {} : { pdus }) }));
  }

  #signed(event: JsonValue, rules: RoomVersionRules): JsonValue {
    if (!isObject(event)) return event;
    try {
      return signEvent(event, rules, this.#peer.name, this.#key);
    } catch {
      // What has no canonical JSON cannot be signed, but it can be sent.
      return event;
    }
  }

  #tokenOf(number: number): string {
    return this.#people[number % people]?.accessToken ?? "";
  }

  #authorizationOf(credentials: Credentials, sent: Sent): string | null {
    switch (credentials.kind) {
      case "nobody":
      case "inQuery":
        return null;
      case "admin":
        return `Bearer ${this.#admin?.accessToken}`;
      case "user":
        return `Bearer ${this.#tokenOf(credentials.number)}`;
      case "halfToken":
        return `Bearer ${this.#tokenOf(credentials.number).slice(0, -5)}`;
      case "header":
        return credentials.value;
      case "server":
        return this.#signature(credentials.how, sent);
    }
  }

  #signature(how: Extract<Credentials, { kind: "server" }>["how"], { method, target, body }: Sent): string {
    const content = body === null || method === "GET" ? null : parse(body);
    const request = {
      origin: this.#peer.name,
      destination: how === "otherServer" ? trusted.serverName("elsewhere.invalid") : this.serverName,
      method,
      uri: how === "otherPath" ? `${target}x` : target,
      content: how === "otherBody" ? { other: true } : content,
    };
    try {
      return authorizationHeader(request, how === "wrongKey" ? testKeyOf(this.serverName) : this.#key);
    } catch {
      return authorizationHeader({ ...request, content: null }, this.#key);
    }
  }

  #send(request: FuzzRequest, sent: Sent, isAgain = false): Promise<Outcome> {
    const startedAt = performance.now();
    const { hostname, port } = new URL(this.process.baseUrl);
    return new Promise((resolve) => {
      const finish = (status: number | null, headers: Outcome["headers"], text: string) =>
        resolve({ request, sent, status, headers, text, ms: performance.now() - startedAt });
      // A connection that was kept may be closed by the server just as it is used again: then it is no answer to this.
      const fail = (error: Error) =>
        outgoing.reusedSocket && !isAgain ? resolve(this.#send(request, sent, true)) : finish(null, {}, error.message);
      const length = sent.body === null ? {} : { "Content-Length": String(Buffer.byteLength(sent.body)) };
      const options = {
        agent: this.#agent,
        hostname,
        port,
        method: sent.method,
        path: sent.target,
        timeout: silenceMs,
      };
      const outgoing = httpRequest({ ...options, headers: { ...sent.headers, ...length } }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          finish(response.statusCode ?? null, response.headers, Buffer.concat(chunks).toString("utf8")),
        );
        response.on("error", fail);
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error("no answer in two minutes")));
      outgoing.on("error", fail);
      outgoing.end(sent.body ?? undefined);
    });
  }
}

function parse(text: string): JsonValue {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function inJson(value: string): string {
  return JSON.stringify(value).slice(1, -1);
}

function eventIdOf(event: JsonValue, rules: RoomVersionRules): string | null {
  try {
    return isObject(event) ? eventFromPdu(event, rules).eventId : null;
  } catch {
    return null;
  }
}

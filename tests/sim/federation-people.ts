/** People on several servers: each asks their own server over HTTP, and asks again when no answer comes. */

import { type EventId, type RoomId, trusted, type UserId } from "../../shared/ids.ts";
import { type JsonObject, type JsonValue, stringField } from "../../shared/json.ts";
import type { SimClient } from "./clients.ts";
import { isSimulated } from "./faults.ts";
import type { FederationLedger } from "./federation-ledger.ts";
import type { HttpAnswer, Network } from "./federation-network.ts";
import type { SimServer } from "./federation-server.ts";
import type { Random } from "./random.ts";
import { fnv1a } from "./random.ts";

/** Refusals that a correct server may give to what people here ask for. */
const expectedRefusals = new Set([
  "M_FORBIDDEN",
  "M_NOT_FOUND",
  "M_BAD_STATE",
  "M_UNABLE_TO_AUTHORISE_JOIN",
  // Creators of version 12 have no level.
  "M_BAD_JSON",
]);
/** How often something is tried that needs other servers, which may be away. */
const maxTries = 12;

export interface ResidentOptions {
  network: Network;
  server: SimServer;
  ledger: FederationLedger;
  userId: UserId;
  accessToken: string;
  client: SimClient;
  /** Whoever is never put out of a room, nor leaves it. */
  isAnchor: boolean;
  random: Random;
}

/** A user of one of the servers. */
export class Resident {
  readonly network: Network;
  readonly server: SimServer;
  readonly ledger: FederationLedger;
  readonly userId: UserId;
  readonly client: SimClient;
  readonly isAnchor: boolean;
  readonly random: Random;
  readonly #accessToken: string;
  #counter = 0;

  constructor(options: ResidentOptions) {
    this.network = options.network;
    this.server = options.server;
    this.ledger = options.ledger;
    this.userId = options.userId;
    this.client = options.client;
    this.isAnchor = options.isAnchor;
    this.random = options.random;
    this.#accessToken = options.accessToken;
  }

  /** Asks until there is an answer. @returns null for a refusal, or when nothing came of it for too long. */
  async ask(name: string, method: string, path: string, body?: JsonValue): Promise<JsonObject | null> {
    for (let tries = 0; tries < maxTries || !this.network.faults.isOn; tries += 1) {
      if (this.network.hasViolations) return null;
      const answer = await this.#request(method, path, body);
      if (answer !== null && answer.status === 200) {
        this.ledger.count(name, true);
        return answer.body;
      }
      if (answer !== null && answer.status < 500) {
        this.#refused(name, answer);
        return null;
      }
      if (answer !== null && !this.network.faults.isOn && tries > 3) {
        this.server.world.violations.push(
          `${name} gave ${answer.status} ${JSON.stringify(answer.body)} without faults`,
        );
        return null;
      }
      await this.pause(this.random.int(50, 5_000));
    }
    this.ledger.count(name, false);
    return null;
  }

  /** Asks once for what may well be refused. */
  async askOnce(method: string, path: string): Promise<void> {
    await this.#request(method, path);
  }

  /** As {@link ask}, for what makes an event: from then on it must not be lost. */
  async askForEvent(name: string, roomId: RoomId, request: Asked): Promise<EventId | null> {
    const answer = await this.ask(name, request.method, request.path, request.body);
    const given = answer === null ? null : stringField(answer, "event_id");
    if (given === null) return null;
    const eventId = trusted.eventId(given);
    const at = this.network.scheduler.clock.elapsedMs;
    this.ledger.events.push({ roomId, eventId, server: this.server.name, what: name, at });
    return eventId;
  }

  async send(roomId: RoomId, type: string, content: JsonObject): Promise<EventId | null> {
    const path = `${roomPath(roomId)}/send/${type}/${this.unique("t")}`;
    return await this.askForEvent(type, roomId, { method: "PUT", path, body: content });
  }

  async setState(roomId: RoomId, type: string, stateKey: string, content: JsonObject): Promise<EventId | null> {
    const path = `${roomPath(roomId)}/state/${type}/${encodeURIComponent(stateKey)}`;
    return await this.askForEvent(type, roomId, { method: "PUT", path, body: content });
  }

  async join(roomId: RoomId, via: readonly string[]): Promise<boolean> {
    const query = via.map((server) => `via=${server}`).join("&");
    const answer = await this.ask("join", "POST", `/_matrix/client/v3/join/${encodeURIComponent(roomId)}?${query}`, {});
    return answer !== null;
  }

  /** A name that nobody has used before. */
  unique(prefix: string): string {
    this.#counter += 1;
    return `${prefix}-${fnv1a(this.userId).toString(36)}-${this.#counter}`;
  }

  pause(milliseconds: number): Promise<void> {
    return this.network.scheduler.sleep(`${this.userId} goes on`, milliseconds);
  }

  async #request(method: string, path: string, body?: JsonValue): Promise<HttpAnswer | null> {
    const headers = { Authorization: `Bearer ${this.#accessToken}` };
    const request = body === undefined ? { method, path, headers } : { method, path, headers, body };
    try {
      return await this.network.ask(this.userId, this.server.name, request);
    } catch (thrown) {
      if (!isSimulated(thrown)) this.server.world.report(`${method} ${path}`, thrown);
      return null;
    }
  }

  #refused(name: string, { status, body }: HttpAnswer): void {
    this.ledger.count(name, false);
    this.network.scheduler.note(`${this.userId}: ${name} refused: ${JSON.stringify(body)}`);
    if (expectedRefusals.has(stringField(body, "errcode") ?? "")) return;
    this.server.world.violations.push(`${name} was refused with ${status} ${JSON.stringify(body)}`);
  }
}

export interface Asked {
  method: string;
  path: string;
  body: JsonValue;
}

export function roomPath(roomId: RoomId): string {
  return `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
}

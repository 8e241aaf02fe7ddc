/** A played server that takes transactions, as a test wants it to. */

import { isObject, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { eventIdOf } from "../../shared/matrix/event-id.ts";
import type { Federation } from "./federation.ts";
import { rulesOf } from "./room-builder.ts";
import { TestPeer } from "./test-peer.ts";

/** A transaction as it came. */
export interface ReceivedTransaction {
  readonly txnId: string;
  readonly pdus: readonly JsonObject[];
  readonly edus: readonly JsonObject[];
  /** ms since epoch */
  readonly ts: number;
  /** Whether it was answered with success. */
  isConfirmed: boolean;
}

/** Answers transactions with success unless it is told otherwise. */
export class ReceivingPeer extends TestPeer {
  /** Every transaction that came, confirmed or not. */
  readonly transactions: ReceivedTransaction[] = [];
  /** Decides what is answered; null: success. */
  respond: (transaction: ReceivedTransaction) => Response | null | Promise<Response | null> = () => null;

  constructor(federation: Federation, name: string) {
    super(federation, name);
    this.on(/^\/_matrix\/federation\/v1\/send\//, async (request) => {
      const body: JsonValue = JSON.parse(await request.text());
      const content = isObject(body) ? body : {};
      const transaction = {
        txnId: new URL(request.url).pathname.split("/").at(-1) ?? "",
        pdus: objectsOf(content.pdus),
        edus: objectsOf(content.edus),
        ts: federation.clock.now(),
        isConfirmed: false,
      };
      this.transactions.push(transaction);
      const answer = await this.respond(transaction);
      transaction.isConfirmed = answer === null;
      return answer ?? { pdus: {} };
    });
  }

  /** All events that came, in their order, repeats included. */
  pdus(): JsonObject[] {
    return this.transactions.flatMap(({ pdus }) => pdus);
  }

  /** The bodies of all messages that came, repeats included. */
  bodies(): string[] {
    return this.pdus()
      .filter(({ type }) => type === "m.room.message")
      .map(({ content }) => (isObject(content) ? String(content.body) : ""));
  }

  edus(type: string): JsonObject[] {
    return this.transactions
      .flatMap(({ edus }) => edus)
      .filter((edu) => edu.edu_type === type)
      .map(({ content }) => (isObject(content) ? content : {}));
  }

  eventIds(version: string): (string | null)[] {
    return this.pdus().map((pdu) => eventIdOf(pdu, rulesOf(version)));
  }
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

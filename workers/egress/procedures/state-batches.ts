/** Events of an answer that is being read, gathered until there are enough of them for one call of the room. */
import { hash } from "node:crypto";
import { parseAnswer } from "../../../shared/federation-api/handshakes.ts";
import type { ServerName } from "../../../shared/ids.ts";
import { isObject, type JsonObject, withoutField } from "../../../shared/json.ts";
import type { KeyRing } from "../../../shared/matrix/key-ring.ts";
import type { AnswerProgress } from "../../../shared/rpc/room-joining.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";
import type { EgressContext } from "../context.ts";
import type { ToldEvent } from "./join-answer.ts";
import { KeysOfAnswer } from "./keys-of-answer.ts";

/** Events, and characters of them, that a room is handed at a time. */
const maxBatch = 500;
const maxBatchLength = 4 * 1_048_576;

/** Events with the keys that they are to be checked by. */
export interface StateBatch {
  readonly isState: boolean;
  readonly pdus: readonly PduText[];
  readonly keys: KeyRing;
  /** How far the answer has been read with these. */
  readonly progress: AnswerProgress;
}

/** Who tells, and who is told. */
export interface Telling {
  readonly server: ServerName;
  readonly give: (batch: StateBatch) => Promise<unknown>;
  /** What was handed on of the same answer before, and is passed over. */
  readonly begun?: AnswerProgress | null;
}

/** A server has answered the same question otherwise than before: nothing of it may be passed over. */
export class AnswerChanged extends Error {}

/** Hands on the events of one answer in batches. */
export class StateBatches {
  readonly #telling: Telling;
  readonly #keys: KeysOfAnswer;
  readonly #begun: AnswerProgress | null;
  #progress: AnswerProgress = { events: 0, digest: "" };
  #isState = true;
  #events: JsonObject[] = [];
  #length = 0;
  /** Events of the state that there were, also those that were passed over. */
  stateEvents = 0;

  constructor(egress: EgressContext, telling: Telling) {
    this.#telling = telling;
    this.#begun = telling.begun ?? null;
    this.#keys = new KeysOfAnswer(egress, telling.server);
  }

  /**
   * What is no event is left out: one that is bad must not keep anybody out of a room.
   * @throws AnswerChanged
   */
  async add(told: ToldEvent): Promise<void> {
    if (told.isState) this.stateEvents += 1;
    if (this.#isPassedOver(told)) return;
    const parsed = parseAnswer(told.text);
    const event = parsed !== undefined && isObject(parsed) ? withoutField(parsed, "unsigned") : null;
    if (event !== null && !this.#hasRoomFor(told)) await this.#flush();
    this.#progress = after(this.#progress, told);
    if (event === null) return;
    this.#isState = told.isState;
    this.#events.push(event);
    this.#length += told.text.length;
  }

  /** The answer is over. @throws AnswerChanged */
  async end(): Promise<void> {
    if (this.#begun !== null && this.#progress.events < this.#begun.events)
      throw new AnswerChanged("it is shorter now");
    await this.#flush();
  }

  #isPassedOver(told: ToldEvent): boolean {
    const begun = this.#begun;
    if (begun === null || this.#progress.events >= begun.events) return false;
    this.#progress = after(this.#progress, told);
    if (this.#progress.events === begun.events && this.#progress.digest !== begun.digest) {
      throw new AnswerChanged("its events are others now, or in another order");
    }
    return true;
  }

  #hasRoomFor({ isState, text }: ToldEvent): boolean {
    if (this.#events.length === 0) return true;
    const isFull = this.#events.length >= maxBatch || this.#length + text.length > maxBatchLength;
    return !isFull && isState === this.#isState;
  }

  async #flush(): Promise<void> {
    if (this.#events.length === 0) return;
    const keys = await this.#keys.ringFor(this.#events);
    const pdus = this.#events.map((event) => JSON.stringify(event));
    await this.#telling.give({ isState: this.#isState, pdus, keys, progress: this.#progress });
    this.#events = [];
    this.#length = 0;
  }
}

/** Each digest is over the one before it, so that it stands for all events and their order. */
function after({ events, digest }: AnswerProgress, { isState, text }: ToldEvent): AnswerProgress {
  return { events: events + 1, digest: hash("sha256", `${digest} ${isState} ${text}`, "base64") };
}

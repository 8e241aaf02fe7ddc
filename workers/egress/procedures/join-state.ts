/** The state of a room on its way from a server that tells it to the room's actor. */

import { parseAnswer } from "../../../shared/federation-api/handshakes.ts";
import { fetchKeyRing, type KeySources, type Notary } from "../../../shared/federation-api/key-ring.ts";
import type { ServerName } from "../../../shared/ids.ts";
import { isObject, type JsonObject, withFields } from "../../../shared/json.ts";
import { describeError } from "../../../shared/log.ts";
import type { KeyRing } from "../../../shared/matrix/key-ring.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";
import type { EgressContext } from "../context.ts";
import type { OpenedAnswer } from "../request.ts";
import { requestPeer } from "../request.ts";
import { NextServer } from "./candidates.ts";
import { JoinAnswerReader, type JoinFacts, type ToldEvent } from "./join-answer.ts";

/** Events, and characters of them, that a room is handed at a time. */
const maxBatch = 500;
const maxBatchLength = 4 * 1_048_576;

/** Events with the keys that they are to be checked by. */
export interface StateBatch {
  readonly isState: boolean;
  readonly pdus: readonly PduText[];
  readonly keys: KeyRing;
}

/** Who tells, and who is told. */
export interface Telling {
  readonly server: ServerName;
  readonly give: (batch: StateBatch) => Promise<unknown>;
}

type Answer = Extract<OpenedAnswer, { kind: "answered" }>;

/**
 * Hands on all events of the answer, batch by batch, each with the keys that it is to be checked by.
 * @returns also how many events of the state there were
 * @throws NextServer when the answer breaks off
 */
export async function streamState(
  egress: EgressContext,
  answer: Answer,
  telling: Telling,
): Promise<JoinFacts & { stateEvents: number }> {
  const answerReader = new JoinAnswerReader();
  const batches = new Batches(egress, telling);
  const decoder = new TextDecoder();
  const reader = answer.body.getReader();
  try {
    for (;;) {
      const { done, value } = await readOf(reader);
      if (value !== undefined)
        for (const told of answerReader.push(decoder.decode(value, { stream: true }))) await batches.add(told);
      if (done) break;
    }
    await batches.flush();
  } catch (thrown) {
    await reader.cancel(thrown).catch(() => undefined);
    throw thrown;
  }
  const facts = answerReader.end();
  if (facts === null) throw new NextServer("its answer is no JSON object, or broke off");
  return { ...facts, stateEvents: batches.stateEvents };
}

async function readOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read();
  } catch (thrown) {
    throw new NextServer(`its answer broke off: ${describeError(thrown)}`);
  }
}

/** Gathers events until there are enough of them for a call. */
class Batches {
  readonly #egress: EgressContext;
  readonly #telling: Telling;
  #isState = true;
  #events: JsonObject[] = [];
  #length = 0;
  stateEvents = 0;

  constructor(egress: EgressContext, telling: Telling) {
    this.#egress = egress;
    this.#telling = telling;
  }

  /** What is no event is left out: one that is bad must not keep anybody out of a room. */
  async add({ isState, text }: ToldEvent): Promise<void> {
    const parsed = parseAnswer(text);
    if (parsed === undefined || !isObject(parsed)) return;
    const isFull = this.#events.length >= maxBatch || this.#length + text.length > maxBatchLength;
    if (isFull || isState !== this.#isState) await this.flush();
    this.#isState = isState;
    if (isState) this.stateEvents += 1;
    this.#events.push(withFields(parsed, { unsigned: undefined }));
    this.#length += text.length;
  }

  async flush(): Promise<void> {
    if (this.#events.length === 0) return;
    const { server, give } = this.#telling;
    const keys = await fetchKeyRing(sourcesOf(this.#egress), this.#events, notaryOf(this.#egress, server));
    const pdus = this.#events.map((event) => JSON.stringify(event));
    await give({ isState: this.#isState, pdus, keys });
    this.#events = [];
    this.#length = 0;
  }
}

/** Where keys come from. */
export function sourcesOf({ actors, config }: EgressContext): KeySources {
  return { actors, config };
}

/** The server by way of which a room is joined knows the keys of servers that are gone. */
function notaryOf(egress: EgressContext, serverName: ServerName): Notary {
  return { serverName, request: (input) => requestPeer(egress, input), nowMs: egress.clock.now() };
}

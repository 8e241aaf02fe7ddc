/**
 * The state where a gap in a room's graph ends, as a server tells it: streamed to the room, since of a large room it is more
 * than anybody can hold.
 */
import { stateRequest } from "../../../shared/federation-api/events.ts";
import { parseAnswer } from "../../../shared/federation-api/handshakes.ts";
import type { EventId, RoomId, ServerName } from "../../../shared/ids.ts";
import { field, isObject } from "../../../shared/json.ts";
import { numberValue } from "../../../shared/matrix/exact-numbers.ts";
import type { KeyRing } from "../../../shared/matrix/key-ring.ts";
import type { StateGiven } from "../../../shared/rpc/egress.ts";
import type { PduText } from "../../../shared/rpc/room-peers.ts";
import type { EgressContext } from "../context.ts";
import { openPeer } from "../request.ts";
import { NextServer } from "./candidates.ts";
import { streamState } from "./join-state.ts";

/** Characters of events that are kept until those are here that authorize them. */
const maxKeptLength = 2 * 1_048_576;
/** How often the answer is asked for, where it tells more than can be kept before what authorizes it. */
const maxRounds = 3;
/** How often what was kept is given. Depth, by which it is ordered, is only what a server claims. */
const maxTries = 2;
/** Events of one call, at most: by number, and by characters. */
const maxBatch = 500;
const maxBatchLength = 4 * 1_048_576;

interface Wanted {
  readonly serverName: ServerName;
  readonly roomId: RoomId;
  readonly eventId: EventId;
}

/** Gives the room what a server tells of the state before an event. Whether it is all of it, the room knows. */
export async function fetchState(egress: EgressContext, wanted: Wanted): Promise<StateGiven> {
  try {
    for (let round = 0; round < maxRounds; round += 1) {
      const { taken, lost } = await fetchOnce(egress, wanted);
      if (lost === 0 || taken === 0) break;
    }
    return { kind: "given" };
  } catch (thrown) {
    if (!(thrown instanceof NextServer)) throw thrown;
    return { kind: "failed", reason: thrown.message };
  }
}

/** @returns how many events were taken, and how many neither taken nor kept */
async function fetchOnce(
  egress: EgressContext,
  { serverName, roomId, eventId }: Wanted,
): Promise<{ taken: number; lost: number }> {
  const answer = await openPeer(egress, stateRequest(serverName, { roomId, eventId }));
  if (answer.kind === "unreachable") throw new NextServer(answer.reason);
  if (answer.status !== 200) {
    await answer.body.cancel();
    throw new NextServer(`it answered ${answer.status}`);
  }
  const given = new GivenState(egress, roomId);
  await streamState(egress, answer, { server: serverName, give: ({ pdus, keys }) => given.give(pdus, keys) });
  for (let tries = 0; tries < maxTries; tries += 1) await given.giveKept();
  return given;
}

/** An event that waits for those that authorize it. */
interface Kept {
  readonly pdu: PduText;
  readonly keys: KeyRing;
}

/** Gives events to a room, and keeps those that come before what authorizes them. */
class GivenState {
  readonly #egress: EgressContext;
  readonly #roomId: RoomId;
  #kept: Kept[] = [];
  #keptLength = 0;
  taken = 0;
  lost = 0;

  constructor(egress: EgressContext, roomId: RoomId) {
    this.#egress = egress;
    this.#roomId = roomId;
  }

  async give(pdus: readonly PduText[], keys: KeyRing): Promise<void> {
    const outcomes = await this.#egress.actors.room(this.#roomId).receiveOutliers({ pdus, keys });
    for (const [index, pdu] of pdus.entries()) {
      const kind = outcomes[index]?.kind;
      if (kind === "outlier") this.taken += 1;
      if (kind === "missing") this.#keep({ pdu, keys });
    }
  }

  #keep(event: Kept): void {
    if (this.#keptLength + event.pdu.length > maxKeptLength) {
      this.lost += 1;
      return;
    }
    this.#kept.push(event);
    this.#keptLength += event.pdu.length;
  }

  /** Gives again what was kept, the least deep first. */
  async giveKept(): Promise<void> {
    const kept = this.#kept.map((event) => ({ ...event, depth: depthOf(event.pdu) }));
    this.#kept = [];
    this.#keptLength = 0;
    kept.sort((left, right) => left.depth - right.depth);
    for (const batch of batchesOf(kept)) {
      const rings = new Set(batch.map(({ keys }) => keys));
      await this.give(
        batch.map(({ pdu }) => pdu),
        Object.assign({}, ...rings),
      );
    }
  }
}

function depthOf(pdu: PduText): number {
  const event = parseAnswer(pdu);
  return event !== undefined && isObject(event) ? (numberValue(field(event, "depth")) ?? 0) : 0;
}

function* batchesOf<Event extends Kept>(events: readonly Event[]): Generator<Event[]> {
  let batch: Event[] = [];
  let length = 0;
  for (const event of events) {
    if (batch.length >= maxBatch || (batch.length > 0 && length + event.pdu.length > maxBatchLength)) {
      yield batch;
      batch = [];
      length = 0;
    }
    batch.push(event);
    length += event.pdu.length;
  }
  if (batch.length > 0) yield batch;
}

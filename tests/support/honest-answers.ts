/** What an honest server answers about the events of a room that a test has built. */
import { isObject, type JsonObject } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { keyOf, type RoomBuilder } from "./room-builder.ts";
import type { SharedRoom } from "./shared-room.ts";

type State = ReadonlyMap<string, MatrixEvent>;

/** Answers questions from the events of a builder, all of whose branches are known to it. */
export class HonestAnswers {
  readonly #built: RoomBuilder;
  readonly #after: Map<string, State>;

  /** @param built whose heads are followed by all events that are asked about */
  constructor(built: RoomBuilder) {
    this.#built = built;
    const state = new Map(built.state);
    this.#after = new Map(built.heads.map((eventId) => [eventId, state]));
  }

  find(eventId: string): MatrixEvent | null {
    return this.#built.events.find((event) => event.eventId === eventId) ?? null;
  }

  /** The state before an event; of several branches, the last one's: forks in these tests do not contest keys. */
  stateBefore(event: MatrixEvent): State {
    const merged = new Map<string, MatrixEvent>();
    for (const prev of event.prevEvents) for (const [key, value] of this.#stateAfter(prev)) merged.set(key, value);
    return merged;
  }

  #stateAfter(eventId: string): State {
    const known = this.#after.get(eventId);
    if (known !== undefined) return known;
    const event = this.find(eventId);
    if (event === null) throw new Error(`${eventId} is not in the room`);
    const after = new Map(this.stateBefore(event));
    if (event.stateKey !== null) after.set(keyOf(event.type, event.stateKey), event);
    this.#after.set(eventId, after);
    return after;
  }

  /** All that stands behind events by their auth events. */
  authChain(events: Iterable<MatrixEvent>): MatrixEvent[] {
    const chain = new Map<string, MatrixEvent>();
    const queue = [...events];
    for (let event = queue.pop(); event !== undefined; event = queue.pop()) {
      for (const eventId of event.authEvents) {
        const found = chain.has(eventId) ? null : this.find(eventId);
        if (found === null) continue;
        chain.set(eventId, found);
        queue.push(found);
      }
    }
    return [...chain.values()];
  }

  /** "a breadth-first walk of the prev_events for the latest_events, ignoring any events in earliest_events" */
  missing(latest: readonly string[], earliest: readonly string[], limit: number): MatrixEvent[] {
    const seen = new Set([...latest, ...earliest]);
    const found: MatrixEvent[] = [];
    const queue = [...latest];
    for (let id = queue.shift(); id !== undefined && found.length < limit; id = queue.shift()) {
      for (const prev of this.find(id)?.prevEvents ?? []) {
        const event = seen.has(prev) ? null : this.find(prev);
        seen.add(prev);
        if (event === null) continue;
        found.push(event);
        queue.push(prev);
      }
    }
    return found.slice(0, limit).reverse();
  }
}

/** Has the peer answer what it is asked about the room. To be called when it has just joined. */
export function answerHonestly({ peer, built }: Pick<SharedRoom, "peer" | "built">): HonestAnswers {
  const answers = new HonestAnswers(built);
  const wantedBy = (request: Request): MatrixEvent | null =>
    answers.find(new URL(request.url).searchParams.get("event_id") ?? "");
  const lastPart = (request: Request): string =>
    decodeURIComponent(new URL(request.url).pathname.split("/").pop() ?? "");

  peer.on(/\/get_missing_events\//, async (request) => {
    const body: JsonObject = asObject(await request.json());
    const ids = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
    const events = answers.missing(ids(body.latest_events), ids(body.earliest_events), Number(body.limit));
    return { events: events.map((event) => event.pdu) };
  });
  peer.on(/\/event\//, (request) => {
    const event = answers.find(lastPart(request));
    return event === null ? null : { origin: peer.name, origin_server_ts: 1, pdus: [event.pdu] };
  });
  peer.on(/\/event_auth\//, (request) => {
    const event = answers.find(lastPart(request));
    return event === null ? null : { auth_chain: answers.authChain([event]).map(({ pdu }) => pdu) };
  });
  peer.on(/\/state_ids\//, (request) => {
    const event = wantedBy(request);
    if (event === null) return null;
    const state = [...answers.stateBefore(event).values()];
    const chain = answers.authChain(state);
    return { pdu_ids: state.map(({ eventId }) => eventId), auth_chain_ids: chain.map(({ eventId }) => eventId) };
  });
  peer.on(/\/state\//, (request) => {
    const event = wantedBy(request);
    if (event === null) return null;
    const state = [...answers.stateBefore(event).values()];
    return { pdus: state.map(({ pdu }) => pdu), auth_chain: answers.authChain(state).map(({ pdu }) => pdu) };
  });
  return answers;
}

function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

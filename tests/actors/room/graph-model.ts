/** The room's graph once more, from the specification's sentences: whole states in maps, everything resolved anew. */
import type { EventId } from "../../../shared/ids.ts";
import type { MatrixEvent } from "../../../shared/matrix/event.ts";
import { authorize } from "../../../shared/matrix/event-auth/state-dependent.ts";
import { checkStateIndependent } from "../../../shared/matrix/event-auth/state-independent.ts";
import type { RoomVersionRules } from "../../../shared/matrix/room-version.ts";
import { type ReadonlyStateMap, StateMap } from "../../../shared/matrix/state-map.ts";
import { resolveState } from "../../../shared/matrix/state-res/resolve.ts";

export type ModelStatus = "accepted" | "soft_failed" | "rejected";

interface Node {
  readonly event: MatrixEvent;
  readonly status: ModelStatus;
  readonly after: StateMap<EventId>;
}

/** Takes events in any order in which each comes after those that it names. */
export class GraphModel {
  readonly #rules: RoomVersionRules;
  readonly #create: MatrixEvent;
  readonly #nodes = new Map<EventId, Node>();
  #ends = new Set<EventId>();
  current = new StateMap<EventId>();

  constructor(rules: RoomVersionRules, create: MatrixEvent) {
    this.#rules = rules;
    this.#create = create;
  }

  get ends(): EventId[] {
    return [...this.#ends].sort();
  }

  statusOf(eventId: EventId): ModelStatus | null {
    return this.#nodes.get(eventId)?.status ?? null;
  }

  stateAfter(eventId: EventId): StateMap<EventId> {
    return this.#nodes.get(eventId)?.after ?? new StateMap();
  }

  receive(event: MatrixEvent): ModelStatus {
    const before = this.#resolve(event.prevEvents.map((id) => this.stateAfter(id)));
    const status = this.#judge(event, before);
    const after = new StateMap<EventId>(before.entries());
    if (status !== "rejected" && event.stateKey !== null) after.set(event.type, event.stateKey, event.eventId);
    this.#nodes.set(event.eventId, { event, status, after });
    if (status !== "accepted") return status;
    for (const id of this.#followed(event)) this.#ends.delete(id);
    this.#ends.add(event.eventId);
    this.current = this.#resolve([...this.#ends].map((id) => this.stateAfter(id)));
    return status;
  }

  #followed(event: MatrixEvent): EventId[] {
    return event.prevEvents.flatMap((id) => {
      const node = this.#nodes.get(id);
      return node === undefined || node.status === "accepted" ? [id] : this.#followed(node.event);
    });
  }

  #judge(event: MatrixEvent, before: StateMap<EventId>): ModelStatus {
    const authEvents = event.authEvents.map((id) => this.#node(id));
    const independent = checkStateIndependent(
      event,
      this.#rules,
      authEvents.map((node) => ({ event: node.event, isRejected: node.status === "rejected" })),
    );
    if (independent !== null && !independent.allowed) return "rejected";
    const byAuthEvents = new StateMap<EventId>();
    if (!this.#rules.createIsAuthEvent) byAuthEvents.set("m.room.create", "", this.#create.eventId);
    for (const { event: auth } of authEvents) byAuthEvents.set(auth.type, auth.stateKey ?? "", auth.eventId);
    if (!this.#allows(byAuthEvents, event) || !this.#allows(before, event)) return "rejected";
    return this.#allows(this.current, event) ? "accepted" : "soft_failed";
  }

  #allows(state: StateMap<EventId>, event: MatrixEvent): boolean {
    return authorize(event, this.#rules, (type, stateKey) => {
      const id = state.get(type, stateKey);
      return id === null ? null : id === this.#create.eventId ? this.#create : this.#node(id).event;
    }).allowed;
  }

  #resolve(stateMaps: readonly ReadonlyStateMap<EventId>[]): StateMap<EventId> {
    const [only] = stateMaps;
    if (only === undefined) return new StateMap();
    if (stateMaps.length === 1) return new StateMap(only.entries());
    const resolution = resolveState({
      rules: this.#rules,
      create: this.#create,
      eventById: (id) => this.#nodes.get(id)?.event ?? null,
      isRejected: (id) => this.#nodes.get(id)?.status === "rejected",
      stateMaps,
    });
    if (!resolution.ok) throw new Error(resolution.reason);
    return resolution.state;
  }

  #node(eventId: EventId): Node {
    const node = this.#nodes.get(eventId);
    if (node === undefined) throw new Error(`${eventId} is not here`);
    return node;
  }
}

import { createHash } from "node:crypto";
import type { EventId } from "../../../../shared/ids.ts";
import { PowerLevels } from "../../../../shared/matrix/content/power-levels.ts";
import type { MatrixEvent } from "../../../../shared/matrix/event.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import type { ResolutionContext } from "../../../../shared/matrix/state-res/context.ts";

/** `type|state_key → event`. */
export type NaiveState = Map<string, MatrixEvent>;

/**
 * State resolution once more, from the specification's sentences, without any care for speed and sharing nothing with the
 * other but the authorization rules: the two must agree.
 */
export function naiveResolve(states: readonly NaiveState[], context: ResolutionContext): NaiveState {
  return context.rules.stateResolution === "v1" ? naiveV1(states, context) : naiveV2(states, context);
}

const keyOf = (event: MatrixEvent): string => `${event.type}|${event.stateKey}`;

function get(context: ResolutionContext, id: EventId): MatrixEvent {
  const event = context.eventById(id);
  if (event === null) throw new Error(`${id} is unknown`);
  return event;
}

/** The auth chain, by plain recursion, with the event itself. */
function chainOf(event: MatrixEvent, context: ResolutionContext, memo: Map<EventId, Set<EventId>>): Set<EventId> {
  const known = memo.get(event.eventId);
  if (known !== undefined) return known;
  const chain = new Set<EventId>([event.eventId]);
  for (const id of event.authEvents)
    for (const ancestor of chainOf(get(context, id), context, memo)) chain.add(ancestor);
  memo.set(event.eventId, chain);
  return chain;
}

function levelsIn(event: MatrixEvent, context: ResolutionContext): MatrixEvent | null {
  return (
    event.authEvents
      .map((id) => get(context, id))
      .find((auth) => auth.type === "m.room.power_levels" && auth.stateKey === "") ?? null
  );
}

function isPower(event: MatrixEvent): boolean {
  if (["m.room.power_levels|", "m.room.join_rules|"].includes(keyOf(event))) return true;
  const isRemoval = event.content.membership === "leave" || event.content.membership === "ban";
  return event.type === "m.room.member" && isRemoval && event.sender !== event.stateKey;
}

function naiveV2(states: readonly NaiveState[], context: ResolutionContext): NaiveState {
  const memo = new Map<EventId, Set<EventId>>();
  const chain = (event: MatrixEvent): Set<EventId> => chainOf(event, context, memo);
  const allKeys = new Set(states.flatMap((state) => [...state.keys()]));
  const unconflicted: NaiveState = new Map();
  const full = new Set<EventId>();
  for (const key of allKeys) {
    const values = states.map((state) => state.get(key));
    const [first] = values;
    if (first !== undefined && values.every((value) => value?.eventId === first.eventId)) unconflicted.set(key, first);
    else for (const value of values) if (value !== undefined) full.add(value.eventId);
  }
  const conflicted = [...full].map((id) => get(context, id));
  const chains = states.map((state) => new Set([...state.values()].flatMap((event) => [...chain(event)])));
  for (const one of chains) for (const id of one) if (!chains.every((other) => other.has(id))) full.add(id);
  if (context.rules.stateResolution === "v2.1") {
    // An event is on a path when one conflicted event's chain holds it, and its own chain holds another.
    for (const upper of conflicted) {
      for (const id of chain(upper)) {
        if (conflicted.some((lower) => lower.eventId !== upper.eventId && chain(get(context, id)).has(lower.eventId)))
          full.add(id);
      }
    }
  }
  return resolveFull(full, unconflicted, context);
}

function resolveFull(full: ReadonlySet<EventId>, unconflicted: NaiveState, context: ResolutionContext): NaiveState {
  const events = [...full].map((id) => get(context, id));
  const selected = new Set<MatrixEvent>();
  const select = (event: MatrixEvent): void => {
    if (selected.has(event)) return;
    selected.add(event);
    for (const id of event.authEvents) if (full.has(id)) select(get(context, id));
  };
  for (const event of events) if (isPower(event)) select(event);
  const state: NaiveState = context.rules.stateResolution === "v2.1" ? new Map() : new Map(unconflicted);
  applyAll(powerOrder([...selected], context), state, context);
  const rest = events.filter((event) => !selected.has(event));
  applyAll(mainlineOrder(rest, state.get("m.room.power_levels|") ?? null, context), state, context);
  for (const [key, event] of unconflicted) state.set(key, event);
  return state;
}

function byAge(x: MatrixEvent, y: MatrixEvent): number {
  if (x.originServerTs !== y.originServerTs) return x.originServerTs < y.originServerTs ? -1 : 1;
  return x.eventId < y.eventId ? -1 : 1;
}

/** Takes, again and again, the first of those whose auth events have all been taken. */
function powerOrder(events: MatrixEvent[], context: ResolutionContext): MatrixEvent[] {
  const power = (event: MatrixEvent): number =>
    new PowerLevels(levelsIn(event, context), context.create, context.rules).ofUser(event.sender);
  const waiting = new Set(events);
  const ordered: MatrixEvent[] = [];
  while (waiting.size > 0) {
    const ids = new Set([...waiting].map((event) => event.eventId));
    const free = [...waiting].filter((event) => !event.authEvents.some((id) => ids.has(id)));
    free.sort((x, y) => (power(x) === power(y) ? byAge(x, y) : power(x) > power(y) ? -1 : 1));
    const [next] = free;
    if (next === undefined) throw new Error("the auth events form a circle");
    waiting.delete(next);
    ordered.push(next);
  }
  return ordered;
}

function mainlineOrder(events: MatrixEvent[], levels: MatrixEvent | null, context: ResolutionContext): MatrixEvent[] {
  const mainline: EventId[] = [];
  for (let event = levels; event !== null; event = levelsIn(event, context)) mainline.push(event.eventId);
  const position = (event: MatrixEvent): number => {
    for (let ancestor = levelsIn(event, context); ancestor !== null; ancestor = levelsIn(ancestor, context)) {
      if (mainline.includes(ancestor.eventId)) return mainline.indexOf(ancestor.eventId);
    }
    return mainline.length + 1;
  };
  return [...events].sort((x, y) => position(y) - position(x) || byAge(x, y));
}

function applyAll(events: readonly MatrixEvent[], state: NaiveState, context: ResolutionContext): void {
  for (const event of events) {
    if (context.isRejected(event.eventId)) continue;
    const decision = authorize(event, context.rules, (type, stateKey) => {
      const inState = state.get(`${type}|${stateKey}`);
      if (inState !== undefined) return inState;
      const inAuth = event.authEvents
        .map((id) => get(context, id))
        .find((auth) => auth.type === type && auth.stateKey === stateKey && !context.isRejected(auth.eventId));
      return inAuth ?? (type === "m.room.create" ? context.create : null);
    });
    if (decision.allowed) state.set(keyOf(event), event);
  }
}

function naiveV1(states: readonly NaiveState[], context: ResolutionContext): NaiveState {
  const result: NaiveState = new Map();
  const conflicts = new Map<string, MatrixEvent[]>();
  for (const key of new Set(states.flatMap((state) => [...state.keys()]))) {
    const found = new Map<EventId, MatrixEvent>();
    for (const state of states) {
      const event = state.get(key);
      if (event !== undefined) found.set(event.eventId, event);
    }
    const [first, ...others] = found.values();
    if (first !== undefined && others.length === 0) result.set(key, first);
    else
      conflicts.set(
        key,
        [...found.values()].filter((event) => !context.isRejected(event.eventId)),
      );
  }
  const sha1 = (event: MatrixEvent): string => createHash("sha1").update(event.eventId).digest("hex");
  const ascending = (x: MatrixEvent, y: MatrixEvent): number => x.depth - y.depth || (sha1(x) > sha1(y) ? -1 : 1);
  const isAllowed = (event: MatrixEvent, state: NaiveState): boolean =>
    authorize(event, context.rules, (type, stateKey) => state.get(`${type}|${stateKey}`) ?? null).allowed;
  for (const type of ["m.room.power_levels", "m.room.join_rules", "m.room.member"]) {
    const before = new Map(result);
    for (const [key, events] of conflicts) {
      if (!key.startsWith(`${type}|`)) continue;
      conflicts.delete(key);
      const trial = new Map(before);
      for (const [index, event] of events.sort(ascending).entries()) {
        if (index > 0 && !isAllowed(event, trial)) break;
        trial.set(key, event);
        result.set(key, event);
      }
    }
  }
  const before = new Map(result);
  for (const [key, events] of conflicts) {
    const descending = events.sort(ascending).reverse();
    const winner = descending.find((event) => isAllowed(event, before)) ?? descending.at(-1);
    if (winner !== undefined) result.set(key, winner);
  }
  return result;
}

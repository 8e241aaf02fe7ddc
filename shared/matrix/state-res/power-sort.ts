import type { EventId } from "../../ids.ts";
import { compareCodePoints } from "../canonical-json.ts";
import { membershipOf } from "../content/member.ts";
import type { MatrixEvent } from "../event.ts";
import { type ResolutionContext, senderLevelOf } from "./context.ts";
import { Heap } from "./heap.ts";

/**
 * Whether an event might remove somebody's ability to do something: power levels, join rules, and leaving or being banned
 * by another's hand.
 *
 * @NOTE Like every server, only the power levels and join rules that have a say: those with an empty state key.
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function isPowerEvent(event: MatrixEvent): boolean {
  if (event.type === "m.room.power_levels" || event.type === "m.room.join_rules") return event.stateKey === "";
  if (event.type !== "m.room.member" || event.stateKey === null) return false;
  const membership = membershipOf(event.content);
  return (membership === "leave" || membership === "ban") && event.sender !== event.stateKey;
}

/** An event in the graph that is sorted. */
interface Vertex {
  readonly event: MatrixEvent;
  readonly level: number;
  /** Its auth events within the set that are not sorted yet. */
  waitsFor: number;
  /** Events within the set that name it in `auth_events`. */
  readonly dependants: Vertex[];
}

/**
 * Sorts events by reverse topological power ordering: auth events first, and among those that are free the greater power
 * of the sender, the earlier `origin_server_ts`, the lesser event id.
 *
 * @see https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
export function powerSort(eventIds: ReadonlySet<EventId>, context: ResolutionContext): MatrixEvent[] {
  const vertices = new Map<EventId, Vertex>();
  for (const eventId of eventIds) {
    const event = context.eventById(eventId);
    if (event === null) continue;
    vertices.set(eventId, { event, level: senderLevelOf(event, context), waitsFor: 0, dependants: [] });
  }
  for (const vertex of vertices.values()) {
    for (const authId of vertex.event.authEvents) {
      const authVertex = vertices.get(authId);
      if (authVertex === undefined) continue;
      vertex.waitsFor++;
      authVertex.dependants.push(vertex);
    }
  }
  return kahn(vertices.values());
}

/** "using Kahn's algorithm …, and at each step selecting, among all the candidate vertices, the smallest vertex" */
function kahn(vertices: Iterable<Vertex>): MatrixEvent[] {
  const free = new Heap<Vertex>(compareByPower);
  for (const vertex of vertices) if (vertex.waitsFor === 0) free.push(vertex);
  const sorted: MatrixEvent[] = [];
  for (let vertex = free.pop(); vertex !== null; vertex = free.pop()) {
    sorted.push(vertex.event);
    for (const dependant of vertex.dependants) {
      dependant.waitsFor--;
      if (dependant.waitsFor === 0) free.push(dependant);
    }
  }
  return sorted;
}

function compareByPower(x: Vertex, y: Vertex): number {
  // 1. "x's sender has greater power level than y's sender". Not by subtraction: two creators have infinite power.
  if (x.level !== y.level) return x.level > y.level ? -1 : 1;
  return compareByAge(x.event, y.event);
}

/** The earlier `origin_server_ts`, then the lesser event id. */
export function compareByAge(x: MatrixEvent, y: MatrixEvent): number {
  return x.originServerTs - y.originServerTs || compareCodePoints(x.eventId, y.eventId);
}

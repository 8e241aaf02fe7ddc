/** Small rooms whose history forks and joins again, as fast-check makes and shrinks them. */
import type { EventId, UserId } from "../../../../shared/ids.ts";
import type { JsonObject } from "../../../../shared/json.ts";
import type { MatrixEvent } from "../../../../shared/matrix/event.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import { resolveState } from "../../../../shared/matrix/state-res/resolve.ts";
import { fc } from "../../../support/property.ts";
import { RoomBuilder, user } from "../../../support/room-builder.ts";
import { contextOfRoom } from "./history.ts";
import { stateOf } from "./synthetic.ts";

const people = ["alice", "bob", "carol", "dave", "erin"].map((name) => user(`@${name}:example.org`));

/** One event, on one of the branches; before it, the branch may fork or take in all others. */
export interface Step {
  readonly branch: number;
  readonly turn: "on" | "fork" | "merge";
  readonly sender: number;
  readonly target: number;
  readonly kind: Kind;
  readonly value: number;
  /** Clocks of servers differ, and sometimes agree to the millisecond. */
  readonly clock: number;
}

const kinds = ["rename", "join", "leave", "invite", "ban", "kick", "levels", "joinRule", "topic", "thing"] as const;
type Kind = (typeof kinds)[number];

/** How a room goes: it begins with its create event and its creator, or is open with two more members, then the steps. */
export interface Plan {
  readonly isOpen: boolean;
  readonly steps: readonly Step[];
}

/** Of the state events of a room that begins open, this many are there before the first step. */
const openEvents = 6;
const mostEvents = 40;

const step: fc.Arbitrary<Step> = fc.record({
  branch: fc.nat(3),
  turn: fc.constantFrom("on", "on", "on", "on", "on", "on", "fork", "fork", "merge"),
  // Mostly those who may do something.
  sender: fc.constantFrom(0, 0, 0, 1, 1, 2, 2, 3, 4),
  target: fc.nat(4),
  kind: fc.constantFrom(...kinds),
  value: fc.nat(7),
  clock: fc.nat(5),
});

/** Rooms of 3 to 40 state events. */
export const plan: fc.Arbitrary<Plan> = fc.oneof(
  fc.record({ isOpen: fc.constant(false), steps: stepsOf(1, mostEvents - 2) }),
  { weight: 4, arbitrary: fc.record({ isOpen: fc.constant(true), steps: stepsOf(1, mostEvents - openEvents) }) },
);

function stepsOf(minLength: number, maxLength: number): fc.Arbitrary<Step[]> {
  return fc.array(step, { minLength, maxLength, size: "max" });
}

export interface Graph {
  readonly room: RoomBuilder;
  readonly branches: readonly RoomBuilder[];
}

/** The room that a plan describes. What its steps make and the rules refuse is among its events, on no branch. */
export function graphOf({ isOpen, steps }: Plan, version: string): Graph {
  const room = isOpen ? RoomBuilder.open({ version, joinRule: "public" }) : RoomBuilder.empty({ version });
  if (isOpen) for (const person of people.slice(1, 3)) room.join(person);
  else room.join(room.creator);
  const branches = [room.fork()];
  const after: StatesAfter = new Map(room.heads.map((head) => [head, [...room.state.values()]]));
  for (const one of steps) {
    const index = one.branch % branches.length;
    const branch = branches[index];
    if (branch === undefined) throw new Error("a branch is missing");
    if (one.turn === "fork" && branches.length < 4) branches.push(branch.fork());
    if (one.turn === "merge" && branches.length > 1) branches[index] = mergeOf(branch, branches, after);
    act(branches[index] ?? branch, one, after);
  }
  return { room, branches };
}

/** The state after each event that a branch has ended in. */
type StatesAfter = Map<EventId, readonly MatrixEvent[]>;

function mergeOf(branch: RoomBuilder, branches: readonly RoomBuilder[], after: StatesAfter): RoomBuilder {
  const heads = new Set(branches.flatMap((one) => one.heads));
  const stateMaps = [...heads].map((head) => stateOf(after.get(head) ?? []));
  const resolution = resolveState({ ...contextOfRoom(branch), stateMaps });
  if (!resolution.ok) throw new Error(resolution.reason);
  const others = branches.filter((one) => one !== branch);
  return branch.merged(
    others,
    [...resolution.state.entries()].map(([, id]) => branch.byId(id)),
  );
}

function act(branch: RoomBuilder, one: Step, after: StatesAfter): void {
  const sender = personAt(one.sender);
  const [type, stateKey, content] = stateOfStep(branch, one, sender);
  const originServerTs = 1_700_000_000_000 + one.clock * 1_000;
  const event = branch.make({ sender, type, stateKey, content, originServerTs });
  if (!authorize(event, branch.rules, branch.lookup).allowed) return;
  branch.append(event);
  after.set(event.eventId, [...branch.state.values()]);
}

function personAt(index: number): UserId {
  const [first, ...others] = people;
  const person = index === 0 ? first : others[index - 1];
  if (person === undefined) throw new Error("nobody has that number");
  return person;
}

function stateOfStep(branch: RoomBuilder, one: Step, sender: UserId): [string, string, JsonObject] {
  const member = (target: UserId, content: JsonObject): [string, string, JsonObject] => [
    "m.room.member",
    target,
    content,
  ];
  const target = personAt(one.target);
  switch (one.kind) {
    case "rename":
      return member(sender, { membership: "join", displayname: `v${one.value}` });
    case "join":
    case "leave":
      return member(sender, { membership: one.kind });
    case "invite":
    case "ban":
      return member(target, { membership: one.kind });
    case "kick":
      return member(target, { membership: "leave" });
    case "levels":
      return ["m.room.power_levels", "", levelsOf(branch, one)];
    case "joinRule":
      return ["m.room.join_rules", "", { join_rule: one.value % 2 === 0 ? "public" : "invite" }];
    case "topic":
      return ["m.room.topic", "", { topic: `t${one.value}` }];
    case "thing":
      return ["org.example.thing", one.value % 2 === 0 ? "a" : "b", { value: one.value }];
  }
}

function levelsOf(branch: RoomBuilder, { value, target }: Step): JsonObject {
  const users: JsonObject = branch.rules.creatorsHaveInfinitePower ? {} : { [branch.creator]: 100 };
  for (const [index, person] of people.entries()) {
    if (index > 0 && ((value >> (index % 3)) & 1) === 1) users[person] = ((index + target) % 5) * 25;
  }
  return { users, events: { "m.room.power_levels": 25 + (value % 3) * 25 } };
}

/** Another order of the same. */
export function permuted<Item>(items: readonly Item[], random: (below: number) => number): Item[] {
  const rest = [...items];
  const ordered: Item[] = [];
  while (rest.length > 0) ordered.push(...rest.splice(random(rest.length), 1));
  return ordered;
}

/** Another order in which every event still comes after those that it names. */
export function arrivalOrder(events: readonly MatrixEvent[], random: (below: number) => number): MatrixEvent[] {
  const rest = [...events];
  const done = new Set<EventId>();
  const ordered: MatrixEvent[] = [];
  while (rest.length > 0) {
    const free = rest.filter((event) => [...event.prevEvents, ...event.authEvents].every((id) => done.has(id)));
    const next = free[random(free.length)];
    if (next === undefined) throw new Error("the events form a circle");
    ordered.push(next);
    done.add(next.eventId);
    rest.splice(rest.indexOf(next), 1);
  }
  return ordered;
}

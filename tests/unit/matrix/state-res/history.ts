import type { EventId, UserId } from "../../../../shared/ids.ts";
import type { JsonObject } from "../../../../shared/json.ts";
import type { MatrixEvent } from "../../../../shared/matrix/event.ts";
import { authorize } from "../../../../shared/matrix/event-auth/state-dependent.ts";
import type { ResolutionContext } from "../../../../shared/matrix/state-res/context.ts";
import { resolveState } from "../../../../shared/matrix/state-res/resolve.ts";
import { RoomBuilder, user } from "../../../support/room-builder.ts";
import { stateOf } from "./synthetic.ts";

/** A small seeded generator: the same seed makes the same history. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed + 0x9e3779b9;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const people: readonly UserId[] = ["alice", "bob", "carol", "dave", "erin"].map((name) => user(`@${name}:example.org`));

/** What resolution asks about a built room. */
export function contextOfRoom(room: RoomBuilder): ResolutionContext {
  const byId = new Map<EventId, MatrixEvent>(room.events.map((event) => [event.eventId, event]));
  return { rules: room.rules, create: room.create, eventById: (id) => byId.get(id) ?? null, isRejected: () => false };
}

/** A room whose branches went apart and partly came together again: random allowed events on random branches. */
export function randomHistory(
  version: string,
  seed: number,
  steps: number,
): { room: RoomBuilder; branches: RoomBuilder[] } {
  const random = randomOf(seed);
  const room = RoomBuilder.open({ version, joinRule: "public" });
  for (const person of people.slice(1, 3)) room.join(person);
  const branches = [room.fork(), room.fork()];
  for (let step = 0; step < steps; step++) {
    const index = random(branches.length);
    const branch = branches[index];
    if (branch === undefined) continue;
    const choice = random(20);
    if (choice === 0 && branches.length < 4) branches.push(branch.fork());
    else if (choice === 1 && branches.length > 2) branches.splice(index, 1, mergeAll(branch, branches));
    else act(branch, random);
  }
  return { room, branches };
}

function mergeAll(branch: RoomBuilder, branches: readonly RoomBuilder[]): RoomBuilder {
  const context = contextOfRoom(branch);
  const resolution = resolveState({ ...context, stateMaps: branches.map((one) => stateOf(one.state.values())) });
  if (!resolution.ok) throw new Error(resolution.reason);
  const others = branches.filter((one) => one !== branch);
  return branch.merged(
    others,
    [...resolution.state.entries()].map(([, id]) => branch.byId(id)),
  );
}

/** One random thing that somebody does on a branch, if the rules allow it there. */
function act(branch: RoomBuilder, random: (below: number) => number): void {
  const pick = <Item>(items: readonly [Item, ...Item[]]): Item => items[random(items.length)] ?? items[0];
  const person = (): UserId => people[random(people.length)] ?? branch.creator;
  const sender = person();
  const [type, stateKey, content] = pick<() => [string, string, JsonObject]>([
    () => ["m.room.member", sender, { membership: "join", displayname: `v${random(100)}` }],
    () => ["m.room.member", sender, { membership: pick(["join", "leave"]) }],
    () => ["m.room.member", person(), { membership: pick(["invite", "leave", "ban"]) }],
    () => [
      "m.room.power_levels",
      "",
      { users: levelsOf(branch, random), events: { "m.room.power_levels": 25 + random(3) * 25 } },
    ],
    () => ["m.room.join_rules", "", { join_rule: pick(["public", "invite"]) }],
    () => ["m.room.topic", "", { topic: `t${random(100)}` }],
    () => ["m.room.name", "", { name: `n${random(100)}` }],
    () => ["org.example.thing", pick(["a", "b"]), { value: random(100) }],
  ])();
  // Clocks of servers differ, and sometimes agree to the millisecond.
  const originServerTs = 1_700_000_000_000 + random(8) * 1_000;
  const event = branch.make({ sender, type, stateKey, content, originServerTs });
  if (authorize(event, branch.rules, branch.lookup).allowed) branch.append(event);
}

function levelsOf(branch: RoomBuilder, random: (below: number) => number): JsonObject {
  const users: JsonObject = branch.rules.creatorsHaveInfinitePower ? {} : { [branch.creator]: 100 };
  for (const person of people.slice(1)) if (random(2) === 0) users[person] = random(5) * 25;
  return users;
}

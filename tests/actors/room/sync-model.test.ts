import { describe, expect, it } from "vitest";
import { MatrixError } from "../../../shared/errors.ts";
import { trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { RoomSyncResult } from "../../../shared/rpc/room.ts";
import { fc } from "../../support/property.ts";
import { at, idsOf, listAt, messagesInput, positionOf, stateOf, sync, timelineOf } from "./sync-client.ts";
import { alice, bob, carol, createWorld, membership, message, state, type TestRoom } from "./world.ts";

/**
 * A model of the room and of clients, against the room's actor: whatever happens in the room, and with whatever earlier
 * token a client comes, its timelines, with gaps filled by `/messages`, are exactly the events that it may see, in order,
 * each once; and its state is the room's.
 */

type Visibility = "world_readable" | "shared" | "invited" | "joined";

/** An event as the model knows it, with what decides its visibility. */
interface ModelEvent {
  readonly eventId: string;
  readonly position: number;
  readonly visibilities: readonly Visibility[];
  readonly before: Readonly<Record<string, string>>;
  readonly after: Readonly<Record<string, string>>;
  readonly memberOf: string | null;
}

/** What a client has after an answer. */
interface ClientState {
  readonly since: number | null;
  readonly place: RoomSyncResult["place"];
  readonly known: readonly string[];
  readonly state: ReadonlyMap<string, string>;
  readonly members: ReadonlySet<string>;
}

const people = [alice, bob, carol];
const newcomer: ClientState = { since: null, place: null, known: [], state: new Map(), members: new Set() };

/** Reads the model off the database: event by event, with the state that a plain map would have. */
function modelOf(room: TestRoom): ModelEvent[] {
  const rows = room.sql.all<{
    event_id: string;
    stream_position: number;
    type: string;
    state_key: string | null;
    json: string;
  }>("SELECT event_id, stream_position, type, state_key, json FROM events ORDER BY stream_position");
  let members: Record<string, string> = {};
  let visibility: Visibility = "shared";
  return rows.map((row) => {
    const { content } = JSON.parse(row.json);
    const before = members;
    const visibilityBefore = visibility;
    if (row.type === "m.room.member") members = { ...members, [String(row.state_key)]: content.membership };
    if (row.type === "m.room.history_visibility") visibility = content.history_visibility;
    return {
      eventId: row.event_id,
      position: row.stream_position,
      visibilities: [visibilityBefore, visibility],
      before,
      after: members,
      memberOf: row.type === "m.room.member" ? row.state_key : null,
    };
  });
}

/** The events that a user may see, by the specification's rules, told afresh from the whole history. */
function visibleEvents(events: readonly ModelEvent[], userId: UserId): string[] {
  const joinedLast = events.findLast((event) => event.after[userId] === "join" || event.before[userId] === "join");
  const lastOwn = events.findLast((event) => event.memberOf === userId);
  const isOut = lastOwn !== undefined && ["leave", "ban"].includes(lastOwn.after[userId] ?? "");
  const visible = events.filter((event) => {
    if (event.visibilities.includes("world_readable")) return true;
    if (isOut && event === lastOwn) return true;
    if (joinedLast === undefined || event.position > joinedLast.position) return false;
    const memberships =
      event.memberOf === userId ? [event.before[userId], event.after[userId]] : [event.before[userId]];
    if (memberships.includes("join")) return true;
    if (event.visibilities.includes("shared")) return true;
    return event.visibilities.includes("invited") && memberships.includes("invite");
  });
  return visible.map((event) => event.eventId);
}

/** Asks for what is new, fills the gap, and checks the whole against the model. */
async function syncAndCheck(
  room: TestRoom,
  userId: UserId,
  from: ClientState,
  options: { limit: number; useStateAfter: boolean; lazy: boolean },
): Promise<ClientState> {
  const filter = {
    timeline: { limit: options.limit, lazy_load_members: options.lazy },
    state: { lazy_load_members: options.lazy },
  };
  const answer = await sync(room, userId, from.since, { filter, useStateAfter: options.useStateAfter });
  const place = answer.place ?? from.place;
  const { membership: now, isForgotten } = memberOf(room, userId);
  if (now === "leave" || now === "ban") expect(place, "who left is nowhere told to be in the room").not.toBe("join");
  if (answer.place !== "join" && answer.place !== "leave") {
    return { ...from, since: answer.readPosition, place };
  }
  const events = timelineOf(answer);
  if (isForgotten) {
    expect(answer.place).toBe("leave");
    expect(from.since ?? answer.readPosition, "told once, and to nobody who is new").toBeLessThan(answer.readPosition);
    const exit = exitOf(room, userId);
    for (const event of [...events, ...stateOf(answer), ...listAt(answer.section, "state_after", "events")]) {
      expect(event.event_id, "of a forgotten room, how the user left").toBe(exit);
    }
  }
  const isLimited = at(answer.section, "timeline", "limited") === true;
  // Who is out may not be let in to ask for more.
  const canAsk = isLimited && answer.place === "join";
  const gap = canAsk ? await fillGap(room, userId, at(answer.section, "timeline", "prev_batch")) : [];
  const news = [...gap, ...idsOf(events)];
  expect(new Set(news).size, "no duplicates within one answer").toBe(news.length);
  // A timeline that is not limited follows directly on what the client has.
  if (!isLimited) expect(news.filter((eventId) => from.known.includes(eventId))).toEqual([]);
  const known = [...from.known.filter((eventId) => !news.includes(eventId)), ...news];

  const model = modelOf(room).filter((event) => event.position <= answer.readPosition);
  const visible = visibleEvents(model, userId);
  if (answer.place === "join") expect(inOrder(model, known)).toEqual(visible);
  else expect(known.filter((eventId) => !visible.includes(eventId) && !from.known.includes(eventId))).toEqual([]);

  const key = options.useStateAfter ? "state_after" : "state";
  const next = new Map(from.state);
  const members = new Set(from.members);
  const told = [...listAt(answer.section, key, "events"), ...(options.useStateAfter ? [] : events)];
  for (const event of told) applyState(next, event);
  for (const event of [...told, ...events]) {
    if (event.type === "m.room.member") members.add(String(event.state_key));
  }
  if (answer.place === "join" && !options.lazy) expect(Object.fromEntries(next)).toEqual(currentState(room));
  if (options.lazy && answer.place === "join") for (const event of events) expect(members).toContain(event.sender);
  return { since: answer.readPosition, place, known: inOrder(model, known), state: next, members };
}

function memberOf(room: TestRoom, userId: UserId): { membership: string | null; isForgotten: boolean } {
  const row = room.sql.one<{ membership: string; is_forgotten: number }>(
    "SELECT membership, is_forgotten FROM room_memberships WHERE user_id = ?",
    userId,
  );
  return { membership: row?.membership ?? null, isForgotten: row?.is_forgotten === 1 };
}

/** The event by which a user is out. */
function exitOf(room: TestRoom, userId: UserId): string | undefined {
  return modelOf(room).findLast((event) => event.memberOf === userId)?.eventId;
}

/** Pages back to the beginning. */
async function fillGap(room: TestRoom, userId: UserId, prevBatch: JsonObject[string]): Promise<string[]> {
  const found: string[] = [];
  let from = positionOf(prevBatch);
  for (let pages = 0; from !== null && pages < 100; pages += 1) {
    const page = await room.rpc.getMessages(messagesInput(userId, { from, limit: 3 }));
    const positions = new Map(modelOf(room).map((event) => [event.eventId, event.position]));
    for (const eventId of idsOf(listAt(page, "chunk"))) {
      expect(positions.get(eventId)).toBeLessThanOrEqual(from);
      found.unshift(eventId);
    }
    from = positionOf(page.end);
  }
  expect(new Set(found).size, "no duplicates between pages").toBe(found.length);
  return found;
}

function inOrder(model: readonly ModelEvent[], eventIds: readonly string[]): string[] {
  const wanted = new Set(eventIds);
  return model.filter((event) => wanted.has(event.eventId)).map((event) => event.eventId);
}

function applyState(target: Map<string, string>, event: JsonObject): void {
  if (typeof event.state_key === "string")
    target.set(`${String(event.type)}|${event.state_key}`, String(event.event_id));
}

function currentState(room: TestRoom): Record<string, string> {
  const rows = room.sql.all<{ type: string; state_key: string; event_id: string }>(
    `SELECT k.type, k.state_key, e.event_id FROM current_state_events c
     JOIN state_keys k ON k.state_key_nid = c.state_key_nid JOIN events e ON e.event_nid = c.event_nid`,
  );
  return Object.fromEntries(rows.map((row) => [`${row.type}|${row.state_key}`, row.event_id]));
}

type Step =
  | { kind: "send" | "join" | "leave" | "forget" | "invite" | "kick" | "profile"; who: number }
  | { kind: "topic"; text: string }
  | { kind: "visibility"; to: Visibility }
  | { kind: "type" | "read"; who: number }
  | { kind: "evict" }
  | { kind: "sync"; who: number; token: number; limit: number; useStateAfter: boolean };

const who = fc.integer({ min: 0, max: 2 });
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("send" as const), who }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constantFrom("join", "leave", "forget", "invite", "kick", "profile"), who }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("topic" as const), text: fc.string({ maxLength: 3 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("visibility" as const),
      to: fc.constantFrom<Visibility>("world_readable", "shared", "invited", "joined"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("type", "read"), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("evict" as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("sync" as const),
      who,
      token: fc.nat(1_000),
      limit: fc.integer({ min: 0, max: 4 }),
      useStateAfter: fc.boolean(),
    }),
  },
);

async function act(room: TestRoom, step: Exclude<Step, { kind: "sync" }>, counter: number): Promise<void> {
  switch (step.kind) {
    case "send":
      await room.rpc.sendEvent(message(people[step.who] ?? alice, `message ${counter}`));
      return;
    case "join":
    case "leave":
      await room.rpc.changeMembership(membership(step.kind, people[step.who] ?? bob));
      return;
    case "forget":
      await room.rpc.forget(people[step.who] ?? bob);
      return;
    case "invite":
    case "kick":
      await room.rpc.changeMembership(membership(step.kind, alice, people[step.who] ?? bob));
      return;
    case "profile":
      await room.rpc.updateMemberProfile(people[step.who] ?? alice, { displayname: `name ${counter}` }, counter);
      return;
    case "topic":
      await room.rpc.sendEvent(state(alice, "m.room.topic", { topic: `${step.text} ${counter}` }));
      return;
    case "visibility":
      await room.rpc.sendEvent(state(alice, "m.room.history_visibility", { history_visibility: step.to }));
      return;
    case "type":
      await room.rpc.setTyping({ userId: people[step.who] ?? alice, typing: counter % 2 === 0, timeoutMs: 30_000 });
      return;
    case "read": {
      const userId = people[step.who] ?? alice;
      const last = visibleEvents(modelOf(room), userId).at(-1);
      if (last === undefined) return;
      const eventId = trusted.eventId(last);
      await room.rpc.sendReceipt({ userId, receiptType: "m.read", eventId, threadId: null });
      return;
    }
    case "evict":
      room.evict();
      return;
  }
}

async function play(script: readonly Step[], lazy: boolean): Promise<void> {
  const world = createWorld();
  const room = await world.create({ preset: "public_chat" });
  const clients = new Map<UserId, ClientState[]>(people.map((userId) => [userId, [newcomer]]));
  for (const [counter, step] of script.entries()) {
    world.clock.advance(1_000);
    if (step.kind !== "sync") {
      try {
        await act(room, step, counter);
      } catch (thrown) {
        if (!(thrown instanceof MatrixError)) throw thrown;
      }
      continue;
    }
    const userId = people[step.who] ?? alice;
    const tokens = clients.get(userId) ?? [newcomer];
    const from = tokens[tokens.length - 1 - (step.token % Math.min(tokens.length, 4))] ?? newcomer;
    tokens.push(await syncAndCheck(room, userId, from, { ...step, lazy }));
  }
  for (const userId of people) {
    const last = clients.get(userId)?.at(-1) ?? newcomer;
    await syncAndCheck(room, userId, last, { limit: 2, useStateAfter: false, lazy });
  }
}

describe("syncRoom against a model", { timeout: 180_000 }, () => {
  it("gives every client exactly what it may see, whatever token it comes with", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 60 }), (script) => play(script, false)),
      { numRuns: 150 },
    );
  });

  it("does so when members are loaded lazily, and gives each sender's member event", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 60 }), (script) => play(script, true)),
      { numRuns: 100 },
    );
  });
});

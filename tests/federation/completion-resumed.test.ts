/** The completion of a room that is interrupted: what was taken before is neither taken nor asked for again. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import { type FederatedServer, Federation } from "../support/federation.ts";
import { Resident } from "../support/resident.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";
import { TestPeer } from "../support/test-peer.ts";

let federation: Federation;
let two: FederatedServer;
let built: RoomBuilder;
let resident: Resident;
let far: TestPeer;
/** The state before the join. */
let state: MatrixEvent[];
/** Events of the answer that were handed to the room, by call. */
let given: number[];

const minute = 60_000;
const members = 1_050;
const batch = 500;

beforeEach(async () => {
  federation = new Federation();
  two = federation.server("two.test");
  const bob = await two.user("bob");
  built = RoomBuilder.open();
  for (let index = 0; index < members; index += 1) built.join(user(`@user${index}:example.org`));
  built.join(user("@dave:far.test"));
  resident = new Resident(federation, "example.org", built, { omitsMembers: true });
  resident.serversInRoom = ["example.org", "far.test"];
  far = new TestPeer(federation, "far.test");
  for (const peer of [resident.peer, far]) peer.on(/\/v1\/send\//, () => ({ pdus: {} }));
  const reply = await bob.post(`v3/join/${encodeURIComponent(built.roomId)}?via=example.org`);
  expect(reply.status, reply.text).toBe(200);
  const [taken] = resident.taken;
  if (taken === undefined) throw new Error("nobody was asked");
  state = [...built.state.values()];
  built.append(taken);
  resident.peer.on(/\/state\//, () => told(state));
  given = [];
  two.onCall = (_method, call) => call();
});
afterEach(() => federation.close());

const room = () => two.sql("room", built.roomId);
const isPartial = (): boolean => room().one("SELECT id FROM partial_state") !== null;

const told = (events: readonly MatrixEvent[]): JsonObject => ({ pdus: events.map(({ pdu }) => pdu), auth_chain: [] });

/** The answer as far as `events` of its state. */
function brokenOff(events: readonly MatrixEvent[], count: number): Response {
  const whole = JSON.stringify(told(events.slice(0, count)));
  return new Response(whole.slice(0, whole.lastIndexOf('],"auth_chain"')));
}

function stateHere(): string[] {
  const query = "SELECT event_id FROM current_state_events JOIN events USING (event_nid) ORDER BY event_id";
  return room()
    .all<{ event_id: string }>(query)
    .map(({ event_id }) => event_id);
}

const stateThere = () => [...built.state.values()].map(({ eventId }) => eventId).sort();

/** Counts what the room is given; from the `last`th batch on, nothing reaches it, as after a power cut. */
function cutPowerAfter(last: number): void {
  let isOff = false;
  two.onArguments = (method, [input]) => {
    if (method !== "takeWholeState" || isOff) return;
    given.push((input as { pdus: unknown[] }).pdus.length);
  };
  two.onCall = async (method, call) => {
    if (isOff) throw new Error("there is no power");
    const value = await call();
    if (method === "takeWholeState" && given.length === last) {
      isOff = true;
      two.evict();
    }
    return value;
  };
}

function restorePower(): void {
  two.onCall = (_method, call) => call();
  two.onArguments = (method, [input]) => {
    if (method === "takeWholeState") given.push((input as { pdus: unknown[] }).pdus.length);
  };
  two.evict();
}

const sum = (numbers: readonly number[]): number => numbers.reduce((left, right) => left + right, 0);

describe("completing a room after a power cut in the middle of it", () => {
  it("takes only what was not taken before", async () => {
    cutPowerAfter(1);
    await federation.advance(1_000);
    expect(given).toEqual([batch]);
    expect(isPartial()).toBe(true);
    restorePower();
    await federation.advance(2 * minute);
    expect(isPartial()).toBe(false);
    expect(stateHere()).toEqual(stateThere());
    expect(given).toEqual([batch, batch, state.length - 2 * batch]);
  });

  it("begins within a minute, however long it has been at it", async () => {
    cutPowerAfter(1);
    await federation.advance(1_000);
    restorePower();
    await federation.advance(minute);
    expect(isPartial()).toBe(false);
  });

  it("takes all of an answer that is in another order now, and stores nothing twice", async () => {
    cutPowerAfter(1);
    await federation.advance(1_000);
    resident.peer.on(/\/state\//, () => told([...state].reverse()));
    restorePower();
    await federation.advance(2 * minute);
    expect(isPartial()).toBe(false);
    expect(stateHere()).toEqual(stateThere());
    expect(sum(given.slice(1))).toBe(state.length);
    const events = room().one<{ count: number }>("SELECT COUNT(*) AS count FROM events")?.count;
    expect(events).toBe(state.length + 1);
  });

  it("takes all of an answer that is shorter now", async () => {
    cutPowerAfter(1);
    await federation.advance(1_000);
    let asked = 0;
    resident.peer.on(/\/state\//, () => {
      asked += 1;
      return told(asked === 1 ? state.slice(0, 400) : state);
    });
    restorePower();
    await federation.advance(2 * minute);
    expect(asked).toBe(2);
    expect(stateHere()).toEqual(stateThere());
  });
});

describe("completing a room by way of a server that takes its time", () => {
  /** Rings what is due, and waits for nothing. */
  async function ringAlarms(): Promise<void> {
    for (const host of two.hosts()) {
      if (host.alarmAt === null || host.alarmAt > federation.clock.now()) continue;
      host.alarmAt = null;
      await host.actor.onAlarm();
    }
  }

  it("does not begin a second time, while the alarm goes on with other things", async () => {
    restorePower();
    let answer = (): void => undefined;
    const isTime = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let asked = 0;
    resident.peer.on(/\/state\//, async () => {
      asked += 1;
      await isTime;
      return told(state);
    });
    for (let minutes = 0; minutes < 9; minutes += 1) {
      await ringAlarms();
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      federation.passTime(minute);
    }
    expect(asked).toBe(1);
    answer();
    await federation.settle();
    expect(stateHere()).toEqual(stateThere());
  });

  it("asks the actor of a member's server for its keys once for all of its members", async () => {
    restorePower();
    const asked: string[] = [];
    two.onArguments = (method, [input]) => {
      if (method === "getVerifyKeys") asked.push(JSON.stringify((input as { keyIds: string[] }).keyIds));
    };
    await federation.advance(1_000);
    expect(stateHere()).toEqual(stateThere());
    // Of the two servers whose users are members, and for the keys by which the answer to a notary's question is signed.
    expect(asked.length).toBeLessThanOrEqual(3);
  });
});

describe("completing a room whose answer breaks off", () => {
  it("goes on where it broke off, when nobody else could help", async () => {
    restorePower();
    resident.peer.on(/\/state\//, () => brokenOff(state, 900));
    await federation.advance(1_000);
    const first = sum(given);
    expect(first).toBeGreaterThan(batch);
    expect(first).toBeLessThan(state.length);
    resident.peer.on(/\/state\//, () => told(state));
    await federation.advance(2 * minute);
    expect(stateHere()).toEqual(stateThere());
    expect(sum(given)).toBe(state.length);
  });

  it("mixes nothing of what one server told with what another tells", async () => {
    restorePower();
    // Member events of the room that are not of this state.
    const former = built.fork().member(user("@user7:example.org"), "leave", "@user7:example.org");
    const ghost = built.fork().join(user("@ghost:example.org"));
    const others = state.flatMap((event) => (event.stateKey === "@user7:example.org" ? [event, former] : [event]));
    const lying = [...others.slice(0, 300), ghost, ...others.slice(300)];
    resident.peer.on(/\/state\//, () => brokenOff(lying, 900));
    far.on(/\/state\//, () => told(state));
    await federation.advance(1_000);
    expect(isPartial()).toBe(false);
    expect(stateHere()).toEqual(stateThere());
  });

  it("does not take for whole what was begun, because another server tells nothing", async () => {
    restorePower();
    const nothing: JsonValue = { pdus: Array.from({ length: 5_000 }, () => 1), auth_chain: [] };
    resident.peer.on(/\/state\//, () => brokenOff(state, 900));
    far.on(/\/state\//, () => nothing);
    await federation.advance(1_000);
    expect(isPartial()).toBe(true);
    resident.peer.on(/\/state\//, () => told(state));
    await federation.advance(5 * minute);
    expect(stateHere()).toEqual(stateThere());
  });
});

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { trusted } from "../../shared/ids.ts";
import { isObject, withFields } from "../../shared/json.ts";
import { away, day, hour, minute, OutboundScene, ok } from "../support/outbound-scene.ts";
import type { ReceivedTransaction, ReceivingPeer } from "../support/receiving-peer.ts";
import { user } from "../support/room-builder.ts";
import { send } from "../support/shared-room.ts";

let scene: OutboundScene;
let peer: ReceivingPeer;

beforeEach(async () => {
  scene = await OutboundScene.open();
  peer = scene.peer("two.test");
});
afterEach(() => scene.close());

const answering =
  (status: number, body: object = {}, headers: Record<string, string> = {}) =>
  () =>
    Response.json(body, { status, headers });

const unique = (values: readonly string[]): string[] => [...new Set(values)];

/** Requests that our server makes to a host, answered or not, from now on. */
function countRequests(): Map<string, number> {
  const counts = new Map<string, number>();
  scene.federation.beforeExchange = (_from, to) => void counts.set(to, (counts.get(to) ?? 0) + 1);
  return counts;
}

describe("a server that does not answer", () => {
  it("is asked at most 30 times a day", async () => {
    const roomId = await scene.room(peer);
    const paths: string[] = [];
    scene.federation.beforeExchange = (_from, to, path) => {
      if (to !== peer.name) return;
      paths.push(path);
      throw new Error("connection refused");
    };
    for (let quarter = 0; quarter < 96; quarter += 1) {
      await scene.say(roomId, `message ${quarter}`);
      await scene.federation.advance(15 * minute);
    }
    expect(paths.filter((path) => path.includes("/send/")).length).toBeLessThanOrEqual(30);
    // For each of them it is looked, at most once, whether the server has moved.
    expect(paths.filter((path) => !path.includes("/send/")).length).toBeLessThanOrEqual(30);
  });

  it("is asked three times in half a minute, for it may only be starting anew", async () => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "first");
    for (const [afterMs, count] of [
      [0, 1],
      [5_000, 2],
      [15_000, 3],
      [30_000, 3],
    ] as const) {
      await scene.federation.advance(afterMs);
      expect(peer.transactions).toHaveLength(count);
    }
  });

  it("costs the room one wake, and its own actor one row for the room", async () => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "first");
    await scene.federation.settle();
    const usage = scene.server.sql("server", peer.name).usage;
    const before = usage.rowsWritten;
    for (let index = 0; index < 50; index += 1) await scene.say(roomId, `message ${index}`);
    await scene.federation.settle();
    expect(usage.rowsWritten - before).toBeLessThanOrEqual(2);
  });

  it("gets everything once it answers again, after a day, of 200 rooms", async () => {
    const rooms: string[] = [];
    for (let index = 0; index < 200; index += 1) rooms.push(await scene.room(peer));
    peer.respond = away;
    for (const [index, roomId] of rooms.entries()) {
      await scene.say(roomId, `room ${index}, first`);
      await scene.say(roomId, `room ${index}, second`);
    }
    await scene.federation.advance(day);
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    const wanted = rooms.flatMap((_, index) => [`room ${index}, first`, `room ${index}, second`]);
    expect(peer.bodies().toSorted()).toEqual(wanted.toSorted());
    expect(peer.transactions.length).toBeLessThanOrEqual(10);
    for (const [index] of rooms.entries()) {
      expect(peer.bodies().indexOf(`room ${index}, first`)).toBeLessThan(
        peer.bodies().indexOf(`room ${index}, second`),
      );
    }
  });

  it("does not slow the others", async () => {
    const [living, dead] = [peer, scene.peer("dead.test")];
    const roomId = await scene.room(living, dead);
    dead.respond = () => new Promise<Response>(() => undefined);
    await scene.say(roomId, "first");
    for (let index = 0; index < 10; index += 1) await scene.say(roomId, `message ${index}`);
    for (let turn = 0; turn < 100 && living.bodies().length < 11; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(living.bodies()).toHaveLength(11);
  });

  it("is tried at once when it speaks to us", async () => {
    const roomId = await scene.room(peer);
    const built = await scene.join(roomId, peer, "carol");
    peer.respond = away;
    await scene.say(roomId, "while you were away");
    await scene.federation.advance(day);
    peer.transactions.length = 0;
    peer.respond = () => null;
    ok(await send({ server: scene.server, peer }, { pdus: [built.message(user(`@carol:${peer.name}`), "back")] }));
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["while you were away"]);
  });

  it("is not tried at its every word while it cannot be reached", async () => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    await scene.say(roomId, "while you were away");
    await scene.federation.advance(hour);
    peer.transactions.length = 0;
    for (let turn = 0; turn < 24 * 60; turn += 1) {
      await send({ server: scene.server, peer }, { edus: [] });
      await scene.federation.advance(minute);
    }
    expect(peer.transactions.length).toBeLessThanOrEqual(60);
  });
});

describe("a transaction that comes to nothing", () => {
  it("is sent again with the same id and the same events until it is confirmed", async () => {
    const roomId = await scene.room(peer);
    let fails = 3;
    peer.respond = () => {
      fails -= 1;
      return fails >= 0 ? Response.json({}, { status: 502 }) : null;
    };
    await scene.say(roomId, "first");
    await scene.federation.settle();
    await scene.say(roomId, "second");
    await scene.federation.advance(hour);
    const [first, ...others] = peer.transactions;
    const repeats = others.slice(0, 3);
    // Nobody signs how old the event is.
    const signed = (transaction: ReceivedTransaction | undefined) =>
      transaction?.pdus.map((pdu) => withFields(pdu, { unsigned: undefined }));
    expect(repeats.map((repeat) => [repeat.txnId, signed(repeat)])).toEqual(
      [1, 2, 3].map(() => [first?.txnId, signed(first)]),
    );
    const ages = peer.pdus().map(({ unsigned }) => (isObject(unsigned) ? Number(unsigned.age) : -1));
    expect(ages[0]).toBe(0);
    expect(ages[3]).toBe((others[2]?.ts ?? 0) - (first?.ts ?? 0));
    expect(unique(peer.bodies())).toEqual(["first", "second"]);
    expect(peer.transactions.at(-1)?.txnId).not.toBe(first?.txnId);
  });

  it("has failed once, however often that is told", async () => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    const inner = scene.server.onCall;
    scene.server.onCall = async (method, call) => {
      const answer = await inner(method, call);
      if (method === "transactionEnded") for (let again = 0; again < 5; again += 1) await call();
      return answer;
    };
    await scene.say(roomId, "hello");
    await scene.federation.settle();
    expect(scene.outbox(peer)).toMatchObject({ failures: 1, sent_ts: null });
    peer.respond = () => null;
    await scene.federation.advance(5_000);
    expect(peer.bodies()).toEqual(["hello", "hello"]);
  });

  it("is sent once more where only the answer was lost: the other side knows it by its id", async () => {
    const roomId = await scene.room(peer);
    let isLost = true;
    peer.respond = () => {
      if (!isLost) return null;
      isLost = false;
      throw new Error("connection reset");
    };
    await scene.say(roomId, "hello");
    await scene.federation.advance(minute);
    expect(peer.transactions.map(({ txnId }) => txnId)).toEqual([
      peer.transactions[0]?.txnId,
      peer.transactions[0]?.txnId,
    ]);
  });

  it("waits as long as a busy server asks for", async () => {
    const roomId = await scene.room(peer);
    peer.respond = answering(429, { errcode: "M_LIMIT_EXCEEDED", retry_after_ms: 30_000 });
    await scene.say(roomId, "hello");
    await scene.federation.settle();
    peer.respond = () => null;
    await scene.federation.advance(29_000);
    expect(peer.transactions).toHaveLength(1);
    await scene.federation.advance(2_000);
    expect(peer.transactions).toHaveLength(2);
  });

  it("does not wait for days because a server asks for it", async () => {
    const roomId = await scene.room(peer);
    peer.respond = answering(429, {}, { "Retry-After": "999999" });
    await scene.say(roomId, "hello");
    await scene.federation.settle();
    peer.respond = () => null;
    await scene.federation.advance(hour + minute);
    expect(unique(peer.bodies())).toEqual(["hello"]);
    expect(peer.transactions).toHaveLength(2);
  });

  it.each([401, 403, 404, 500, 503])("is kept, and tried again later, after a %i", async (status) => {
    const roomId = await scene.room(peer);
    peer.respond = answering(status, { errcode: "M_UNKNOWN" });
    await scene.say(roomId, "hello");
    await scene.federation.advance(day);
    expect(peer.transactions.length).toBeGreaterThan(3);
    expect(peer.transactions.length).toBeLessThanOrEqual(30);
    expect(unique(peer.transactions.map(({ txnId }) => txnId))).toHaveLength(1);
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(scene.outbox(peer)).toMatchObject({ txn_id: null, failures: 0 });
  });

  it("is not repeated for the events that the server refuses one by one", async () => {
    const roomId = await scene.room(peer);
    peer.respond = ({ pdus }) =>
      Response.json({ pdus: Object.fromEntries(pdus.map((_, i) => [`$${i}`, { error: "no" }])) });
    await scene.say(roomId, "unwanted");
    await scene.federation.advance(hour);
    expect(peer.bodies()).toEqual(["unwanted"]);
    expect(JSON.stringify(scene.server.logged)).toContain("refused some of our events");
  });
});

describe("what cannot be sent", () => {
  /** Refuses every transaction with the event in it. */
  const refuse = (body: string, status: number): void => {
    peer.respond = ({ pdus }) =>
      JSON.stringify(pdus).includes(body) ? Response.json({ errcode: "M_BAD_JSON" }, { status }) : null;
  };

  it.each([
    [400, 0],
    [400, 17],
    [413, 49],
  ])("is dropped after a %i, and the others arrive (event %i of 50)", async (status, bad) => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    for (let index = 0; index < 50; index += 1) await scene.say(roomId, `message ${index};`);
    await scene.federation.settle();
    refuse(`message ${bad};`, status);
    const taken: string[] = [];
    const inner = peer.respond;
    peer.respond = async (transaction) => {
      const answer = await inner(transaction);
      if (answer === null) for (const { content } of transaction.pdus) taken.push(JSON.stringify(content));
      return answer;
    };
    const counts = countRequests();
    await scene.federation.advance(hour);
    await scene.say(roomId, "afterwards");
    await scene.federation.settle();
    expect(unique(taken)).toHaveLength(50);
    expect(taken.at(-1)).toContain("afterwards");
    expect(counts.get(peer.name)).toBeLessThan(40);
    expect(scene.server.logged.some(({ message }) => message === "dropped what the server refuses")).toBe(true);
  });

  it("is not found out by a flood of requests where everything is refused", async () => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    for (let index = 0; index < 50; index += 1) await scene.say(roomId, `message ${index}`);
    await scene.federation.settle();
    peer.transactions.length = 0;
    peer.respond = answering(400, { errcode: "M_UNKNOWN" });
    await scene.federation.advance(day);
    expect(peer.transactions.length).toBeLessThanOrEqual(50);
  });

  it("is dropped where it is a stored EDU that nobody can read", async () => {
    await scene.room(peer);
    peer.respond = away;
    const actor = scene.server.actors.server(peer.name);
    for (const id of ["1", "2", "3"]) await actor.sendEdu({ id, edu: { edu_type: "m.test", content: { id } } });
    await scene.federation.settle();
    const sql = scene.server.sql("server", peer.name);
    sql.run("UPDATE outbound_edus SET json = '{' WHERE edu_id = '2'");
    sql.run("UPDATE outbox SET txn_id = NULL, retry_ts = 0");
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.edus("m.test").slice(-2)).toEqual([{ id: "1" }, { id: "3" }]);
    expect(scene.server.logged.some(({ message }) => message === "stored EDU cannot be sent")).toBe(true);
  });

  it("is left out where it is an event of our own that cannot be signed for", async () => {
    const roomId = await scene.room(peer);
    peer.respond = away;
    const eventIds = [await scene.say(roomId, "one"), await scene.say(roomId, "two"), await scene.say(roomId, "three")];
    await scene.federation.settle();
    const sql = scene.server.sql("room", roomId);
    sql.run(
      'UPDATE events SET json = replace(json, \'"depth":\', \'"depth":1e999,"x":\') WHERE event_id = ?',
      eventIds[1] ?? "",
    );
    scene.server.evict();
    peer.transactions.length = 0;
    peer.respond = () => null;
    await scene.federation.advance(hour);
    expect(peer.bodies()).toEqual(["one", "three"]);
  });
});

describe("a crash", () => {
  const never = new Promise<never>(() => undefined);
  const ticks = async (): Promise<void> => {
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  /** Ends our server with all its actors around the next call of a method: that call never returns. */
  const crashAround = async (method: string, when: "before" | "after"): Promise<void> => {
    let isOver = false;
    scene.server.onCall = async (called, call) => {
      if (isOver || called !== method) return await call();
      isOver = true;
      if (when === "after") await call();
      return await never;
    };
  };
  const restart = (): void => {
    scene.server.onCall = (_method, call) => call();
    scene.federation.abandonWork();
    scene.server.evict();
  };

  it("with a transaction on its way holds it up for half a minute, not for as long as a request may take", async () => {
    const roomId = await scene.room(peer);
    await crashAround("deliver", "before");
    await scene.say(roomId, "on its way");
    await ticks();
    restart();
    await scene.federation.advance(30_000);
    expect(peer.bodies()).toEqual(["on its way"]);
  });

  it.each(
    ["roomAdvanced", "takeOutbound", "deliver", "discover", "transactionEnded"].flatMap((method) => [
      ["before", method] as const,
      ["after", method] as const,
    ]),
  )("%s %s loses nothing, and repeats nothing under another id", async (when, method) => {
    const roomId = await scene.room(peer);
    await scene.say(roomId, "message 0");
    await scene.federation.settle();
    for (let index = 1; index < 5; index += 1) {
      crashAround(method, when);
      await scene.say(roomId, `message ${index}`);
      await ticks();
      restart();
      await scene.federation.advance(10 * minute);
    }
    expect(unique(peer.bodies())).toEqual([0, 1, 2, 3, 4].map((index) => `message ${index}`));
    const idOf = new Map<string, string>();
    for (const { txnId, pdus } of peer.transactions) {
      for (const pdu of pdus.map((one) => JSON.stringify(one))) {
        expect(idOf.get(pdu) ?? txnId).toBe(txnId);
        idOf.set(pdu, txnId);
      }
    }
    expect(scene.outbox(peer)).toMatchObject({ txn_id: null, failures: 0 });
  });

  it("after the alarm has rung over a call that takes long holds nothing up for ever", async () => {
    const roomId = await scene.room(peer);
    await crashAround("deliver", "before");
    await scene.say(roomId, "on its way");
    await ticks();
    scene.federation.abandonWork();
    await scene.federation.advance(20_000);
    restart();
    await scene.federation.advance(3 * minute);
    expect(peer.bodies()).toEqual(["on its way"]);
  });

  it("after a wake in the middle of a question leaves the next event to be sent at once", async () => {
    const roomId = await scene.room(peer);
    const head =
      scene.server.sql("room", roomId).one<{ at: number }>("SELECT stream_position AS at FROM room")?.at ?? 0;
    let isOver = false;
    scene.server.onCall = async (called, call) => {
      const answer = await call();
      if (called !== "takeOutbound" || isOver) return answer;
      isOver = true;
      // The same wake again: its first answer was lost.
      const wake = { roomId: trusted.roomId(roomId), head: head + 1, since: head };
      await scene.server.actors.server(peer.name).roomAdvanced(wake);
      return answer;
    };
    await scene.say(roomId, "one");
    await scene.federation.advance(minute);
    expect(isOver).toBe(true);
    scene.server.evict();
    await scene.say(roomId, "two");
    await scene.federation.settle();
    expect(peer.bodies()).toEqual(["one", "two"]);
  });

  it("of the egress in the middle of a request is got over within two minutes", async () => {
    const roomId = await scene.room(peer);
    peer.respond = () => never;
    await scene.say(roomId, "hello");
    await ticks();
    restart();
    peer.respond = () => null;
    await scene.federation.advance(2 * minute);
    expect(peer.bodies()).toEqual(["hello", "hello"]);
    expect(unique(peer.transactions.map(({ txnId }) => txnId))).toHaveLength(1);
  });
});

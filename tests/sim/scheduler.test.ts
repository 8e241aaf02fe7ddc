import { describe, expect, it } from "vitest";
import type { ActorContext } from "../../actors/context.ts";
import { trusted } from "../../shared/ids.ts";
import { clientOf } from "../../shared/rpc/actors.ts";
import { type Reply, reply } from "../../shared/rpc/reply.ts";
import { type FaultRates, faultRatesOf } from "./faults.ts";
import type { ActorKind } from "./host.ts";
import { seededRandom } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { World } from "./world.ts";

/** A counter that counts each caller's numbers once, tells a neighbour what it has counted, and repeats that by alarm. */
interface CounterRpc {
  add(id: string): Promise<Reply<number>>;
  learn(total: number): Promise<Reply<null>>;
}

const repeatMs = 5_000;

const counterKind: ActorKind = {
  migrations: [
    {
      version: 1,
      name: "counter",
      sql: `CREATE TABLE counted (id TEXT PRIMARY KEY); CREATE TABLE told (one INTEGER PRIMARY KEY, total INTEGER NOT NULL);
            CREATE TABLE heard (one INTEGER PRIMARY KEY, total INTEGER NOT NULL);`,
    },
  ],
  start: (base, name) => {
    const rpc: CounterRpc = {
      add: (id) => reply(() => add(base, id)),
      learn: (total) => reply(() => learn(base, total)),
    };
    return { rpc, onAlarm: () => (name === "a" ? tell(base) : Promise.resolve()) };
  },
};

const totalOf = (base: ActorContext, query: string): number => base.sql.one<{ total: number }>(query)?.total ?? 0;

function add(base: ActorContext, id: string): number {
  const total = base.sql.transaction(() => {
    base.sql.run("INSERT INTO counted (id) VALUES (?) ON CONFLICT DO NOTHING", id);
    base.alarm.ensure(base.clock.now() + repeatMs);
    return totalOf(base, "SELECT COUNT(*) AS total FROM counted");
  });
  base.background(() => tell(base));
  return total;
}

function learn(base: ActorContext, total: number): null {
  base.sql.run("INSERT INTO heard VALUES (1, ?) ON CONFLICT DO UPDATE SET total = max(total, excluded.total)", total);
  return null;
}

/** The typed clients are those of Matrix; of the counter's method only the name is used. */
function neighbourOf(base: ActorContext): { learn(total: number): Promise<unknown> } {
  const client: object = base.actors.room(trusted.roomId("b"));
  return { learn: (total) => Promise.resolve(Reflect.apply(Reflect.get(client, "learn"), client, [total])) };
}

async function tell(base: ActorContext): Promise<void> {
  const total = totalOf(base, "SELECT COUNT(*) AS total FROM counted");
  if (totalOf(base, "SELECT total FROM told") >= total) return;
  base.alarm.ensure(base.clock.now() + repeatMs);
  await neighbourOf(base).learn(total);
  base.sql.run("INSERT INTO told VALUES (1, ?) ON CONFLICT DO UPDATE SET total = max(total, excluded.total)", total);
}

interface Outcome {
  world: World;
  acknowledged: Set<string>;
  hash: string;
}

/** Twenty numbers from two callers, each repeated until it is acknowledged. */
async function runCounter(seed: string, rates: FaultRates): Promise<Outcome> {
  const random = seededRandom(seed);
  const kinds = { room: counterKind, user: counterKind, server: counterKind };
  const world = new World({ random, rates, kinds, repeatable: new Set(["room.add", "room.learn"]) });
  const acknowledged = new Set<string>();
  const call = async (caller: string, id: string): Promise<void> => {
    for (;;) {
      try {
        await clientOf<CounterRpc>(() => world.stub(caller, "room", "a")).add(id);
        acknowledged.add(id);
        return;
      } catch {
        await world.scheduler.sleep(`${caller} tries again`, 500);
      }
    }
  };
  const callers = ["x", "y"].map(async (caller) => {
    for (let i = 0; i < 10; i += 1) await call(caller, `${caller}${i}`);
  });
  let isDone = false;
  void Promise.all(callers).then(() => {
    isDone = true;
  });
  await world.scheduler.run({ isDone: () => isDone, horizonMs: Number.POSITIVE_INFINITY, maxSteps: 20_000 });
  world.faults.isOn = false;
  await world.scheduler.run({ isDone: () => false, horizonMs: 120_000, maxSteps: 20_000 });
  return { world, acknowledged, hash: world.scheduler.traceHash };
}

const totalIn = (world: World, name: string, query: string): unknown =>
  world.host("room", name).storage.sql.one(query)?.total;

describe("Scheduler", () => {
  it("runs steps by due time, and those due together in an order that the seed decides", async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 20; seed += 1) {
      const scheduler = new Scheduler(seededRandom(String(seed)));
      const order: string[] = [];
      for (const name of ["a", "b", "c"]) scheduler.post(name, 10, () => order.push(name));
      scheduler.post("first", 5, () => order.push("first"));
      await scheduler.run({ isDone: () => false, horizonMs: 100, maxSteps: 10 });
      expect(order[0]).toBe("first");
      orders.add(order.join(""));
    }
    expect(orders.size).toBeGreaterThan(3);
  });

  it("refuses to go round in circles", async () => {
    const scheduler = new Scheduler(seededRandom("circle"));
    const again = (): void => scheduler.post("again", 1, again);
    again();
    const run = scheduler.run({ isDone: () => false, horizonMs: Number.POSITIVE_INFINITY, maxSteps: 100 });
    await expect(run).rejects.toThrow("no rest");
  });
});

describe("World", () => {
  it("repeats a run exactly from its seed", async () => {
    for (const seed of ["1", "2", "3"]) {
      const rates = faultRatesOf(seededRandom(seed));
      const [first, second] = [await runCounter(seed, rates), await runCounter(seed, rates)];
      expect(first.hash).toBe(second.hash);
      expect(first.world.scheduler.stepCount).toBe(second.world.scheduler.stepCount);
    }
    const rates = faultRatesOf(seededRandom("1"));
    expect((await runCounter("1", rates)).hash).not.toBe((await runCounter("2", rates)).hash);
  });

  it("keeps what an actor has stored through loss, repetition and eviction", async () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const { world, acknowledged } = await runCounter(String(seed), faultRatesOf(seededRandom(String(seed))));
      expect(world.violations).toEqual([]);
      expect(acknowledged.size).toBe(20);
      expect(totalIn(world, "a", "SELECT COUNT(*) AS total FROM counted")).toBe(20);
      expect(totalIn(world, "b", "SELECT total FROM heard")).toBe(20);
      world.close();
    }
  });

  it("reports exceptions that it has not caused itself", async () => {
    const kind: ActorKind = { migrations: [], start: () => ({ rpc: {}, onAlarm: () => Promise.resolve() }) };
    const kinds = { room: kind, user: kind, server: kind };
    const rates = faultRatesOf(seededRandom("none"));
    const world = new World({ random: seededRandom("none"), rates, kinds, repeatable: new Set() });
    world.faults.isOn = false;
    const call = clientOf<CounterRpc>(() => world.stub("x", "room", "a")).add("1");
    const failed = expect(call).rejects.toThrow("no method add");
    await world.scheduler.run({ isDone: () => false, horizonMs: 1_000, maxSteps: 100 });
    await failed;
    expect(world.violations).toHaveLength(1);
  });
});

/** One run of the first scenario: three users with up to two devices each, two rooms, random operations and faults. */
import { type DeviceId, trusted, type UserId } from "../../shared/ids.ts";
import type { CreateRoomRequest } from "../../shared/rpc/user.ts";
import { SimClient } from "./clients.ts";
import { faultRatesOf } from "./faults.ts";
import type { ActorKind, KindName } from "./host.ts";
import { checkAcknowledged, checkClient, checkServer, checkToDevice, recordRooms } from "./invariants.ts";
import { productionKinds, repeatableMethods } from "./kinds.ts";
import { Ledger } from "./ledger.ts";
import { Person } from "./people.ts";
import { type Random, seededRandom } from "./random.ts";
import { World } from "./world.ts";

export interface ScenarioOptions {
  seed: number;
  /** How many things each of the people does, at most; the seed decides. */
  maxOperations: number;
  kinds?: Record<KindName, ActorKind>;
  onTrace?: (line: string) => void;
}

export interface ScenarioOutcome {
  violations: string[];
  traceHash: string;
  steps: number;
  operations: number;
  granted: number;
  events: number;
  trace: readonly string[];
  counts: Ledger["counts"];
}

/** Longer than any alarm that is not about the next day: after it, nothing that is owed may be left. */
const quietMs = 10 * 60_000;
const maxSteps = 400_000;

/** Runs the scenario of a seed. Never throws: what goes wrong is a violation. */
export async function runScenario(options: ScenarioOptions): Promise<ScenarioOutcome> {
  const random = seededRandom(String(options.seed));
  const world = new World({
    random: random.fork("world"),
    rates: faultRatesOf(random.fork("rates")),
    kinds: options.kinds ?? productionKinds,
    repeatable: repeatableMethods,
  });
  world.scheduler.onTrace = options.onTrace ?? null;
  const run = new Run(world, random, options);
  try {
    await run.play();
  } catch (thrown) {
    world.violations.push(`the run ended: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
  }
  const rooms = recordRooms(world);
  const { violations } = world;
  const { traceHash, stepCount, trace } = world.scheduler;
  world.close();
  const counts = [...run.ledger.counts.values()];
  return {
    violations,
    traceHash,
    steps: stepCount,
    operations: counts.reduce((sum, { asked }) => sum + asked, 0),
    granted: counts.reduce((sum, { granted }) => sum + granted, 0),
    events: [...rooms.values()].reduce((sum, room) => sum + room.events.length, 0),
    trace,
    counts: run.ledger.counts,
  };
}

class Run {
  readonly ledger = new Ledger();
  readonly #world: World;
  readonly #random: Random;
  readonly #options: ScenarioOptions;
  readonly #devices = new Map<UserId, DeviceId[]>();
  readonly #clients: SimClient[] = [];

  constructor(world: World, random: Random, options: ScenarioOptions) {
    this.#world = world;
    this.#random = random;
    this.#options = options;
  }

  async play(): Promise<void> {
    const { faults, violations } = this.#world;
    faults.isOn = false;
    await this.#within(this.#register());
    // From before there are rooms: who begins later is not told of rooms that the user has left.
    await this.#within(Promise.all(this.#clients.map((client) => client.syncOnce(0))));
    for (const client of this.#clients) void client.run();
    faults.isOn = true;
    await this.#within(this.#live());
    if (violations.length > 0) return;
    faults.isOn = false;
    await this.#world.scheduler.run({ isDone: () => false, horizonMs: quietMs, maxSteps });
    if (violations.length > 0) return;
    // What lies behind tokens that clients hold is theirs to fetch; that there is something they were told.
    await this.#within(Promise.all(this.#clients.map((client) => client.fillGaps())));
    const rooms = recordRooms(this.#world);
    violations.push(
      ...checkAcknowledged(rooms, this.ledger),
      ...checkServer(this.#world, rooms),
      ...this.#clients.flatMap((client) => checkClient(client, rooms, this.ledger)),
      ...checkToDevice(this.#clients, this.ledger),
    );
    if (violations.length > 0) return;
    await this.#within(this.#checkAnew());
  }

  /** Accounts and devices, before anything goes wrong. */
  async #register(): Promise<void> {
    const outside = this.#world.outside("setup");
    for (const name of ["alice", "bob", "carol"]) {
      const userId = trusted.userId(`@${name}:${this.#world.config.serverName}`);
      const session = { deviceId: `${name}1`, initialDeviceDisplayName: null, refreshToken: false };
      const password = "correct horse battery";
      const account = { password, displayName: null, isAdmin: false, registrationToken: null, bySharedSecret: false };
      await outside.user(userId).register({ ...account, session });
      const devices = [trusted.deviceId(`${name}1`)];
      if (this.#random.chance(0.6)) {
        const second = { ...session, deviceId: `${name}2` };
        await outside.user(userId).loginWithPassword({ password, session: second });
        devices.push(trusted.deviceId(`${name}2`));
      }
      this.#devices.set(userId, devices);
      for (const deviceId of devices) {
        this.#clients.push(new SimClient(this.#world, { userId, deviceId }, this.#random.fork(deviceId)));
      }
    }
  }

  /** Everybody does things, at the same time. */
  async #live(): Promise<void> {
    const everybody = [...this.#devices.keys()];
    const people = everybody.map((userId) => {
      const devices = this.#clients.filter((client) => client.userId === userId);
      const random = this.#random.fork(`person ${userId}`);
      const devicesOf = (user: UserId): readonly DeviceId[] => this.#devices.get(user) ?? [];
      return new Person({ world: this.#world, ledger: this.ledger, userId, devices, everybody, devicesOf, random });
    });
    for (const [index, person] of people.slice(0, 2).entries()) await person.makeRoom(roomRequest(person, index));
    const count = this.#random.int(10, this.#options.maxOperations);
    await Promise.all(people.map((person) => person.live(count)));
  }

  /** Who asks again has nothing new to hear, and who asks from nothing gets the same picture. */
  async #checkAnew(): Promise<void> {
    const { violations } = this.#world;
    const rooms = recordRooms(this.#world);
    for (const client of this.#clients) {
      client.isStopped = true;
      if (await client.syncOnce(0)) violations.push(`${client.label} waited although there was news`);
    }
    for (const { userId, deviceId } of this.#clients) {
      const fresh = new SimClient(this.#world, { userId, deviceId }, this.#random.fork(`fresh ${deviceId}`));
      // Who left before is not given the room: as for a client that began anew.
      fresh.hasRestarted = true;
      await fresh.syncOnce(0);
      await fresh.fillGaps();
      const wrong = checkClient(fresh, rooms, this.ledger);
      for (const [roomId, record] of rooms) {
        if (!record.isForgottenBy(userId) || !fresh.rooms.has(trusted.roomId(roomId))) continue;
        wrong.push(`${fresh.label}: was told of ${roomId}, which is forgotten`);
      }
      violations.push(...wrong.map((what) => `a new client: ${what}`));
    }
  }

  /** Lets the world go on until the work is done. */
  async #within(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    let failure: unknown = null;
    void work.then(
      () => {
        isDone = true;
      },
      (thrown: unknown) => {
        [isDone, failure] = [true, thrown];
      },
    );
    // Passwords are hashed outside of the scheduler's sight: while nothing is due, something may still be under way.
    const { scheduler, violations } = this.#world;
    // What is wrong already may keep people asking for ever.
    const isOver = (): boolean => isDone || violations.length > 0;
    for (let idle = 0; !isOver() && idle < 1_000; idle += 1) {
      await scheduler.run({ isDone: isOver, horizonMs: 3_600_000, maxSteps });
    }
    if (failure !== null) throw failure;
    if (!isDone && violations.length === 0) throw new Error("nothing happens any more, and the work is not done");
  }
}

function roomRequest(person: Person, index: number): CreateRoomRequest {
  const { random } = person;
  const others = person.everybody.filter((userId) => userId !== person.userId);
  const roomVersion = random.pick(["11", "12"]);
  const preset = random.pick(["private_chat", "trusted_private_chat", "public_chat"] as const);
  // Creators have no level, and this preset makes creators of those invited.
  const mayHaveLevels = preset !== "trusted_private_chat";
  const levels: Record<string, number> = {};
  for (const userId of others) levels[userId] = random.pick([0, 50, 50, 75]);
  if (roomVersion === "11") levels[person.userId] = 100;
  return {
    roomVersion,
    preset,
    visibility: random.chance(0.4) ? "public" : "private",
    roomAliasName: index === 0 && random.chance(0.5) ? "alias" : null,
    name: "a room",
    topic: null,
    invite: others.filter(() => random.chance(0.8)),
    isDirect: false,
    creationContent: {},
    initialState: [],
    powerLevelContentOverride: mayHaveLevels && random.chance(0.7) ? { users: levels } : null,
  };
}

/** One run with two to four servers, their people, one or two rooms, and a network that is not to be relied on. */
import { type RoomId, trusted } from "../../shared/ids.ts";
import { stringField } from "../../shared/json.ts";
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import { foreverMs, SimClient } from "./clients.ts";
import { faultRatesOf } from "./faults.ts";
import { ByzantineServer } from "./federation-byzantine.ts";
import {
  checkDead,
  checkQueues,
  checkReceipts,
  checkRoom,
  checkTimeline,
  checkToDevice,
  copiesOf,
} from "./federation-invariants.ts";
import { FederationLedger } from "./federation-ledger.ts";
import { Network } from "./federation-network.ts";
import { doSomething } from "./federation-operations.ts";
import { Resident } from "./federation-people.ts";
import type { SimServer } from "./federation-server.ts";
import { Weather } from "./federation-weather.ts";
import type { ActorKind, KindName } from "./host.ts";
import { productionKinds } from "./kinds.ts";
import { omittingMembers } from "./omitted-members.ts";
import { type Random, seededRandom } from "./random.ts";

export interface FederationOptions {
  seed: number;
  /** How many things all people do together, at most; the seed decides. */
  maxOperations: number;
  kinds?: Record<KindName, ActorKind>;
  plantEgress?: (rpc: EgressRpc) => EgressRpc;
  onTrace?: (line: string) => void;
  /** Sees the servers when all is over. */
  inspect?: (network: Network) => void;
}

export interface FederationOutcome {
  violations: string[];
  traceHash: string;
  steps: number;
  operations: number;
  granted: number;
  servers: number;
  events: number;
  trace: readonly string[];
  counts: FederationLedger["counts"];
}

/** Longer than the longest pause before a server is tried again. */
const quietMs = 3 * 60 * 60_000;
/** After a last word in a room, until it must be everywhere. */
const shortQuietMs = 30 * 60_000;
const maxSteps = 100_000;
const dayMs = 24 * 60 * 60_000;
/** What a server that is gone may cost each other. */
const maxRequestsPerDay = 30;

/** Runs the scenario of a seed. Never throws: what goes wrong is a violation. */
export async function runFederation(options: FederationOptions): Promise<FederationOutcome> {
  const random = seededRandom(`federation ${options.seed}`);
  const { kinds = productionKinds, plantEgress } = options;
  const plant = plantEgress === undefined ? {} : { plantEgress };
  const isLarge = random.fork("size").chance(0.4);
  const network = new Network({
    random: random.fork("network"),
    rates: faultRatesOf(random.fork("rates")),
    kinds: isLarge ? { ...kinds, room: omittingMembers(kinds.room) } : kinds,
    ...plant,
  });
  network.scheduler.onTrace = options.onTrace ?? null;
  const run = new Run(network, random, options);
  run.isLarge = isLarge;
  const violations: string[] = [];
  try {
    await run.play();
  } catch (thrown) {
    violations.push(`the run ended: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
  }
  violations.unshift(...network.violations);
  const { traceHash, stepCount, trace } = network.scheduler;
  const counts = [...run.ledger.counts.values()];
  options.inspect?.(network);
  network.close();
  return {
    violations,
    traceHash,
    steps: stepCount,
    operations: counts.reduce((sum, { asked }) => sum + asked, 0),
    granted: counts.reduce((sum, { granted }) => sum + granted, 0),
    servers: network.servers.size,
    events: run.eventCount,
    trace,
    counts: run.ledger.counts,
  };
}

class Run {
  readonly ledger = new FederationLedger();
  eventCount = 0;
  /** Servers join without being told the members. */
  isLarge = false;
  readonly #network: Network;
  readonly #random: Random;
  readonly #options: FederationOptions;
  readonly #version: string;
  readonly #people: Resident[] = [];
  #byzantine: ByzantineServer | null = null;
  /** Servers that are in the room from the beginning to the end. */
  readonly #residents = new Set<string>();

  constructor(network: Network, random: Random, options: FederationOptions) {
    this.#network = network;
    this.#random = random;
    this.#options = options;
    this.#version = random.pick(["6", "10", "11", "12"]);
  }

  async play(): Promise<void> {
    const { faults } = this.#network;
    faults.isOn = false;
    await this.#within(this.#settleDown());
    if (this.#network.hasViolations) return;
    faults.isOn = true;
    // Who joins while a server is away then has its keys from nobody.
    this.#network.hasNotaries = !this.#random.fork("notaries").chance(0.3);
    const weather = new Weather(this.#network, this.#random.fork("weather"));
    void weather.run();
    await this.#within(this.#live());
    weather.stop();
    this.#network.heal();
    if (this.#network.hasViolations) return;
    await this.#rest(quietMs);
    await this.#lastWords();
    if (this.#network.hasViolations) return;
    await this.#within(Promise.all(this.#people.map(({ client }) => client.fillGaps())));
    this.#check();
    if (this.#byzantine !== null && !this.#network.hasViolations) await this.#outlive(this.#byzantine);
  }

  /** Accounts, a room, and those who are in it from the beginning, before anything goes wrong. */
  async #settleDown(): Promise<void> {
    const count = this.#random.pick([2, 2, 2, 3, 3, 4]);
    for (let index = 0; index < count; index += 1) {
      const server = this.#network.addServer(`s${index + 1}.test`);
      const people = this.#random.chance(0.5) ? ["ann", "bob"] : ["ann"];
      for (const name of people) this.#people.push(await this.#register(server, name));
    }
    await Promise.all(this.#people.map(({ client }) => client.syncOnce(0)));
    for (const { client } of this.#people) void client.run();
    const [founder] = this.#people;
    if (founder === undefined) throw new Error("nobody is here");
    const roomId = await this.#makeRoom(founder);
    this.#residents.add(founder.server.name);
    const inside = new Set([founder.server.name]);
    for (const person of this.#people.slice(1)) {
      if (!this.#random.chance(person.isAnchor ? 0.75 : 0.4)) continue;
      const via = this.#random.pick([...inside]);
      if (!(await person.join(roomId, [via]))) throw new Error(`${person.userId} could not join`);
      inside.add(person.server.name);
      if (person.isAnchor) this.#residents.add(person.server.name);
    }
    if (this.#random.chance(0.3)) {
      this.#byzantine = new ByzantineServer(this.#network, "evil.test", this.#random.fork("byzantine"));
      await this.#byzantine.join(roomId, founder.server.name, this.#version);
    }
    for (const copy of copiesOf(this.#network.servers.values(), roomId)) {
      for (const eventId of copy.events.keys()) this.ledger.old.add(eventId);
    }
  }

  async #register(server: SimServer, name: string): Promise<Resident> {
    const userId = trusted.userId(`@${name}:${server.name}`);
    const deviceId = trusted.deviceId(`${name}@${server.name}`);
    const random = this.#random.fork(userId);
    const session = { deviceId, initialDeviceDisplayName: null, refreshToken: false };
    const account = {
      password: null,
      displayName: null,
      isAdmin: false,
      registrationToken: null,
      bySharedSecret: false,
    };
    const registered = await server.world
      .outside("setup")
      .user(userId)
      .register({ ...account, session });
    if (registered.session === null) throw new Error("no session");
    const client = new SimClient(server.world, { userId, deviceId }, random.fork("client"));
    Object.assign(client.habits, { timeoutMs: foreverMs, restarts: 0 });
    const { accessToken } = registered.session;
    const isAnchor = name === "ann";
    return new Resident({
      network: this.#network,
      server,
      ledger: this.ledger,
      userId,
      accessToken,
      client,
      isAnchor,
      random,
    });
  }

  async #makeRoom(founder: Resident): Promise<RoomId> {
    const version = this.#version;
    const users: Record<string, number> = { "@mallory:evil.test": this.#random.pick([0, 50]) };
    for (const { userId, isAnchor } of this.#people)
      users[userId] = this.#random.pick(isAnchor ? [50, 75, 100] : [0, 25, 50]);
    if (version === "12") delete users[founder.userId];
    else users[founder.userId] = 100;
    const body = {
      preset: "public_chat",
      room_version: version,
      power_level_content_override: { users, events_default: 0, state_default: this.#random.pick([25, 50]) },
    };
    const answer = await founder.ask("createRoom", "POST", "/_matrix/client/v3/createRoom", body);
    const roomId = trusted.roomId(stringField(answer ?? {}, "room_id") ?? "");
    this.ledger.rooms.push(roomId);
    return roomId;
  }

  /** Everybody does things, at the same time. */
  async #live(): Promise<void> {
    const [roomId] = this.ledger.rooms;
    if (roomId === undefined) throw new Error("there is no room");
    const total = this.#random.int(8, this.#options.maxOperations);
    const each = Math.max(2, Math.round(total / this.#people.length));
    const deeds = this.#people.map(async (person) => {
      for (let count = 0; count < each && !this.#network.hasViolations; count += 1) {
        await doSomething({ person, roomId, everybody: this.#people });
        await person.pause(person.random.chance(0.1) ? person.random.int(5_000, 120_000) : person.random.int(0, 500));
      }
    });
    await Promise.all([...deeds, this.#misbehave(Math.round(total / 3))]);
  }

  async #misbehave(count: number): Promise<void> {
    const servers = [...this.#residents];
    for (let done = 0; done < count && this.#byzantine !== null; done += 1) {
      await this.#byzantine.misbehave(servers);
      await this.#network.scheduler.sleep("the byzantine server goes on", this.#random.int(10, 3_000));
    }
  }

  /** What a server that is gone for good costs in a day, in which others have to do with it all the time. */
  async #outlive(byzantine: ByzantineServer): Promise<void> {
    byzantine.isDead = true;
    const { requests, servers, scheduler } = this.#network;
    requests.clear();
    const untilMs = scheduler.clock.elapsedMs + dayMs;
    await this.#lastWords();
    while (scheduler.clock.elapsedMs < untilMs && !this.#network.hasViolations) {
      const person = this.#random.pick(this.#people);
      const path = `/_matrix/client/v3/profile/${encodeURIComponent(byzantine.userId)}`;
      await this.#within(person.askOnce("GET", path));
      await this.#rest(Math.min(this.#random.int(1, 6) * 60 * 60_000, untilMs - scheduler.clock.elapsedMs));
    }
    for (const server of servers.values()) {
      const count = requests.get(`${server.name}>${byzantine.name}`) ?? 0;
      if (count > maxRequestsPerDay) server.world.violations.push(`a dead server was asked ${count} times a day`);
      server.world.violations.push(...checkDead(server, byzantine.name, this.ledger.rooms.length));
    }
  }

  /** One server after the other says something in each room, so that all have the same to build on. */
  async #lastWords(): Promise<void> {
    for (const roomId of this.ledger.rooms) {
      for (const server of this.#network.servers.values()) {
        const [copy] = copiesOf([server], roomId);
        const speaker = this.#people.find(
          (person) => person.server === server && copy?.members.get(person.userId) === "join",
        );
        if (speaker === undefined) continue;
        await this.#within(speaker.send(roomId, "m.room.message", { msgtype: "m.text", body: speaker.unique("last") }));
        await this.#rest(shortQuietMs);
      }
    }
  }

  #check(): void {
    const servers = [...this.#network.servers.values()];
    for (const roomId of this.ledger.rooms) {
      const copies = copiesOf(servers, roomId);
      this.eventCount += copies[0]?.events.size ?? 0;
      copies[0]?.server.world.violations.push(...checkRoom(copies, this.ledger, this.#residents));
      for (const { client, server } of this.#people) {
        const copy = copies.find((each) => each.server === server);
        if (copy !== undefined) server.world.violations.push(...checkTimeline(client, copy, this.isLarge));
      }
      copies[0]?.server.world.violations.push(...checkReceipts(copies, this.#people, this.#residents));
    }
    for (const { client, server } of this.#people) {
      server.world.violations.push(...checkToDevice(client, this.ledger));
    }
    for (const server of servers)
      server.world.violations.push(...checkQueues(server, (name) => name === this.#byzantine?.name));
  }

  /** Lets time pass. */
  async #rest(horizonMs: number): Promise<void> {
    const isDone = (): boolean => this.#network.hasViolations;
    await this.#network.scheduler.run({ isDone, horizonMs, maxSteps });
  }

  /** Lets the servers go on until the work is done. */
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
    const isOver = (): boolean => isDone || this.#network.hasViolations;
    for (let idle = 0; !isOver() && idle < 1_000; idle += 1) {
      await this.#network.scheduler.run({ isDone: isOver, horizonMs: 3_600_000, maxSteps });
    }
    if (failure !== null) throw failure;
    if (!isDone && !this.#network.hasViolations) throw new Error("nothing happens any more, and the work is not done");
  }
}

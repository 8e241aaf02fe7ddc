/** People: each asks for one thing after the other, and asks again when no answer comes. */
import { MatrixError } from "../../shared/errors.ts";
import type { DeviceId, EventId, RoomId, UserId } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import type { Actors } from "../../shared/rpc/actors.ts";
import type { CreateRoomRequest } from "../../shared/rpc/user.ts";
import type { SimClient } from "./clients.ts";
import { isSimulated } from "./faults.ts";
import type { Ledger } from "./ledger.ts";
import { type Operation, operations } from "./operations.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export interface PersonOptions {
  world: World;
  ledger: Ledger;
  userId: UserId;
  devices: readonly SimClient[];
  everybody: readonly UserId[];
  /** The devices of any user. */
  devicesOf(userId: UserId): readonly DeviceId[];
  random: Random;
}

/** Answers that a correct server may give to what people here ask for. */
const expectedRefusals = new Set(["M_FORBIDDEN", "M_BAD_STATE", "M_NOT_FOUND"]);

export class Person {
  readonly world: World;
  readonly ledger: Ledger;
  readonly userId: UserId;
  readonly devices: readonly SimClient[];
  readonly everybody: readonly UserId[];
  readonly devicesOf: (userId: UserId) => readonly DeviceId[];
  readonly random: Random;
  readonly actors: Actors;
  #counter = 0;

  constructor(options: PersonOptions) {
    this.world = options.world;
    this.ledger = options.ledger;
    this.userId = options.userId;
    this.devices = options.devices;
    this.everybody = options.everybody;
    this.devicesOf = options.devicesOf;
    this.random = options.random;
    this.actors = options.world.outside(this.userId.slice(0, 2));
  }

  /** Does this many random things. */
  async live(operationCount: number): Promise<void> {
    for (let i = 0; i < operationCount; i += 1) {
      const operation = pickOperation(this.random);
      await operation.run(this);
      const isIdle = this.random.chance(0.04);
      await this.pause(isIdle ? this.random.int(5_000, 60_000) : this.random.int(0, 150));
    }
  }

  /** Makes a room and, when the answer gets lost, another one: as people do. */
  async makeRoom(request: CreateRoomRequest): Promise<RoomId> {
    const answer = await this.ask("createRoom", () => {
      // The first room may exist, and have the alias.
      const roomAliasName = request.roomAliasName === null ? null : this.unique(request.roomAliasName);
      return this.actors.user(this.userId).createRoom({ ...request, roomAliasName });
    });
    if (answer === null) throw new Error("a room was refused");
    this.ledger.rooms.push(answer.roomId);
    return answer.roomId;
  }

  /** Asks until there is an answer. @returns null for a refusal. */
  async ask<T>(name: string, request: () => Promise<T>): Promise<T | null> {
    for (;;) {
      try {
        const value = await request();
        this.ledger.count(name, true);
        return value;
      } catch (thrown) {
        if (thrown instanceof MatrixError) {
          this.#refused(name, thrown);
          return null;
        }
        if (!isSimulated(thrown)) this.world.violations.push(`${name} threw ${describeError(thrown)}`);
        await this.pause(this.random.int(50, 2_000));
      }
    }
  }

  /** As {@link ask}, for what makes an event. */
  async askForEvent(
    name: string,
    roomId: RoomId,
    request: () => Promise<{ eventId: EventId | null }>,
  ): Promise<EventId | null> {
    const answer = await this.ask(name, request);
    if (answer === null || answer.eventId === null) return null;
    this.ledger.events.push({ roomId, eventId: answer.eventId });
    return answer.eventId;
  }

  /** A name that nobody has used before. */
  unique(prefix: string): string {
    this.#counter += 1;
    return `${prefix}-${this.userId.slice(1, 2)}-${this.#counter}`;
  }

  /** A room, most of the time one in which the person is, as far as they know. */
  room(): RoomId {
    const joined = this.ledger.rooms.filter((roomId) => this.device().rooms.get(roomId)?.place === "join");
    return this.random.pick(joined.length > 0 && this.random.chance(0.8) ? joined : this.ledger.rooms);
  }

  /** A room in which the person is not; any room when there is none. */
  foreignRoom(): RoomId {
    const foreign = this.ledger.rooms.filter((roomId) => this.device().rooms.get(roomId)?.place !== "join");
    return this.random.pick(foreign.length > 0 ? foreign : this.ledger.rooms);
  }

  other(): UserId {
    return this.random.pick(this.everybody.filter((userId) => userId !== this.userId));
  }

  device(): SimClient {
    return this.random.pick(this.devices);
  }

  /** An event of the room that the device has seen; null when it has seen none. */
  seenEvent(device: SimClient, roomId: RoomId): { eventId: string; event: JsonObject } | null {
    const items = device.rooms.get(roomId)?.items.filter((item) => item.kind === "event") ?? [];
    if (items.length === 0) return null;
    return this.random.chance(0.6) ? (items.at(-1) ?? null) : this.random.pick(items);
  }

  pause(milliseconds: number): Promise<void> {
    return this.world.scheduler.sleep(`${this.userId.slice(0, 2)} goes on`, milliseconds);
  }

  #refused(name: string, error: MatrixError): void {
    this.ledger.count(name, false);
    this.world.scheduler.note(`${this.userId.slice(0, 2)}: ${name} refused: ${error.message}`);
    if (!expectedRefusals.has(error.errcode)) {
      this.world.violations.push(`${name} was refused with ${error.status} ${error.errcode}: ${error.message}`);
    }
  }
}

const totalWeight = operations.reduce((sum, operation) => sum + operation.weight, 0);

function pickOperation(random: Random): Operation {
  let at = random.next() * totalWeight;
  for (const operation of operations) {
    at -= operation.weight;
    if (at < 0) return operation;
  }
  return random.pick(operations);
}

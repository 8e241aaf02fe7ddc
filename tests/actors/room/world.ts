import type { ActorContext, DirectoryDatabase } from "../../../actors/context.ts";
import { type RoomContext, roomContext } from "../../../actors/room/context.ts";
import { onRoomAlarm } from "../../../actors/room/maintenance.ts";
import { roomRpc } from "../../../actors/room/rpc.ts";
import { migrate } from "../../../schema/migrate.ts";
import { roomMigrations } from "../../../schema/room/index.ts";
import { parseConfig, type Variables } from "../../../shared/env.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { type RoomAlias, type RoomId, trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { generateSigningKey } from "../../../shared/matrix/signing.ts";
import { makeCreateEvent } from "../../../shared/room-creation.ts";
import { actorsOf } from "../../../shared/rpc/actors.ts";
import { type Client, reply } from "../../../shared/rpc/reply.ts";
import type { ChangeMembershipInput, CreateRoomInput, RoomRpc, SendEventInput } from "../../../shared/rpc/room.ts";
import type { OwnServer } from "../../../shared/rpc/server.ts";
import type { RoomWake, UserForRooms } from "../../../shared/rpc/user.ts";
import { guardedSql } from "../../sim/storage.ts";
import { noEgress } from "../../support/no-egress.ts";
import { type NodeSql, openNodeSql } from "../../support/node-sql.ts";

export const serverName = trusted.serverName("tessera.test");
export const alice = user("alice");
export const bob = user("bob");
export const carol = user("carol");
export const dave = user("dave");

export function user(name: string): UserId {
  return trusted.userId(`@${name}:${serverName}`);
}

/** A clock that stands still until it is moved. */
export interface FixedClock {
  now(): number;
  advance(ms: number): void;
}

/** One room of the world: the actor's own functions over a database in memory. */
export interface TestRoom {
  readonly roomId: RoomId;
  readonly sql: NodeSql;
  /** The context of the living instance. */
  context: RoomContext;
  readonly rpc: Client<RoomRpc>;
  /** When the alarm is set for, ms; null: it is not. */
  alarmAt: number | null;
  /** Ends the instance: memory is lost, the database stays. */
  evict(): void;
}

/** Rooms over `node:sqlite`, among users and a server that do honestly, in memory, what a room asks of them. */
export interface World {
  readonly clock: FixedClock;
  readonly profiles: Map<UserId, JsonObject>;
  readonly wakes: { userId: UserId; wake: RoomWake }[];
  readonly forgotten: { userId: UserId; roomId: RoomId; through: number }[];
  readonly aliases: Map<RoomAlias, RoomId>;
  readonly noted: Set<RoomId>;
  /** Awaited before a user is told of a wake. */
  beforeWake: () => Promise<void>;
  /** Held back until it resolves: what a commit waits for. */
  durable: () => Promise<void>;
  /** Awaited before each call to an actor, and before its answer arrives, as `<before|after> <kind>.<method>`. */
  onCall: ((step: string) => void | Promise<void>) | null;
  /** Called before a commit of a room; what it throws undoes the commit. */
  onCommit: () => void;
  room(roomId: RoomId): TestRoom;
  /** Every room of which anything was asked. */
  rooms(): TestRoom[];
  /** Ends all instances at once: nothing that they still do is stored. */
  crash(): void;
  /** Moves the clock to the next alarm of all rooms and lets it ring; false: none is set. */
  ring(): Promise<boolean>;
  /** Makes a room through `createRoom`. */
  create(input?: Partial<RoomWish>): Promise<TestRoom>;
  /** Waits for all work that goes on after replies. */
  settle(): Promise<void>;
}

export type RoomWish = Omit<CreateRoomInput, "createEvent"> & { creationContent: JsonObject };

/** @param directory where rooms write their copies; unless it is given, they go nowhere. */
export function createWorld(variables: Variables = {}, directory: DirectoryDatabase = noDirectory): World {
  return new TestWorld({ SERVER_NAME: serverName, RATE_LIMITS: "off", ...variables }, directory);
}

class TestWorld implements World {
  readonly profiles = new Map<UserId, JsonObject>();
  readonly wakes: { userId: UserId; wake: RoomWake }[] = [];
  readonly forgotten: { userId: UserId; roomId: RoomId; through: number }[] = [];
  readonly aliases = new Map<RoomAlias, RoomId>();
  readonly noted = new Set<RoomId>();
  readonly clock: FixedClock;
  durable: () => Promise<void> = () => Promise.resolve();
  beforeWake: () => Promise<void> = () => Promise.resolve();
  readonly #variables: Variables;
  readonly #directory: DirectoryDatabase;
  onCall: World["onCall"] = null;
  onCommit: () => void = () => undefined;
  readonly #rooms = new Map<RoomId, TestRoom>();
  /** How often everything has crashed: an instance writes only in the life that it began in. */
  #lives = 0;
  readonly #background = new Set<Promise<void>>();
  readonly #key;
  #counter = 0;

  constructor(variables: Variables, directory: DirectoryDatabase) {
    this.#directory = directory;
    let now = 1_750_000_000_000;
    this.clock = {
      now: () => now,
      advance: (ms) => {
        now += ms;
      },
    };
    this.#variables = variables;
    this.#key = generateSigningKey(this.#random);
  }

  readonly #random = {
    bytes: (length: number) => Uint8Array.from({ length }, () => (this.#counter = (this.#counter * 73 + 41) % 251)),
  };

  room(roomId: RoomId): TestRoom {
    const known = this.#rooms.get(roomId);
    if (known !== undefined) return known;
    const sql = openNodeSql();
    migrate(sql, roomMigrations);
    const begin = (): RoomContext => roomContext(this.#contextOf(roomId, sql), roomId);
    const room: TestRoom = {
      roomId,
      sql,
      context: begin(),
      rpc: this.#actors.room(roomId),
      alarmAt: null,
      evict: () => {
        room.context = begin();
      },
    };
    this.#rooms.set(roomId, room);
    return room;
  }

  rooms(): TestRoom[] {
    return [...this.#rooms.values()];
  }

  crash(): void {
    this.#lives += 1;
    for (const room of this.#rooms.values()) room.evict();
  }

  async ring(): Promise<boolean> {
    const at = (room: TestRoom): number => room.alarmAt ?? Number.POSITIVE_INFINITY;
    const [next] = this.rooms().sort((a, b) => at(a) - at(b));
    if (next === undefined || next.alarmAt === null) return false;
    this.clock.advance(Math.max(0, next.alarmAt - this.clock.now()));
    next.alarmAt = null;
    await onRoomAlarm(next.context);
    await this.settle();
    return true;
  }

  async create(input: Partial<RoomWish> = {}): Promise<TestRoom> {
    const wish: RoomWish = {
      creator: alice,
      roomVersion: "12",
      preset: "private_chat",
      visibility: "private",
      alias: null,
      name: null,
      topic: null,
      invite: [],
      isDirect: false,
      initialState: [],
      powerLevelContentOverride: null,
      creationContent: {},
      ...input,
    };
    // Two rooms of one creator made at one moment would be one.
    this.clock.advance(1);
    const source = { key: this.#key, now: this.clock.now(), random: this.#random };
    const { createEvent, roomId } = makeCreateEvent(wish, source);
    const { creationContent: _, ...rest } = wish;
    const room = this.room(roomId);
    await room.rpc.createRoom({ ...rest, createEvent });
    return room;
  }

  async settle(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  readonly #actors = actorsOf({
    room: { getByName: (name) => this.#watched("room", roomRpc(this.room(trusted.roomId(name)).context)) },
    user: { getByName: (name) => this.#watched("user", this.#user(trusted.userId(name))) },
    server: { getByName: () => this.#watched("server", this.#server()) },
  });

  #watched(kind: string, target: object): object {
    return new Proxy(target, {
      get: (object, name) => {
        const method: unknown = Reflect.get(object, name);
        if (typeof method !== "function" || this.onCall === null) return method;
        return async (...args: unknown[]) => {
          await this.onCall?.(`before ${kind}.${String(name)}`);
          const answer: unknown = await Reflect.apply(method, object, args);
          await this.onCall?.(`after ${kind}.${String(name)}`);
          return answer;
        };
      },
    });
  }

  #contextOf(roomId: RoomId, sql: NodeSql): ActorContext {
    const life = this.#lives;
    const assertAlive = (): void => {
      if (life !== this.#lives) throw new Error("this instance has crashed");
    };
    return {
      sql: guardedSql(sql, { assertAlive, beforeCommit: () => this.onCommit() }),
      actors: this.#actors,
      egress: noEgress,
      clock: this.clock,
      random: this.#random,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      config: parseConfig(this.#variables),
      directory: this.#directory,
      alarm: {
        ensure: (atMs) => {
          const room = this.#rooms.get(roomId);
          if (room !== undefined) room.alarmAt = Math.min(atMs, room.alarmAt ?? atMs);
        },
      },
      committed: () => this.durable(),
      background: (task) => {
        const ended = task().catch((thrown: unknown) => {
          if (life === this.#lives) throw thrown;
        });
        const running: Promise<void> = ended.finally(() => this.#background.delete(running));
        this.#background.add(running);
      },
    };
  }

  #user(userId: UserId): Pick<UserForRooms, "getMemberProfile" | "roomAdvanced" | "roomForgotten"> {
    return {
      getMemberProfile: () => reply(() => this.profiles.get(userId) ?? {}),
      roomAdvanced: (wake) =>
        reply(async () => {
          await this.beforeWake();
          this.wakes.push({ userId, wake });
          return { knownPosition: 0 };
        }),
      roomForgotten: (roomId, through) =>
        reply(() => {
          this.forgotten.push({ userId, roomId, through });
          return null;
        }),
    };
  }

  #server(): Pick<OwnServer, "getSigningKey" | "noteRoom" | "getAlias" | "moveAliases"> {
    return {
      getSigningKey: () => reply(() => this.#key),
      noteRoom: (roomId) =>
        reply(() => {
          this.noted.add(roomId);
          return null;
        }),
      moveAliases: ({ from, to }) =>
        reply(() => {
          for (const [alias, roomId] of this.aliases) if (roomId === from) this.aliases.set(alias, to);
          return [...this.aliases].filter(([, roomId]) => roomId === to).map(([alias]) => alias);
        }),
      getAlias: (alias) =>
        reply(() => {
          const roomId = this.aliases.get(alias);
          if (roomId === undefined) throw errors.notFound("no such alias");
          return { roomId, servers: [serverName] };
        }),
    };
  }
}

/** The directory is a copy of which these tests ask nothing. */
const noDirectory: DirectoryDatabase = {
  batch: () => Promise.resolve(),
  all: () => Promise.resolve([]),
};

/** A message of a user. */
export function message(sender: UserId, body: string, txnId: string | null = null): SendEventInput {
  return {
    sender,
    deviceId: trusted.deviceId(`${sender.slice(1, 2)}-device`),
    txnId,
    type: "m.room.message",
    stateKey: null,
    content: { msgtype: "m.text", body },
    redacts: null,
  };
}

/** A state event of a user. */
export function state(sender: UserId, type: string, content: JsonObject, stateKey = ""): SendEventInput {
  return { sender, deviceId: null, txnId: null, type, stateKey, content, redacts: null };
}

/** A change of membership; the target is the requester unless it is named. */
export function membership(
  action: ChangeMembershipInput["action"],
  requester: UserId,
  target: UserId = requester,
): ChangeMembershipInput {
  return { action, requester, target, reason: null, content: {} };
}

/** The refusal that a promise ends in, as `[status, errcode]`; null when it succeeds. */
export async function refusalOf(promise: Promise<unknown>): Promise<[number, string] | null> {
  try {
    await promise;
    return null;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return [thrown.status, thrown.errcode];
    throw thrown;
  }
}

/** The stored events in order, `[type, state_key]`. */
export function storedEvents(room: TestRoom): [string, string | null][] {
  return room.sql
    .all<{ type: string; state_key: string | null }>("SELECT type, state_key FROM events ORDER BY event_nid")
    .map((row) => [row.type, row.state_key]);
}

/** The PDU of a stored event. */
export function storedPdu(room: TestRoom, eventId: string): JsonObject {
  const row = room.sql.one<{ json: string }>("SELECT json FROM events WHERE event_id = ?", eventId);
  if (row === null) throw new Error("no such event");
  return JSON.parse(row.json);
}

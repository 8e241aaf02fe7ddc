import type { ActorContext, DirectoryDatabase } from "../../../actors/context.ts";
import { type RoomContext, roomContext } from "../../../actors/room/context.ts";
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
  readonly forgotten: { userId: UserId; roomId: RoomId }[];
  readonly aliases: Map<RoomAlias, RoomId>;
  readonly noted: Set<RoomId>;
  /** Awaited before a user is told of a wake. */
  beforeWake: () => Promise<void>;
  /** Held back until it resolves: what a commit waits for. */
  durable: () => Promise<void>;
  room(roomId: RoomId): TestRoom;
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
  readonly forgotten: { userId: UserId; roomId: RoomId }[] = [];
  readonly aliases = new Map<RoomAlias, RoomId>();
  readonly noted = new Set<RoomId>();
  readonly clock: FixedClock;
  durable: () => Promise<void> = () => Promise.resolve();
  beforeWake: () => Promise<void> = () => Promise.resolve();
  readonly #variables: Variables;
  readonly #directory: DirectoryDatabase;
  readonly #rooms = new Map<RoomId, TestRoom>();
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
    room: { getByName: (name) => roomRpc(this.room(trusted.roomId(name)).context) },
    user: { getByName: (name) => this.#user(trusted.userId(name)) },
    server: { getByName: () => this.#server() },
  });

  #contextOf(roomId: RoomId, sql: NodeSql): ActorContext {
    return {
      sql,
      actors: this.#actors,
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
        const running: Promise<void> = task().finally(() => this.#background.delete(running));
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
      roomForgotten: (roomId) =>
        reply(() => {
          this.forgotten.push({ userId, roomId });
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
  return { action, requester, target, reason: null, thirdPartySigned: null };
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

import { DatabaseSync } from "node:sqlite";
import type { ActorContext, DirectoryDatabase } from "../../../actors/context.ts";
import { serverContext } from "../../../actors/server/context.ts";
import { serverRpc } from "../../../actors/server/rpc.ts";
import { onAlarm } from "../../../actors/user/alarm.ts";
import { type UserContext, userContext, type Waiter } from "../../../actors/user/context.ts";
import { userRpc } from "../../../actors/user/rpc.ts";
import { migrate } from "../../../schema/migrate.ts";
import { serverMigrations } from "../../../schema/server/index.ts";
import { userMigrations } from "../../../schema/user/index.ts";
import { systemRandom } from "../../../shared/clock.ts";
import { type Config, parseConfig, type Variables } from "../../../shared/env.ts";
import { errors } from "../../../shared/errors.ts";
import { type DeviceId, type EventId, type RoomId, trusted, type UserId } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { LogFields } from "../../../shared/log.ts";
import { type Actors, actorsOf } from "../../../shared/rpc/actors.ts";
import { type Client, reply } from "../../../shared/rpc/reply.ts";
import type { ChangeMembershipInput, CreateRoomInput } from "../../../shared/rpc/room.ts";
import type { ServerRpc } from "../../../shared/rpc/server.ts";
import type { NewSession, RegisterInput, SessionTokens, UserRpc } from "../../../shared/rpc/user.ts";
import { noEgress } from "../../support/no-egress.ts";
import { type NodeSql, openNodeSql } from "../../support/node-sql.ts";

export const serverName = trusted.serverName("tessera.test");
export const alice = trusted.userId(`@alice:${serverName}`);
export const bob = trusted.userId(`@bob:${serverName}`);
export const device = (name: string): DeviceId => trusted.deviceId(name);
export const room = (name: string): RoomId => trusted.roomId(`!${name}:${serverName}`);

/** A held request, with what it was told. */
export interface HeldRequest extends Waiter {
  readonly told: string[];
  isClosed: boolean;
}

/** One user of the world: the actor's own functions over a database in memory. */
export class TestUser {
  readonly sql: NodeSql = openNodeSql();
  readonly waiters: HeldRequest[] = [];
  readonly rpc: Client<UserRpc>;
  /** When the alarm is set for, ms; null: it is not. */
  alarmAt: number | null = null;
  /** The context and the methods of the living instance. */
  context: UserContext;
  methods: UserRpc;
  readonly #clock: World["clock"];
  readonly #start: () => UserContext;

  constructor(world: World, userId: UserId) {
    migrate(this.sql, userMigrations);
    this.#clock = world.clock;
    const ensure = (atMs: number): void => {
      this.alarmAt = Math.min(this.alarmAt ?? atMs, atMs);
    };
    this.#start = () => userContext(world.base(this.sql, { ensure }), userId, { list: () => this.waiters });
    this.context = this.#start();
    this.methods = userRpc(this.context);
    this.rpc = world.actors.user(userId);
  }

  /** Ends the instance: memory is lost, the database stays. */
  evict(): void {
    this.context = this.#start();
    this.methods = userRpc(this.context);
  }

  /** Moves the clock to the alarm and lets it ring. */
  async ring(): Promise<void> {
    if (this.alarmAt === null) throw new Error("no alarm is set");
    this.#clock.advance(Math.max(0, this.alarmAt - this.#clock.now()));
    this.alarmAt = null;
    await onAlarm(this.context);
  }

  hold(deviceId: DeviceId): HeldRequest {
    const told: string[] = [];
    const held: HeldRequest = {
      deviceId,
      told,
      isClosed: false,
      send: (text) => void told.push(text),
      close: () => {
        held.isClosed = true;
      },
    };
    this.waiters.push(held);
    return held;
  }
}

/** What rooms were asked, and what they answer. */
export interface FakeRooms {
  readonly created: { roomId: RoomId; input: CreateRoomInput }[];
  readonly membershipChanges: { roomId: RoomId; input: ChangeMembershipInput }[];
  readonly profiles: { roomId: RoomId; userId: UserId; profile: JsonObject; version: number }[];
  /** Room → the room that it replaces. */
  readonly replaced: Map<RoomId, RoomId>;
  readonly rebuilt: RoomId[];
}

/** A call that is to fail. `after`: it was carried out, but the caller hears an error. */
export interface Fault {
  /** `<kind of actor>.<method>` */
  method: string;
  when: "before" | "after";
  times: number;
}

/** Users and their server over `node:sqlite`, among rooms that honestly remember what they were asked. */
export class World {
  readonly clock = fixedClock();
  readonly rooms: FakeRooms = { created: [], membershipChanges: [], profiles: [], rebuilt: [], replaced: new Map() };
  readonly faults: Fault[] = [];
  readonly logged: { message: string; fields: LogFields }[] = [];
  readonly directory = new DatabaseSync(":memory:");
  readonly config: Config;
  readonly actors: Actors;
  readonly serverSql: NodeSql = openNodeSql();
  readonly server: Client<ServerRpc>;
  readonly #users = new Map<UserId, TestUser>();
  readonly #work = new Set<Promise<void>>();

  constructor(variables: Variables = {}) {
    const parsed = parseConfig({ SERVER_NAME: serverName, REGISTRATION: "open", RATE_LIMITS: "off", ...variables });
    this.config = { ...parsed, passwordHashing: { memoryKib: 32, passes: 1 } };
    migrate(this.serverSql, serverMigrations);
    this.actors = actorsOf({
      room: { getByName: (name) => withFaults("room", this.faults, fakeRoom(this.rooms, trusted.roomId(name))) },
      user: { getByName: (name) => withFaults("user", this.faults, this.user(trusted.userId(name)).methods) },
      server: { getByName: () => withFaults("server", this.faults, ownServer) },
    });
    const ownServer = serverRpc(serverContext(this.base(this.serverSql, { ensure: () => undefined }), serverName));
    this.server = this.actors.server(serverName);
  }

  user(userId: UserId): TestUser {
    const known = this.#users.get(userId);
    if (known !== undefined) return known;
    const made = new TestUser(this, userId);
    this.#users.set(userId, made);
    return made;
  }

  base(sql: NodeSql, alarm: ActorContext["alarm"]): ActorContext {
    const write = (message: string, fields: LogFields = {}): void => void this.logged.push({ message, fields });
    return {
      sql,
      actors: this.actors,
      egress: noEgress,
      clock: this.clock,
      random: systemRandom,
      log: { info: write, warn: write, error: write },
      config: this.config,
      directory: directoryOver(this.directory),
      alarm,
      background: (task) => {
        const running = task().finally(() => this.#work.delete(running));
        this.#work.add(running);
      },
    };
  }

  /** Waits until no work goes on behind replies. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }
}

function fixedClock(): { now(): number; advance(ms: number): void } {
  let now = Date.UTC(2026, 10, 1);
  return {
    now: () => now,
    advance: (ms) => {
      now += ms;
    },
  };
}

function fakeRoom(rooms: FakeRooms, roomId: RoomId): object {
  return {
    createRoom: (input: CreateRoomInput) =>
      reply(() => {
        rooms.created.push({ roomId, input });
        return { roomId };
      }),
    changeMembership: (input: ChangeMembershipInput) =>
      reply(() => {
        rooms.membershipChanges.push({ roomId, input });
        return { eventId: trusted.eventId("$changed") };
      }),
    // Events are named by when they came.
    isAfter: (_userId: UserId, eventId: EventId, other: EventId | null) => reply(() => eventId > (other ?? "")),
    findReplacedRoom: () => reply(() => rooms.replaced.get(roomId) ?? null),
    updateMemberProfile: (userId: UserId, profile: JsonObject, version: number) =>
      reply(() => {
        if (roomId.startsWith("!gone")) throw errors.forbidden("not in the room");
        rooms.profiles.push({ roomId, userId, profile, version });
        return null;
      }),
    getDirectoryVisibility: () =>
      reply(() => {
        const made = rooms.created.find((entry) => entry.roomId === roomId);
        if (made === undefined) throw errors.notFound("no such room");
        return made.input.visibility;
      }),
    rebuildDirectory: () =>
      reply(() => {
        rooms.rebuilt.push(roomId);
        return null;
      }),
  };
}

/** Lets calls fail before they are carried out, or lose their answer. */
function withFaults(kind: string, faults: Fault[], target: object): object {
  return new Proxy(target, {
    get(object, method) {
      const call: unknown = Reflect.get(object, method);
      if (typeof call !== "function") return call;
      return async (...args: unknown[]) => {
        const fault = faults.find((entry) => entry.method === `${kind}.${String(method)}` && entry.times > 0);
        if (fault !== undefined) fault.times -= 1;
        if (fault?.when === "before") throw new Error("the call was lost");
        const answer: unknown = await call.apply(object, structuredClone(args));
        if (fault?.when === "after") throw new Error("the answer was lost");
        return structuredClone(answer);
      };
    },
  });
}

function directoryOver(database: DatabaseSync): DirectoryDatabase {
  return {
    batch: async (statements) => {
      for (const { query, bindings } of statements) database.prepare(query).run(...bindings);
    },
    all: async ({ query, bindings }) => {
      const rows = database.prepare(query).all(...bindings);
      return rows.map((row) => {
        const values: Record<string, string | number | null> = {};
        for (const [name, value] of Object.entries(row)) {
          if (value === null || typeof value === "string" || typeof value === "number") values[name] = value;
        }
        return values;
      });
    },
  };
}

export const password = "correct horse battery staple";

export const newSession = (deviceId: string | null = null, refreshToken = false): NewSession => ({
  deviceId,
  initialDeviceDisplayName: null,
  refreshToken,
});

export const registration = (changes: Partial<RegisterInput> = {}): RegisterInput => ({
  password,
  displayName: null,
  isAdmin: false,
  registrationToken: null,
  bySharedSecret: false,
  session: newSession(),
  ...changes,
});

/** Registers a user with one device. */
export async function register(
  world: World,
  userId: UserId,
  session: NewSession = newSession("FIRST"),
): Promise<SessionTokens> {
  const made = await world.user(userId).rpc.register(registration({ session }));
  await world.settled();
  if (made.session === null) throw new Error("no session");
  return made.session;
}

/** The errcode with which a promise is refused. */
export async function errcodeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof Error && "errcode" in thrown) return String(thrown.errcode);
    throw thrown;
  }
  return "none";
}

import type { DeviceId, RoomId, UserId } from "../../shared/ids.ts";
import { RateLimiter } from "../../shared/rate-limit.ts";
import type { ActorContext } from "../context.ts";
import { UserStore } from "./store/index.ts";
import type { InboxSize, OutboxTarget } from "./store/to-device.ts";
import { Turns } from "./turns.ts";

/** A client's request that the gateway holds until there is news for it. */
export interface Waiter {
  readonly deviceId: DeviceId;
  /** Any text means "ask again". */
  send(text: string): void;
  close(): void;
}

/** The requests that wait: hibernating WebSockets in production, plain objects in a simulation. */
export interface WaiterPort {
  list(): Waiter[];
}

/** What an instance remembers beside its database; may be lost at any time. */
export interface UserMemory {
  readonly limiter: RateLimiter;
  /** Registrations: two at once never both use up a token. */
  readonly registrations: Turns;
  /** Checks of passwords: a failed one counts before the next begins. */
  readonly passwordChecks: Turns;
  /** When tokens were last tidied up, ms since epoch. */
  tokensTrimmedTs: number;
  /** What all account data takes, counted once for each life of the instance; null: not counted yet. */
  accountDataBytes: number | null;
  /** What each device's inbox holds, counted once for each life of the instance. */
  readonly inboxSizes: Map<DeviceId, InboxSize>;
  /** Targets to whom outbox messages are being delivered: one at a time, so that they stay in order. */
  readonly deliveringTo: Set<OutboxTarget>;
  /** Obligations that are being settled, as `<kind> <subject>`. */
  readonly settling: Set<string>;
  /** Room → how many of its wakes have come: one that comes while the room is asked may be newer than its answer. */
  readonly wakeCounts: Map<RoomId, number>;
  /** Room → version of the profile that it was given last for a join of the user. The oldest are dropped. */
  readonly profilesGiven: Map<RoomId, number>;
  /** Rooms with an alias that are being made at this moment. */
  readonly roomsInCreation: Set<RoomId>;
}

/** All that the functions of one user's actor work on. */
export interface UserContext extends ActorContext {
  readonly userId: UserId;
  readonly store: UserStore;
  readonly waiters: WaiterPort;
  readonly memory: UserMemory;
}

/** Makes the context of one instance of a user's actor, in production and in the simulator alike. */
export function userContext(base: ActorContext, userId: UserId, waiters: WaiterPort): UserContext {
  const memory: UserMemory = {
    limiter: new RateLimiter(base.clock, { isOn: base.config.rateLimits, maxKeys: 1_000 }),
    registrations: new Turns(),
    passwordChecks: new Turns(),
    tokensTrimmedTs: 0,
    accountDataBytes: null,
    inboxSizes: new Map(),
    deliveringTo: new Set(),
    settling: new Set(),
    wakeCounts: new Map(),
    profilesGiven: new Map(),
    roomsInCreation: new Set(),
  };
  return { ...base, userId, store: new UserStore(base.sql), waiters, memory };
}

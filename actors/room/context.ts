import type { RoomId } from "../../shared/ids.ts";
import { RateLimiter } from "../../shared/rate-limit.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import type { ActorContext } from "../context.ts";
import { CommitQueue } from "./commit-queue.ts";
import { RoomStore } from "./store/index.ts";
import { newWakeMemory, type WakeMemory } from "./wakes.ts";

/** All that the room's functions may touch. */
export interface RoomContext extends ActorContext {
  readonly roomId: RoomId;
  readonly store: RoomStore;
  readonly wakes: WakeMemory;
  readonly memory: RoomMemory;
}

/** What an instance of the room's actor remembers; may be lost at any time. */
export interface RoomMemory {
  /** Requests that wait to be stored. */
  readonly commits: CommitQueue;
  readonly limits: RateLimiter;
  /** The server's signing key and when it was asked for, ms since epoch. */
  signingKey: { readonly key: SigningKey; readonly fetchedTs: number } | null;
  /** What the last commit owes to others is about to be delivered. */
  isDeliveryDue: boolean;
  /** Upgrades of the room that this instance is working on, by the room that is to replace it. */
  readonly upgrades: Map<RoomId, Promise<void>>;
  /** When old transactions are looked for next, ms since epoch: looking reads all of them. */
  trimTs: number;
}

/** Makes the room's context of what the platform, or the simulator, gives every actor. The schema must be up to date. */
export function roomContext(base: ActorContext, roomId: RoomId): RoomContext {
  const store = new RoomStore(base.sql);
  return {
    ...base,
    roomId,
    store,
    wakes: newWakeMemory(),
    memory: {
      commits: new CommitQueue(store, async () => base.committed?.()),
      limits: new RateLimiter(base.clock, { isOn: base.config.rateLimits }),
      signingKey: null,
      isDeliveryDue: false,
      upgrades: new Map(),
      trimTs: 0,
    },
  };
}

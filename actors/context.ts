import type { Sql } from "../schema/sql.ts";
import type { Clock, RandomSource } from "../shared/clock.ts";
import type { Config } from "../shared/env.ts";
import type { Log } from "../shared/log.ts";
import type { Actors } from "../shared/rpc/actors.ts";
import type { EgressRpc } from "../shared/rpc/egress.ts";
import type { Client } from "../shared/rpc/reply.ts";

/**
 * All that an actor's functions may touch. In production it comes from the Durable Object (`actors/actor.ts`), in the
 * simulator from a seeded world: the functions cannot tell.
 */
export interface ActorContext {
  readonly sql: Sql;
  readonly actors: Actors;
  /** The one door to the network. */
  readonly egress: Client<EgressRpc>;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Log;
  readonly config: Config;
  readonly directory: DirectoryDatabase;
  readonly alarm: Alarm;
  /** Starts work that goes on after the reply. It may be lost at any time: what must happen also has an alarm. */
  background(task: () => Promise<void>): void;
  /**
   * Resolves when what was written so far is durable. While one commit is on its way to the disk, requests gather and are
   * stored together in the next. Where it is absent, a commit is durable at once.
   */
  committed?(): Promise<void>;
  /**
   * Lets requests in that have come meanwhile. Actors that share a process with all others, and with their databases, never
   * wait for anything outside of it: long work has to stop for others by itself. Where it is absent, nobody waits.
   */
  giveWay?(): Promise<void>;
}

/** The one alarm of an actor. */
export interface Alarm {
  /** Makes the alarm go off at `atMs` at the latest; an earlier one that is already set stays. */
  ensure(atMs: number): void;
}

/** D1, as far as it is used here. Holds copies for search, never authority. */
export interface DirectoryDatabase {
  /** Runs statements in one transaction. */
  batch(statements: readonly DirectoryStatement[]): Promise<void>;
  all(statement: DirectoryStatement): Promise<Record<string, string | number | null>[]>;
}

export interface DirectoryStatement {
  readonly query: string;
  readonly bindings: readonly (string | number | null)[];
}

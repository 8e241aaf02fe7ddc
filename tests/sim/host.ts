/** One actor: what is stored of it, and the instance that is alive at the moment, if any. */
import { type AlarmStorage, KeptAlarm } from "../../actors/alarm.ts";
import type { ActorContext } from "../../actors/context.ts";
import type { Waiter, WaiterPort } from "../../actors/user/context.ts";
import { withSchema } from "../../schema/lazy.ts";
import type { Migration } from "../../schema/migrate.ts";
import type { Sql } from "../../schema/sql.ts";
import { SimulatedFault } from "./faults.ts";
import { guardedSql, newActorStorage } from "./storage.ts";

export type KindName = "room" | "user" | "server";

/** A kind of actor: what the thin shell of a Durable Object is in production. */
export interface ActorKind {
  readonly migrations: readonly Migration[];
  start(base: ActorContext, name: string, waiters: WaiterPort): RunningActor;
}

export interface RunningActor {
  /** The methods that others may call. */
  readonly rpc: object;
  onAlarm(): Promise<void>;
  /** A client wants to wait: whether there is news for it already. The newer request replaces older ones of the device. */
  onWait?(waiter: Waiter, since: string): "news" | "hold";
}

/** A request that is held by the platform for an actor that may sleep. */
export interface HeldRequest extends Waiter {
  isOpen: boolean;
}

/** What an instance gets from the world around it. */
export interface Surroundings {
  context(instance: Instance): Omit<ActorContext, "sql">;
  alarmOf(host: Host): AlarmStorage;
  /** Whether this commit fails. */
  failsCommit(): boolean;
}

/** One life of an actor. */
export class Instance {
  readonly host: Host;
  readonly actor: RunningActor;
  /** What happens to callers who wait for this instance when it dies. */
  readonly inbound = new Set<(fault: SimulatedFault) => void>();
  /** Calls of its own whose answers it waits for. */
  outbound = 0;
  isAlive = true;
  /** Its alarm's handler is running: the platform runs one at a time. */
  isServingAlarm = false;
  readonly alarm: KeptAlarm;

  constructor(host: Host, surroundings: Surroundings) {
    this.host = host;
    this.alarm = new KeptAlarm(surroundings.alarmOf(host));
    this.alarm.know(host.storage.alarmAt());
    const guarded = guardedSql(host.storage.sql, {
      assertAlive: () => {
        if (!this.isAlive) throw new SimulatedFault(`${host.label} was evicted`);
      },
      beforeCommit: () => {
        if (surroundings.failsCommit()) {
          this.die("its storage failed");
          throw new SimulatedFault(`storage of ${host.label} failed`);
        }
      },
    });
    const lazy = withSchema(guarded, host.kind.migrations);
    const sql: Sql = { ...lazy, transaction: (body) => this.alarm.restoring(() => lazy.transaction(body)) };
    this.actor = host.kind.start({ sql, ...surroundings.context(this) }, host.name, host);
  }

  /** Ends this life: memory is gone, nothing of it goes on, callers hear of it. */
  die(why: string): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    if (this.host.instance === this) this.host.instance = null;
    for (const fail of this.inbound) fail(new SimulatedFault(`${this.host.label}: ${why}`));
    this.inbound.clear();
  }
}

/** An actor through all of its lives. */
export class Host implements WaiterPort {
  readonly kindName: KindName;
  readonly kind: ActorKind;
  readonly name: string;
  readonly label: string;
  readonly storage = newActorStorage();
  instance: Instance | null = null;
  held: HeldRequest[] = [];

  /** @param prefix of the label: which of several servers it is */
  constructor(kindName: KindName, kind: ActorKind, name: string, prefix = "") {
    this.kindName = kindName;
    this.kind = kind;
    this.name = name;
    this.label = `${prefix}${kindName}:${name.slice(0, 8)}`;
  }

  /** Whether the actor has ever stored anything. */
  get hasSchema(): boolean {
    return this.storage.sql.one("SELECT 1 AS one FROM sqlite_master WHERE name = 'schema_version'") !== null;
  }

  list(): Waiter[] {
    return this.held.filter((request) => request.isOpen);
  }
}

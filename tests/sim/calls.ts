/** Who calls whom in a world, and what several worlds have in common. */
import type { EgressRpc } from "../../shared/rpc/egress.ts";
import type { Client } from "../../shared/rpc/reply.ts";
import type { WallClock } from "./clock.ts";
import type { Faults } from "./faults.ts";
import type { Scheduler } from "./scheduler.ts";

/** What may die while it waits for an answer: an instance of an actor, or a run of stateless code. */
export interface Life {
  isAlive: boolean;
  /** Calls of its own whose answers it waits for. */
  outbound: number;
}

/** Who makes a call: something that may die, or somebody outside. */
export interface Caller {
  readonly label: string;
  readonly instance: Life | null;
}

export interface Call {
  readonly method: string;
  readonly args: unknown[];
}

/** How a call ended, on the side of the callee. */
export interface Ending {
  succeed(value: unknown): void;
  fail(fault: unknown): void;
}

/** Whoever is called. */
export interface Callee {
  readonly label: string;
  isRepeatable(method: string): boolean;
  execute(call: Call, ending: Ending): void;
}

/** Where a server stands that is one of several. */
export interface Site {
  readonly serverName: string;
  /** Those of all servers. */
  readonly scheduler: Scheduler;
  /** Its own, by which alone it goes. */
  readonly clock: WallClock;
  readonly faults: Faults;
  /** The server's door to the network, as one of its actors sees it. */
  egressFor(caller: Caller): Client<EgressRpc>;
}

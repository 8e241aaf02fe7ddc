import type { Clock, RandomSource } from "../../shared/clock.ts";
import type { Config } from "../../shared/env.ts";
import type { Log } from "../../shared/log.ts";
import type { Actors } from "../../shared/rpc/actors.ts";

/** All that requests to other servers are made with. In tests, the transport is another server of the same process. */
export interface EgressContext {
  readonly actors: Actors;
  readonly config: Config;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Log;
  readonly transport: Transport;
  /** How long background work may go on; absent: as long as it takes. */
  readonly maxBackgroundMs?: number;
  /** Starts work that goes on after the reply. It may be lost at any time. */
  background(task: () => Promise<void>): void;
}

/** Whom to connect to, and who must be there. */
export interface Target {
  /** A DNS name or an IP address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The `Host` header. */
  readonly hostHeader: string;
  /** Whom the certificate must name: a DNS name or an IP address; IPv6 without brackets. */
  readonly tlsName: string;
}

/** One request as it goes over the wire. */
export interface Exchange {
  readonly method: "GET" | "PUT" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal;
}

/** An answer whose body has not been read yet. Whoever has it reads it or cancels it. */
export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** The network, as far as it is used: HTTPS to a host, and the names of services. */
export interface Transport {
  /** One request over TLS; redirects are not followed. Rejects when no answer begins to arrive. */
  exchange(target: Target, request: Exchange): Promise<Answered>;
  /**
   * The SRV records of a name, in no order; empty when there are none. Rejects when nobody could say.
   * @param name e.g. `_matrix-fed._tcp.example.org`
   */
  resolveSrv(name: string, signal: AbortSignal): Promise<SrvRecord[]>;
}

/** @see https://www.rfc-editor.org/rfc/rfc2782 */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly host: string;
  readonly port: number;
  readonly ttlMs: number;
}

/** A server's egress over a network that a test writes down: who answers where, and which SRV records there are. */
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import type { PeerAnswer, PeerRequest } from "../../../shared/rpc/egress.ts";
import type { EgressContext, Exchange, SrvRecord, Target } from "../../../workers/egress/context.ts";
import { requestPeer } from "../../../workers/egress/request.ts";
import { Federation } from "../../support/federation.ts";

export type Answer = Response | (() => Response | Promise<Response>);

/** What a test says of the network. */
export interface Network {
  /** By `host:port`, then by path; `*` stands for any path. Where there is nothing, nobody answers. */
  readonly hosts?: Readonly<Record<string, Readonly<Record<string, Answer>>>>;
  readonly srv?: Readonly<Record<string, readonly Partial<SrvRecord>[] | "fails" | "hangs">>;
}

/** One attempt to exchange something. */
export interface Attempt extends Target {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

export const wellKnownPath = "/.well-known/matrix/server";
export const keyPath = "/_matrix/key/v2/server";

/** An answer of a host that delegates. */
export function delegation(to: unknown, headers: Record<string, string> = {}): () => Response {
  return () => Response.json({ "m.server": to }, { headers });
}

export class EgressWorld {
  readonly federation = new Federation();
  readonly attempts: Attempt[] = [];
  readonly asked: string[] = [];
  readonly server;
  readonly egress: EgressContext;
  network: Network;

  constructor(network: Network = {}, variables: Record<string, string> = {}) {
    this.network = network;
    this.server = this.federation.server("own.test", variables);
    this.federation.exchange = (_from, target, request) => this.#exchange(target, request);
    this.federation.resolveSrv = (name) => this.#resolveSrv(name);
    this.egress = this.server.egressContext();
  }

  request(destination: string, changes: Partial<PeerRequest> = {}): Promise<PeerAnswer> {
    const request = {
      method: "GET",
      path: keyPath,
      content: null,
      isSigned: false,
      timeoutMs: 1000,
      maxBytes: 1000,
    } as const;
    return requestPeer(this.egress, { ...request, ...changes, destination: trusted.serverName(destination) });
  }

  /** Where the last request went that was not part of the discovery. */
  get reached(): Pick<Target, "host" | "port" | "hostHeader" | "tlsName"> | undefined {
    const last = this.attempts.findLast(({ path }) => path !== wellKnownPath);
    if (last === undefined) return undefined;
    const { host, port, hostHeader, tlsName } = last;
    return { host, port, hostHeader, tlsName };
  }

  /** How often the discovery asked a host. */
  get discoveries(): number {
    return this.attempts.filter(({ path }) => path === wellKnownPath).length;
  }

  /** Lets time pass, in minutes. */
  later(minutes: number): Promise<void> {
    return this.federation.advance(minutes * 60_000);
  }

  routeRow(name: string): JsonObject | null {
    return { ...this.server.sql("server", name).one<Record<string, string | number>>("SELECT * FROM routes") };
  }

  async #exchange(target: Target, { path, headers, body }: Exchange) {
    this.attempts.push({ ...target, path, headers, body });
    const host = this.network.hosts?.[`${target.host}:${target.port}`];
    const answer = host?.[path] ?? host?.["*"];
    if (host === undefined) throw new Error("connection refused");
    const response = answer === undefined ? new Response(null, { status: 404 }) : await made(answer);
    return { status: response.status, headers: response.headers, body: response.body };
  }

  async #resolveSrv(name: string): Promise<SrvRecord[]> {
    this.asked.push(name);
    const records = this.network.srv?.[name] ?? [];
    if (records === "fails") throw new Error("no resolver");
    if (records === "hangs") return new Promise(() => undefined);
    return records.map((record) => ({ priority: 10, weight: 0, host: "", port: 0, ttlMs: 300_000, ...record }));
  }
}

function made(answer: Answer): Response | Promise<Response> {
  return typeof answer === "function" ? answer() : answer.clone();
}

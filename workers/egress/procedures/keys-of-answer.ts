/**
 * The keys of the servers whose events stand in one answer. Each server is asked once, not with each batch of events: a large
 * room has members of thousands of servers, and one invocation of a Worker may only make so many calls.
 */
import { fetchKeyRing, type KeySources, type Notary } from "../../../shared/federation-api/key-ring.ts";
import type { ServerName } from "../../../shared/ids.ts";
import { field, type JsonObject } from "../../../shared/json.ts";
import { numberValue } from "../../../shared/matrix/exact-numbers.ts";
import { type KeyRing, possibleSigners } from "../../../shared/matrix/key-ring.ts";
import type { EgressContext } from "../context.ts";
import { requestPeer } from "../request.ts";

/** Servers whose keys are remembered, at most. */
const maxServers = 20_000;

/** What a server was asked, and what came of it. */
interface Asked {
  readonly keyIds: ReadonlySet<string>;
  /** The latest time at which the keys were to be valid, ms since epoch. */
  readonly validAt: number;
  /** Null: none could be had. */
  readonly keys: KeyRing[ServerName] | null;
}

/** Where keys come from. */
export function sourcesOf({ actors, config }: EgressContext): KeySources {
  return { actors, config };
}

/** Collects keys for the events of one answer. */
export class KeysOfAnswer {
  readonly #egress: EgressContext;
  readonly #notary: Notary;
  readonly #asked = new Map<ServerName, Asked>();

  /** @param server whose answer it is: it knows the keys of servers that are gone. */
  constructor(egress: EgressContext, server: ServerName) {
    this.#egress = egress;
    const request: Notary["request"] = (input) => requestPeer(egress, input);
    this.#notary = { serverName: server, request, nowMs: egress.clock.now() };
  }

  /** The keys of all servers that may have signed these events, as far as they can be had. */
  async ringFor(events: readonly JsonObject[]): Promise<KeyRing> {
    if (this.#asked.size > maxServers) this.#asked.clear();
    const unknown = events.filter((event) => !this.#isAnswered(event));
    if (unknown.length > 0) this.#remember(unknown, await this.#fetch(unknown));
    const ring: Record<ServerName, NonNullable<Asked["keys"]>> = {};
    for (const event of events) {
      for (const server of possibleSigners(event).keys()) {
        const keys = this.#asked.get(server)?.keys ?? null;
        if (keys !== null) ring[server] = keys;
      }
    }
    return ring;
  }

  #fetch(events: readonly JsonObject[]): Promise<KeyRing> {
    return fetchKeyRing(sourcesOf(this.#egress), events, this.#notary);
  }

  #isAnswered(event: JsonObject): boolean {
    const sentAt = sentAtOf(event);
    return [...possibleSigners(event)].every(([server, keyIds]) => {
      const asked = this.#asked.get(server);
      return asked !== undefined && keyIds.every((keyId) => isAnswer(asked, keyId, sentAt));
    });
  }

  #remember(events: readonly JsonObject[], ring: KeyRing): void {
    for (const event of events) {
      for (const [server, keyIds] of possibleSigners(event)) {
        const before = this.#asked.get(server);
        this.#asked.set(server, {
          keyIds: new Set([...(before?.keyIds ?? []), ...keyIds]),
          validAt: Math.max(before?.validAt ?? 0, sentAtOf(event)),
          keys: Object.hasOwn(ring, server) ? { ...before?.keys, ...ring[server] } : (before?.keys ?? null),
        });
      }
    }
  }
}

/** Whether to ask anew would tell no more of a key. */
function isAnswer({ keyIds, keys, validAt }: Asked, keyId: string, sentAt: number): boolean {
  if (!keyIds.has(keyId)) return false;
  const key = keys !== null && Object.hasOwn(keys, keyId) ? keys[keyId] : undefined;
  return key === undefined || sentAt <= Math.max(validAt, key.expiredTs ?? key.validUntilTs);
}

function sentAtOf(event: JsonObject): number {
  return numberValue(field(event, "origin_server_ts")) ?? 0;
}

/**
 * Rate limits, by Synapse's names and with its defaults.
 *
 * Counted in the memory of the actor that owns what is limited: a lost count only lets a few requests more through.
 */
import type { Clock } from "./clock.ts";
import { errors } from "./errors.ts";

export interface RateLimit {
  /** How many requests a second are allowed in the long run. */
  readonly perSecond: number;
  /** How many are allowed at once. */
  readonly burst: number;
}

/** @see https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html#ratelimiting */
export const rateLimits = {
  rc_message: { perSecond: 0.2, burst: 10 },
  rc_registration: { perSecond: 0.17, burst: 3 },
  rc_registration_token_validity: { perSecond: 0.1, burst: 5 },
  /** Ours: Synapse does not limit who asks it for others' keys. */
  rc_key_query: { perSecond: 2, burst: 50 },
  /** Ours: questions that make us ask another server. */
  rc_remote_lookup: { perSecond: 1, burst: 30 },
  "rc_login.address": { perSecond: 0.003, burst: 5 },
  "rc_login.account": { perSecond: 0.003, burst: 5 },
  "rc_login.failed_attempts": { perSecond: 0.17, burst: 3 },
  /** Counts as `rc_message` does unless it is set on its own. */
  rc_admin_redaction: { perSecond: 0.2, burst: 10 },
  "rc_joins.local": { perSecond: 0.1, burst: 10 },
  rc_joins_per_room: { perSecond: 1, burst: 10 },
  "rc_invites.per_room": { perSecond: 0.3, burst: 10 },
  "rc_invites.per_user": { perSecond: 0.003, burst: 5 },
  "rc_invites.per_issuer": { perSecond: 0.3, burst: 10 },
  rc_room_creation: { perSecond: 0.016, burst: 10 },
} as const satisfies Record<string, RateLimit>;

export type RateLimitName = keyof typeof rateLimits;

/** Who or what is counted at the same time, at most. */
const defaultMaxKeys = 10_000;

/**
 * A leaky bucket for each key. Of a bucket only one number is kept: when it will be empty if nothing more comes
 * ("generic cell rate algorithm").
 */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #isOn: boolean;
  readonly #maxKeys: number;
  /** `<limit> <key>` → ms since epoch when the bucket is empty. */
  readonly #emptyAt = new Map<string, number>();

  /** @param options.isOn false: everything is allowed (the operator has switched rate limits off). */
  constructor(clock: Clock, options: { isOn: boolean; maxKeys?: number }) {
    this.#clock = clock;
    this.#isOn = options.isOn;
    this.#maxKeys = options.maxKeys ?? defaultMaxKeys;
  }

  /** Counts one request. @throws MatrixError M_LIMIT_EXCEEDED with the time when the same request may succeed */
  count(name: RateLimitName, key = ""): void {
    if (!this.#isOn) return;
    this.check(name, key);
    const id = `${name} ${key}`;
    const emptyAt = Math.max(this.#emptyAt.get(id) ?? 0, this.#clock.now()) + 1000 / rateLimits[name].perSecond;
    this.#emptyAt.delete(id);
    if (this.#emptyAt.size >= this.#maxKeys) this.#makeRoom();
    this.#emptyAt.set(id, emptyAt);
  }

  /** Whether a request would be allowed, without counting it. @throws MatrixError M_LIMIT_EXCEEDED */
  check(name: RateLimitName, key = ""): void {
    if (!this.#isOn) return;
    const { perSecond, burst } = rateLimits[name];
    const now = this.#clock.now();
    const emptyAt = this.#emptyAt.get(`${name} ${key}`) ?? now;
    const waitMs = emptyAt - now - ((burst - 1) * 1000) / perSecond;
    // A microsecond's tolerance: the sums above are floats.
    if (waitMs > 0.001) throw errors.limitExceeded(waitMs);
  }

  /** Drops the empty buckets; if there is none, the one that was counted longest ago. */
  #makeRoom(): void {
    const now = this.#clock.now();
    for (const [id, emptyAt] of this.#emptyAt) if (emptyAt <= now) this.#emptyAt.delete(id);
    for (const id of this.#emptyAt.keys()) {
      if (this.#emptyAt.size < this.#maxKeys) return;
      this.#emptyAt.delete(id);
    }
  }
}

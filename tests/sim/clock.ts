import type { Clock } from "../../shared/clock.ts";

/** A clock that actors read. */
export interface WallClock extends Clock {
  /** Sets it forward or back, as an operator or a time server does. */
  jump(byMs: number): void;
  /** How long from now until it shows `atMs`, should it not jump. */
  untilMs(atMs: number): number;
}

/**
 * Two times that only the simulation moves: `elapsedMs`, by which steps are ordered and which never jumps, and the wall
 * clock that actors read, which may.
 */
export class VirtualClock implements WallClock {
  #elapsedMs = 0;
  #offsetMs = Date.UTC(2026, 0, 1);

  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  now(): number {
    return this.#offsetMs + this.#elapsedMs;
  }

  /** Lets time pass until `elapsedMs`; never goes back. */
  advanceTo(elapsedMs: number): void {
    this.#elapsedMs = Math.max(this.#elapsedMs, elapsedMs);
  }

  jump(byMs: number): void {
    this.#offsetMs += byMs;
  }

  untilMs(atMs: number): number {
    return Math.max(0, atMs - this.now());
  }
}

/** The clock of one of several servers: no two need show the same. */
export class ServerClock implements WallClock {
  readonly #common: VirtualClock;
  #aheadMs = 0;

  constructor(common: VirtualClock) {
    this.#common = common;
  }

  now(): number {
    return this.#common.now() + this.#aheadMs;
  }

  jump(byMs: number): void {
    this.#aheadMs += byMs;
  }

  untilMs(atMs: number): number {
    return Math.max(0, atMs - this.now());
  }
}

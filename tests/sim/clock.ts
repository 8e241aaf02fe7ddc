import type { Clock } from "../../shared/clock.ts";

/**
 * Two times that only the simulation moves: `elapsedMs`, by which steps are ordered and which never jumps, and the wall
 * clock that actors read, which may.
 */
export class VirtualClock implements Clock {
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

  /** Sets the wall clock forward or back, as an operator or a time server does. */
  jump(byMs: number): void {
    this.#offsetMs += byMs;
  }

  /** How long from now until the wall clock shows `atMs`, should it not jump. */
  untilMs(atMs: number): number {
    return Math.max(0, atMs - this.now());
  }
}

import type { Alarm } from "./context.ts";

/** The platform's alarm of one actor: one time, replaced by the next that is set. */
export interface AlarmStorage {
  set(atMs: number): void;
  clear(): void;
}

/** How long work whose alarm failed, or whose instance died over it, waits for the next try. */
export const alarmRetryMs = 30_000;

/**
 * One instance's hold on the actor's alarm: the earliest of all times that are asked for.
 *
 * The platform runs an alarm again when its handler did not end, but not if the handler has set the next one meanwhile.
 * So the first thing that is set is a repeat soon, and what is asked for while the handler runs only takes effect at
 * once where it is earlier than that.
 */
export class KeptAlarm implements Alarm {
  readonly #storage: AlarmStorage;
  #storedMs: number | null = null;
  /** The earliest time asked for since the handler began; null while none runs. */
  #wanted: { atMs: number } | null = null;

  constructor(storage: AlarmStorage) {
    this.#storage = storage;
  }

  /** To be told at the start of an instance: unknown, an alarm of an earlier life would be replaced by a later one. */
  know(storedMs: number | null): void {
    this.#storedMs = storedMs;
  }

  ensure(atMs: number): void {
    if (this.#wanted !== null) this.#wanted.atMs = Math.min(this.#wanted.atMs, atMs);
    if (this.#storedMs === null || this.#storedMs > atMs) this.#store(atMs);
  }

  /** Runs what is due. Where it throws, so does this, and the alarm goes off again. */
  async serve(nowMs: number, work: () => Promise<void>): Promise<void> {
    const wanted = { atMs: Number.POSITIVE_INFINITY };
    this.#wanted = wanted;
    this.#store(nowMs + alarmRetryMs);
    try {
      await work();
    } finally {
      this.#wanted = null;
    }
    if (wanted.atMs === this.#storedMs) return;
    if (Number.isFinite(wanted.atMs)) {
      this.#store(wanted.atMs);
    } else {
      this.#storedMs = null;
      this.#storage.clear();
    }
  }

  /** Runs `transaction`: an alarm that is set inside is rolled back with it. */
  restoring<T>(transaction: () => T): T {
    const storedMs = this.#storedMs;
    const wantedMs = this.#wanted?.atMs;
    try {
      return transaction();
    } catch (thrown) {
      this.#storedMs = storedMs;
      if (this.#wanted !== null && wantedMs !== undefined) this.#wanted.atMs = wantedMs;
      throw thrown;
    }
  }

  #store(atMs: number): void {
    this.#storedMs = atMs;
    this.#storage.set(atMs);
  }
}

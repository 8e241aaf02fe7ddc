/**
 * Group commit: requests that arrive while a commit is on its way to the disk are stored together by the next.
 *
 * A commit reaches the disk in its own time, and each costs about the same however much is in it. Each request runs in a
 * transaction of its own inside the commit: a refusal undoes nothing but itself. Nobody is answered before the commit that
 * holds their request.
 */
import { errors } from "../../shared/errors.ts";
import type { RoomStore, RoomTransaction } from "./store/index.ts";

/** Requests in one commit, at most: bounds how long the room is busy with it. */
const maxBatch = 64;
/** Requests that wait, at most: some seconds of work. Who comes beyond is told so rather than kept waiting, and in memory. */
export const maxWaiting = 2_000;
/** When it may be worth coming again, ms. */
const retryAfterMs = 2_000;

interface Entry {
  /** Does the work; what it returns answers the request. */
  run(tx: RoomTransaction): () => void;
  reject(thrown: unknown): void;
}

/** Requests that wait for the next commit. */
export class CommitQueue {
  readonly #store: RoomStore;
  readonly #committed: () => Promise<void>;
  #queue: Entry[] = [];
  #isDraining = false;

  /** @param committed resolves when what was written so far is durable. */
  constructor(store: RoomStore, committed: () => Promise<void>) {
    this.#store = store;
    this.#committed = committed;
  }

  /**
   * Runs `work` in the next commit; at once where none is on its way. Rejects with what `work` throws.
   * @throws MatrixError M_LIMIT_EXCEEDED when too many wait
   */
  submit<T>(work: (tx: RoomTransaction) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length >= maxWaiting) {
        reject(errors.limitExceeded(retryAfterMs));
        return;
      }
      const run = (tx: RoomTransaction): (() => void) => {
        const value = work(tx);
        return () => resolve(value);
      };
      this.#queue.push({ run, reject });
      if (!this.#isDraining) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    try {
      while (this.#queue.length > 0) {
        this.#commit(this.#queue.splice(0, maxBatch));
        await this.#committed();
      }
    } catch (thrown) {
      // The commit was lost, and this instance with it: whoever waits is told, and asks again.
      for (const entry of this.#queue.splice(0)) entry.reject(thrown);
    } finally {
      this.#isDraining = false;
    }
  }

  #commit(batch: readonly Entry[]): void {
    let answers: (() => void)[];
    try {
      answers = this.#store.transaction(() => batch.map((entry) => this.#attempt(entry)));
    } catch (thrown) {
      answers = batch.map((entry) => () => entry.reject(thrown));
    }
    for (const answer of answers) answer();
  }

  #attempt(entry: Entry): () => void {
    try {
      return this.#store.transaction((tx) => entry.run(tx));
    } catch (thrown) {
      return () => entry.reject(thrown);
    }
  }
}

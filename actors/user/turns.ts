/**
 * Runs asynchronous work one after another, in the order in which it came. For decisions that must see the outcome of
 * the one before and cannot be a single transaction, because something is awaited in between.
 */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  run<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(body);
    this.#last = mine.then(
      () => undefined,
      () => undefined,
    );
    return mine;
  }
}

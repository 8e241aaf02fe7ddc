/** Runs of stateless code: a request at the gateway, a piece of work of the egress. Each can end at any step. */
import type { Life } from "./calls.ts";
import { SimulatedFault } from "./faults.ts";

export class Invocation implements Life {
  readonly label: string;
  isAlive = true;
  outbound = 0;
  readonly #onDeath = new Set<(fault: SimulatedFault) => void>();

  constructor(label: string) {
    this.label = label;
  }

  /** What happens to those who wait for it when it ends before its time. */
  onDeath(fail: (fault: SimulatedFault) => void): () => void {
    this.#onDeath.add(fail);
    return () => void this.#onDeath.delete(fail);
  }

  die(why: string): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const fail of this.#onDeath) fail(new SimulatedFault(`${this.label}: ${why}`));
    this.#onDeath.clear();
  }
}

/** The runs of one server that have not ended. */
export class Invocations {
  readonly #running = new Set<Invocation>();

  get running(): readonly Invocation[] {
    return [...this.#running];
  }

  /** Runs `body` and the background work that it starts in an invocation of their own. Rejects when that dies. */
  run<T>(label: string, body: (invocation: Invocation, background: Background) => Promise<T>): Promise<T> {
    const invocation = new Invocation(label);
    this.#running.add(invocation);
    let tasks = 1;
    const done = (): void => {
      tasks -= 1;
      if (tasks === 0) this.#running.delete(invocation);
    };
    const background: Background = (task) => {
      tasks += 1;
      void task().finally(done);
    };
    return new Promise((resolve, reject) => {
      const forget = invocation.onDeath((fault) => {
        this.#running.delete(invocation);
        reject(fault);
      });
      body(invocation, background)
        .then(
          (value) => invocation.isAlive && resolve(value),
          (thrown: unknown) => invocation.isAlive && reject(thrown),
        )
        .finally(() => {
          forget();
          done();
        });
    });
  }
}

/** Starts work that goes on after the answer; it must not reject. */
export type Background = (task: () => Promise<void>) => void;

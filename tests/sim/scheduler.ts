/**
 * The one queue of everything that can happen. Real asynchronous code runs under it: each promise that leaves an actor
 * or a client is settled by a step of this queue and by nothing else, and after each step all microtasks run to their
 * end. So the order of events is the seed's alone.
 */
import { VirtualClock } from "./clock.ts";
import { fnv1a, type Random } from "./random.ts";

export interface Step {
  readonly dueMs: number;
  readonly label: string;
  readonly run: () => void;
}

/** How many of the newest steps are kept for the report of a failure. */
const keptTrace = 400;
/** Ready steps beyond this one wait for the next choice: keeps each choice cheap. */
const choiceWidth = 16;

export class Scheduler {
  readonly clock = new VirtualClock();
  /** Runs between any two steps; faults strike here. */
  betweenSteps: () => void = () => undefined;
  /** Receives each line of the trace as it happens. */
  onTrace: ((line: string) => void) | null = null;

  readonly #random: Random;
  /** Ordered by due time, then by order of arrival. */
  #steps: Step[] = [];
  #stepCount = 0;
  #hash = fnv1a("");
  #trace: string[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get stepCount(): number {
    return this.#stepCount;
  }

  /** A digest of all that happened and when. */
  get traceHash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  get trace(): readonly string[] {
    return this.#trace;
  }

  /** Puts a step into the queue, to be run `delayMs` from now or later. */
  post(label: string, delayMs: number, run: () => void): void {
    const step = { dueMs: this.clock.elapsedMs + delayMs, label, run };
    let [low, high] = [0, this.#steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#steps[middle]?.dueMs ?? 0) <= step.dueMs) low = middle + 1;
      else high = middle;
    }
    this.#steps.splice(low, 0, step);
  }

  /** Settles after a while of virtual time. */
  sleep(label: string, delayMs: number): Promise<void> {
    return new Promise((resolve) => this.post(label, delayMs, resolve));
  }

  /** Adds a line to the trace without being a step. */
  note(line: string): void {
    const stamped = `${this.clock.elapsedMs} ${line}`;
    this.#hash = fnv1a(stamped, this.#hash);
    this.#trace.push(stamped);
    if (this.#trace.length > 2 * keptTrace) this.#trace = this.#trace.slice(-keptTrace);
    this.onTrace?.(stamped);
  }

  /**
   * Runs steps until `isDone`, or until none is due within `horizonMs` from now.
   * @returns whether `isDone` was reached.
   * @throws Error after `maxSteps`: something goes round in circles.
   */
  async run(options: { isDone: () => boolean; horizonMs: number; maxSteps: number }): Promise<boolean> {
    const untilMs = this.clock.elapsedMs + options.horizonMs;
    await settleMicrotasks();
    for (let count = 0; !options.isDone(); count += 1) {
      if (count >= options.maxSteps) throw new Error(`no rest after ${count} steps`);
      const step = this.#take(untilMs);
      if (step === null) return false;
      this.#stepCount += 1;
      this.note(step.label);
      step.run();
      await settleMicrotasks();
      this.betweenSteps();
    }
    return true;
  }

  /** Takes one of the steps that are due, letting time pass when none is. */
  #take(untilMs: number): Step | null {
    const first = this.#steps[0];
    if (first === undefined || first.dueMs > untilMs) return null;
    this.clock.advanceTo(first.dueMs);
    const now = this.clock.elapsedMs;
    let ready = 1;
    while (ready < choiceWidth && (this.#steps[ready]?.dueMs ?? Number.POSITIVE_INFINITY) <= now) ready += 1;
    const index = ready === 1 ? 0 : this.#random.int(0, ready - 1);
    return this.#steps.splice(index, 1)[0] ?? null;
  }
}

/** Node runs all microtasks before it calls the next immediate. */
function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

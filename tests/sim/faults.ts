/** What goes wrong, how often, by seed. */
import type { Random } from "./random.ts";

/** Thrown to callers for what the simulation does to them; any other exception is a bug. */
export class SimulatedFault extends Error {
  constructor(what: string) {
    super(`simulated: ${what}`);
    this.name = "SimulatedFault";
  }
}

/** Whether an error, or the text of one, comes from the simulation. */
export function isSimulated(thrown: unknown): boolean {
  return thrown instanceof SimulatedFault || String(thrown).includes("simulated: ");
}

/** Probabilities, each for one occasion. */
export interface FaultRates {
  /** A request never arrives. */
  lostRequest: number;
  /** The callee has done it, the caller hears of an error. */
  lostReply: number;
  /** The callee does it twice. */
  duplicate: number;
  /** A message takes seconds instead of milliseconds. */
  slow: number;
  /** Between two steps, an actor loses its memory; held requests stay (hibernation). */
  eviction: number;
  /** As an eviction, but held requests break as well (new code, crash). */
  crash: number;
  /** A transaction fails at its commit, and the instance with it. */
  failedCommit: number;
  /** An alarm goes off late by up to half a minute. */
  lateAlarm: number;
  /** An alarm that has been served goes off once more. */
  repeatedAlarm: number;
  /** Between two steps, the wall clock jumps forward. */
  clockJump: number;
  /** A write to or read from the directory database fails. */
  failedDirectory: number;
}

const none: FaultRates = {
  lostRequest: 0,
  lostReply: 0,
  duplicate: 0,
  slow: 0,
  eviction: 0,
  crash: 0,
  failedCommit: 0,
  lateAlarm: 0,
  repeatedAlarm: 0,
  clockJump: 0,
  failedDirectory: 0,
};

const highest: FaultRates = {
  lostRequest: 0.06,
  lostReply: 0.06,
  duplicate: 0.08,
  slow: 0.05,
  eviction: 0.05,
  crash: 0.005,
  failedCommit: 0.01,
  lateAlarm: 0.5,
  repeatedAlarm: 0.3,
  clockJump: 0.002,
  failedDirectory: 0.1,
};

/**
 * The rates of one seed. Each kind of fault is absent in some seeds and frequent in others: what only shows when
 * evictions are rare but losses are not must have its seeds as well.
 */
export function faultRatesOf(random: Random): FaultRates {
  const rates = { ...none };
  if (random.chance(0.05)) return rates;
  for (const [name, rate] of Object.entries(highest)) {
    if (random.chance(0.65)) Object.assign(rates, { [name]: rate * random.next() ** 2 });
  }
  return rates;
}

/** The faults of a world, to be asked at each occasion. */
export class Faults {
  /** While false, nothing goes wrong and messages are fast. */
  isOn = true;
  readonly #random: Random;
  readonly rates: FaultRates;

  constructor(random: Random, rates: FaultRates) {
    this.#random = random;
    this.rates = rates;
  }

  get random(): Random {
    return this.#random;
  }

  strikes(kind: keyof FaultRates): boolean {
    return this.isOn && this.#random.chance(this.rates[kind]);
  }

  /** How long a message is under way. */
  delayMs(): number {
    return this.strikes("slow") ? this.#random.int(1_000, 20_000) : this.#random.int(1, 20);
  }
}

import type { StateKey } from "./event.ts";

/** A state by `[type, state_key]`, to read. */
export interface ReadonlyStateMap<Value> {
  readonly size: number;
  get(type: string, stateKey: string): Value | null;
  entries(): IterableIterator<[StateKey, Value]>;
}

/** A state by `[type, state_key]`: a map of maps, so that no key has to be joined and escaped. */
export class StateMap<Value> implements ReadonlyStateMap<Value> {
  readonly #types = new Map<string, Map<string, Value>>();
  #size = 0;

  constructor(entries: Iterable<readonly [StateKey, Value]> = []) {
    for (const [[type, stateKey], value] of entries) this.set(type, stateKey, value);
  }

  get size(): number {
    return this.#size;
  }

  get(type: string, stateKey: string): Value | null {
    return this.#types.get(type)?.get(stateKey) ?? null;
  }

  set(type: string, stateKey: string, value: Value): void {
    let keys = this.#types.get(type);
    if (keys === undefined) {
      keys = new Map();
      this.#types.set(type, keys);
    }
    if (!keys.has(stateKey)) this.#size++;
    keys.set(stateKey, value);
  }

  delete(type: string, stateKey: string): void {
    if (this.#types.get(type)?.delete(stateKey)) this.#size--;
  }

  *entries(): IterableIterator<[StateKey, Value]> {
    for (const [type, keys] of this.#types) {
      for (const [stateKey, value] of keys) yield [[type, stateKey], value];
    }
  }
}

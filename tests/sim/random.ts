/** A seeded source of randomness: the same seed and the same questions give the same answers, on every machine. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A whole number from `from` to `to`, both included. */
  int(from: number, to: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of the items. @throws Error for an empty list */
  pick<T>(items: readonly T[]): T;
  bytes(length: number): Uint8Array;
  /** A source of its own, so that more questions here do not change the answers there. */
  fork(label: string): Random;
}

/** Makes the source of a seed (sfc32: 128 bits of state, passes PractRand). */
export function seededRandom(seed: string): Random {
  const next32 = sfc32(fnv1a(`${seed}/a`), fnv1a(`${seed}/b`), fnv1a(`${seed}/c`));
  const next = (): number => next32() / 0x1_0000_0000;
  const int = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    int,
    chance: (probability) => probability > 0 && next() < probability,
    pick: (items) => {
      const item = items[int(0, items.length - 1)];
      if (item === undefined) throw new Error("nothing to pick from");
      return item;
    },
    bytes: (length) => Uint8Array.from({ length }, () => next32() & 0xff),
    fork: (label) => seededRandom(`${seed}/${label}`),
  };
}

/** The 32-bit FNV-1a hash of a text, going on from `start`. */
export function fnv1a(text: string, start = 0x811c9dc5): number {
  let hash = start;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function sfc32(first: number, second: number, third: number): () => number {
  let [a, b, c, counter] = [first, second, third, 1];
  const step = (): number => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + result) | 0;
    return result >>> 0;
  };
  for (let i = 0; i < 12; i += 1) step();
  return step;
}

/**
 * A copy of what travels between actors: plain data, as RPC carries it. Stricter than the platform, which would also
 * carry dates, maps and the like.
 *
 * @throws TypeError for anything else, such as a function or an instance of a class.
 */
export function transfer(value: unknown): unknown {
  if (typeof value !== "object" || value === null) {
    if (typeof value === "function" || typeof value === "symbol") throw new TypeError("not plain data");
    return value;
  }
  if (Array.isArray(value)) return value.map(transfer);
  if (value instanceof Uint8Array) return value.slice();
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw new TypeError("not plain data");
  const copy: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (key !== "__proto__") copy[key] = transfer(entry);
    else
      Object.defineProperty(copy, key, {
        value: transfer(entry),
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  return copy;
}

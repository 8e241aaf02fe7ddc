import { describe, expect, it } from "vitest";
import { MatrixError } from "../../shared/errors.ts";
import { RateLimiter, rateLimits } from "../../shared/rate-limit.ts";

function limiterAt(options: { isOn?: boolean; maxKeys?: number } = {}) {
  let now = 1_000_000;
  const limiter = new RateLimiter({ now: () => now }, { isOn: true, ...options });
  const attempt = (key = "a"): number | null => {
    try {
      limiter.count("rc_message", key);
      return null;
    } catch (thrown) {
      if (thrown instanceof MatrixError && typeof thrown.extra.retry_after_ms === "number")
        return thrown.extra.retry_after_ms;
      throw thrown;
    }
  };
  return {
    limiter,
    attempt,
    advance: (ms: number) => {
      now += ms;
    },
  };
}

describe("RateLimiter", () => {
  it("allows the burst, then one request each time the bucket has leaked one", () => {
    const { attempt, advance } = limiterAt();
    for (let i = 0; i < rateLimits.rc_message.burst; i += 1) expect(attempt()).toBeNull();
    expect(attempt()).toBe(5000);
    advance(4999);
    expect(attempt()).toBe(1);
    advance(1);
    expect(attempt()).toBeNull();
    expect(attempt()).toBe(5000);
  });

  it("never allows more than burst + rate × time, and refusals cost nothing", () => {
    const { attempt, advance } = limiterAt();
    let allowed = 0;
    for (let second = 0; second <= 1000; second += 1) {
      for (let i = 0; i < 5; i += 1) if (attempt() === null) allowed += 1;
      advance(1000);
    }
    expect(allowed).toBe(10 + 200);
  });

  it("counts keys apart, and nothing when switched off", () => {
    const { attempt } = limiterAt();
    for (let i = 0; i < 10; i += 1) attempt("a");
    expect(attempt("a")).not.toBeNull();
    expect(attempt("b")).toBeNull();
    const off = limiterAt({ isOn: false });
    for (let i = 0; i < 100; i += 1) expect(off.attempt()).toBeNull();
  });

  it("checks without counting", () => {
    const { limiter, attempt } = limiterAt();
    for (let i = 0; i < 100; i += 1) limiter.check("rc_message", "a");
    for (let i = 0; i < 10; i += 1) attempt("a");
    expect(() => limiter.check("rc_message", "a")).toThrow(MatrixError);
  });

  it("remembers a bounded number of keys, and forgets the one counted longest ago", () => {
    const { attempt } = limiterAt({ maxKeys: 3 });
    for (let i = 0; i < 10; i += 1) attempt("a");
    for (const key of ["b", "c"]) attempt(key);
    expect(attempt("a")).not.toBeNull();
    attempt("d");
    expect(attempt("a")).toBeNull();
  });
});

import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import { maxWaitMs, syncWhenNews } from "../../../workers/gateway/wait.ts";
import { type FakeServices, fakeServices, ok } from "./services.ts";

const auth = {
  userId: trusted.userId("@a:example.org"),
  deviceId: trusted.deviceId("D"),
  isAdmin: false,
  isGuest: false,
};
const input = { deviceId: auth.deviceId, since: "s1_0", filter: null, fullState: false, useStateAfter: false };

type Outcome = "news" | "closed" | "silence";

/** A user whose answers and wakes are given one after the other; the last of each repeats. */
function scene(isEmpty: readonly boolean[], wakes: readonly Outcome[]) {
  const seen = { syncs: 0, waits: [] as string[], open: 0, pauses: [] as number[] };
  const at = <T>(list: readonly T[], index: number) => list[Math.min(index, list.length - 1)];
  const sync = () => {
    seen.syncs += 1;
    const nextBatch = `s${seen.syncs}_0`;
    return ok({ response: { next_batch: nextBatch }, nextBatch, isEmpty: at(isEmpty, seen.syncs - 1) });
  };
  const services: FakeServices = fakeServices(
    { user: { sync } },
    {
      openWaiter: async (_userId, _deviceId, since) => {
        const outcome = at(wakes, seen.waits.length);
        seen.waits.push(since);
        seen.open += 1;
        return {
          outcome:
            outcome === "silence" || outcome === undefined ? new Promise(() => undefined) : Promise.resolve(outcome),
          close: () => {
            seen.open -= 1;
          },
        };
      },
      pause: async (milliseconds, until) => {
        seen.pauses.push(milliseconds);
        // A pause that a wake may cut short comes second in the race.
        if (until !== undefined) await new Promise((resolve) => setTimeout(resolve, 1));
        if (until?.aborted !== true) services.now += Math.max(0, milliseconds);
      },
    },
  );
  return { services, seen };
}

describe("syncWhenNews", () => {
  it("answers news at once", async () => {
    const { services, seen } = scene([false], []);
    expect(await syncWhenNews(services, auth, input, 30_000)).toMatchObject({ nextBatch: "s1_0" });
    expect(seen).toMatchObject({ syncs: 1, waits: [] });
  });

  it("answers at once, though empty, without a timeout", async () => {
    const { services, seen } = scene([true], []);
    expect((await syncWhenNews(services, auth, input, 0)).isEmpty).toBe(true);
    expect(seen.waits).toEqual([]);
  });

  it("waits for what comes after the answer it has, and asks again when woken", async () => {
    const { services, seen } = scene([true, false], ["news"]);
    expect(await syncWhenNews(services, auth, input, 30_000)).toMatchObject({ nextBatch: "s2_0", isEmpty: false });
    expect(seen).toMatchObject({ syncs: 2, waits: ["s1_0"], open: 0 });
  });

  it("answers empty when the time is over, and leaves no line open", async () => {
    const { services, seen } = scene([true], ["silence"]);
    expect((await syncWhenNews(services, auth, input, 30_000)).isEmpty).toBe(true);
    expect(seen).toMatchObject({ syncs: 1, open: 0 });
    expect(services.now).toBe(1_030_000);
  });

  it("holds nobody longer than the limit", async () => {
    const { services } = scene([true], ["silence"]);
    await syncWhenNews(services, auth, input, 10 * maxWaitMs);
    expect(services.now).toBe(1_000_000 + maxWaitMs);
  });

  it("slows down when it is woken for nothing, and never asks without end", async () => {
    const { services, seen } = scene([true], ["news"]);
    await syncWhenNews(services, auth, input, 30_000);
    expect(services.now).toBeGreaterThanOrEqual(1_030_000);
    expect(seen.syncs).toBeLessThan(40);
  });

  it("answers soon, but not at once, when another request takes the device's line", async () => {
    const { services, seen } = scene([true], ["closed"]);
    await syncWhenNews(services, auth, input, 30_000);
    expect(services.now).toBe(1_001_000);
    expect(seen).toMatchObject({ syncs: 2, open: 0 });
  });

  it("answers soon when the line cannot be had", async () => {
    const { services, seen } = scene([true], []);
    const restarting = { ...services, openWaiter: () => Promise.reject(new Error("the actor restarts")) };
    expect((await syncWhenNews(restarting, auth, input, 30_000)).isEmpty).toBe(true);
    expect(seen.syncs).toBe(2);
    expect(services.now).toBe(1_001_000);
    expect(services.logged).toMatchObject([{ level: "warn", message: "cannot wait for news" }]);
  });

  it("does not wait for a client that has gone", async () => {
    const { services, seen } = scene([true], ["silence"]);
    const gone = { ...services, signal: AbortSignal.abort() };
    await syncWhenNews(gone, auth, input, 30_000);
    expect(seen.waits).toEqual([]);
  });
});

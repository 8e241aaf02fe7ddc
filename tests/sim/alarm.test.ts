import { describe, expect, it } from "vitest";
import { alarmRetryMs, KeptAlarm } from "../../actors/alarm.ts";

/** The platform's alarm: what is set last counts. */
function platform() {
  const stored: { atMs: number | null; writes: number } = { atMs: null, writes: 0 };
  const write = (atMs: number | null): void => {
    stored.atMs = atMs;
    stored.writes += 1;
  };
  return { stored, alarm: new KeptAlarm({ set: write, clear: () => write(null) }) };
}

describe("KeptAlarm", () => {
  it("keeps the earliest time, and writes only what is earlier", () => {
    const { stored, alarm } = platform();
    for (const atMs of [500, 900, 300, 500]) alarm.ensure(atMs);
    expect(stored).toEqual({ atMs: 300, writes: 2 });
  });

  it("does not put off what an earlier life has set", () => {
    const { stored, alarm } = platform();
    stored.atMs = 200;
    alarm.know(200);
    alarm.ensure(900);
    expect(stored.atMs).toBe(200);
  });

  it("repeats soon when the instance dies over it, whatever was set meanwhile", async () => {
    const { stored, alarm } = platform();
    void alarm.serve(1_000, () => {
      alarm.ensure(90_000_000);
      return new Promise(() => undefined);
    });
    await Promise.resolve();
    expect(stored.atMs).toBe(1_000 + alarmRetryMs);
  });

  it("comes to rest when nothing was asked for, else takes the earliest that was", async () => {
    const { stored, alarm } = platform();
    await alarm.serve(1_000, async () => undefined);
    expect(stored.atMs).toBeNull();
    await alarm.serve(1_000, async () => {
      for (const atMs of [90_000_000, 80_000_000]) alarm.ensure(atMs);
    });
    expect(stored.atMs).toBe(80_000_000);
    await alarm.serve(1_000, async () => alarm.ensure(1_500));
    expect(stored.atMs).toBe(1_500);
  });

  it("repeats soon when the work fails", async () => {
    const { stored, alarm } = platform();
    const work = alarm.serve(1_000, async () => {
      throw new Error("not now");
    });
    await expect(work).rejects.toThrow("not now");
    expect(stored.atMs).toBe(1_000 + alarmRetryMs);
  });

  it("forgets what was set in a transaction that is rolled back", () => {
    const { stored, alarm } = platform();
    const fail = (): void =>
      alarm.restoring(() => {
        alarm.ensure(300);
        throw new Error("rolled back");
      });
    expect(fail).toThrow("rolled back");
    stored.atMs = null;
    alarm.ensure(900);
    expect(stored.atMs).toBe(900);
  });
});

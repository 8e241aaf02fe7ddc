import { describe, expect, it } from "vitest";
import { bundleWorker } from "../../workers/selfhost/bundle.ts";
import { decodeBundle, encodeBundle } from "./bundle-file.ts";
import { assess, formatExpectedFailures } from "./expected-failures.ts";
import type { FailureReason } from "./failure-reasons.ts";
import { countOutcomes, failedTests, findRegressions, formatResults, mergeResults, parseResults } from "./results.ts";
import { type Outcome, readTestEvents } from "./test-events.ts";

type Given = Readonly<Record<string, Readonly<Record<string, Outcome>>>>;

function results(given: Given) {
  return new Map(Object.entries(given).map(([name, outcomes]) => [name, new Map(Object.entries(outcomes))]));
}

describe("readTestEvents", () => {
  const event = (action: string, test: string) => JSON.stringify({ Action: action, Package: "p", Test: test });

  it("takes a test that never ended as failed", () => {
    const lines = [event("run", "TestA"), event("pass", "TestA"), event("run", "TestB"), event("run", "TestB/sub")];
    const { outcomes } = readTestEvents([...lines, event("skip", "TestB/sub"), '{"Action":"fail","Package":"p"}']);
    expect([...outcomes]).toEqual([
      ["TestA", "pass"],
      ["TestB/sub", "skip"],
      ["TestB", "fail"],
    ]);
  });

  it("keeps what was printed, also by the compiler", () => {
    const lines = ['{"Action":"output","Package":"p","Output":"one\\n"}', "./a.go:1: undefined: x", "{no json"];
    expect(readTestEvents(lines)).toEqual({ outcomes: new Map(), output: "one\n./a.go:1: undefined: x\n{no json\n" });
  });
});

describe("results", () => {
  const kept = results({ a: { TestA: "pass", "TestA/x": "pass", TestB: "fail", TestC: "skip" }, b: { TestD: "pass" } });

  it("are read as they were written", () => {
    expect(parseResults(formatResults(kept))).toEqual(kept);
    expect(() => parseResults("a\tTestA\tperhaps\n")).toThrow("not a result");
  });

  it("finds what passed and does not pass any more, in the packages that ran", () => {
    const now = results({ a: { TestA: "fail", TestB: "pass", TestC: "fail" } });
    expect(findRegressions(kept, now, true)).toEqual([
      { package: "a", test: "TestA" },
      { package: "a", test: "TestA/x" },
    ]);
    expect(findRegressions(kept, now, false)).toEqual([{ package: "a", test: "TestA" }]);
    expect(findRegressions(kept, results({ a: { TestA: "skip" } }), false)).toHaveLength(1);
  });

  it("replaces packages that ran whole, and tests that ran by name", () => {
    const now = results({ a: { TestA: "fail" } });
    expect(mergeResults(kept, now, true).get("a")).toEqual(new Map([["TestA", "fail"]]));
    expect(mergeResults(kept, now, false).get("a")?.get("TestB")).toBe("fail");
    expect(mergeResults(kept, now, false).get("b")).toEqual(kept.get("b"));
  });

  it("counts subtests too, and blames the innermost test", () => {
    const failed = results({
      a: { TestA: "fail", "TestA/x": "fail", "TestA/x/y": "fail", TestAB: "fail", TestC: "skip" },
    });
    expect(countOutcomes(failed.get("a") ?? new Map())).toEqual({ pass: 0, fail: 4, skip: 1 });
    expect(failedTests(failed).map(({ test }) => test)).toEqual(["TestA/x/y", "TestAB"]);
  });
});

describe("assess", () => {
  const reasons: readonly FailureReason[] = [
    { title: "Media", why: "Not built yet.", tests: { a: ["TestUpload", "TestGone"], other: ["TestElsewhere"] } },
  ];
  const assessed = assess(
    results({ a: { TestUpload: "fail", "TestUpload/big": "fail", TestUploadKey: "fail" } }),
    reasons,
  );

  it("covers a test and its subtests, no other that begins alike", () => {
    expect(assessed.withoutReason).toEqual([{ package: "a", test: "TestUploadKey" }]);
    expect([...assessed.byReason.values()]).toEqual([[{ package: "a", test: "TestUpload/big" }]]);
  });

  it("names reasons that no failing test needs, of packages that ran", () => {
    expect(assessed.stale).toEqual([{ package: "a", test: "TestGone" }]);
  });

  it("is written with one section for each reason", () => {
    expect(formatExpectedFailures(assessed)).toContain("## Media (1)\n\nNot built yet.\n\n- `a` `TestUpload/big`\n");
  });
});

describe("the bundle's file", () => {
  it("holds the Worker with its modules", async () => {
    const bundle = await bundleWorker();
    expect(decodeBundle(encodeBundle(bundle))).toEqual(bundle);
  });

  it("refuses anything else", () => {
    expect(() => decodeBundle(new Uint8Array([1, 2, 3]))).toThrow();
  });
});

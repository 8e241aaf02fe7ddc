import { describe, expect, it } from "vitest";
import { scratchUtf8 } from "../../../shared/matrix/scratch-utf8.ts";

describe("scratchUtf8", () => {
  it.each([
    ["nothing", ""],
    ["ASCII", "plain"],
    ["two, three and four bytes", "é\uffee\u{1f600}"],
    ["the longest text that fits", "\uffee".repeat(21_845)],
    ["longer text", "\uffee".repeat(21_846)],
    ["an event of 64 KiB", "x".repeat(65_536)],
  ])("encodes %s", (_name, text) => {
    expect(Buffer.compare(scratchUtf8(text), Buffer.from(text, "utf8"))).toBe(0);
  });

  it("gives nothing of what was encoded before", () => {
    scratchUtf8("a longer text");
    expect([...scratchUtf8("ab")]).toEqual([0x61, 0x62]);
  });
});

import { describe, expect, it } from "vitest";
import { trusted } from "../../../shared/ids.ts";
import type { JsonObject } from "../../../shared/json.ts";
import { compileGlob, compileStarPattern, matchesGlob, matchesGlobInWords } from "../../../shared/matrix/glob.ts";
import { compileServerAcl, isServerAllowed } from "../../../shared/matrix/server-acl.ts";
import { fc } from "../../support/property.ts";
import { cpuMsOf } from "./timing.ts";
import { describeVectors } from "./vectors.ts";

/** The definition by a regular expression: right, and slow for hostile patterns. */
function byRegExp(pattern: string): RegExp {
  const source = [...pattern].map((char) =>
    char === "*" ? ".*" : char === "?" ? "." : char.replace(/[\\^$.|+()[\]{}]/g, "\\$&"),
  );
  return new RegExp(`^${source.join("")}$`, "su");
}

const text = fc.string({ unit: fc.constantFrom("a", "b", "_", " ", "\u{1f600}", "é"), maxLength: 12 });
const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?", " ", "\u{1f600}"), maxLength: 8 });

describe("matchesGlob", () => {
  it.each([
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "anything", true],
    ["?", "", false],
    ["?", "a", true],
    ["?", "\u{1f600}", true],
    ["a*b", "ab", true],
    ["a*b", "abc", false],
    ["*.example.org", "x.example.org", true],
    ["*.example.org", "example.org", false],
    ["ab*ba", "aba", false],
    ["a.c", "abc", false],
    ["[ab]", "a", false],
  ])("%j against %j: %s", (glob, value, isMatch) => {
    expect(matchesGlob(compileGlob(glob), value)).toBe(isMatch);
  });

  it("means what the regular expression means", () => {
    fc.assert(
      fc.property(pattern, text, (glob, value) => {
        expect(matchesGlob(compileGlob(glob), value)).toBe(byRegExp(glob).test(value));
      }),
      { numRuns: 3_000 },
    );
  });

  it("takes only * for special where filters do", () => {
    expect(matchesGlob(compileStarPattern("m.*"), "m.room")).toBe(true);
    expect(matchesGlob(compileStarPattern("m?"), "mx")).toBe(false);
    expect(matchesGlob(compileStarPattern("m?"), "m?")).toBe(true);
  });

  it.each(["*a".repeat(100), `${"*a".repeat(100)}b`, `${"a*".repeat(100)}b`, `*${"?".repeat(200)}b*`])(
    "takes no long time for the hostile pattern %s",
    (glob) => {
      const compiled = compileGlob(glob);
      const hostile = "a".repeat(65_536);
      const spent = cpuMsOf(() => {
        matchesGlob(compiled, hostile);
        matchesGlobInWords(compiled, hostile);
      });
      expect(spent).toBeLessThan(500);
    },
  );
});

describe("matchesGlobInWords", () => {
  const isWord = (value: string, index: number): boolean => /[A-Za-z0-9_]/.test(value[index] ?? "");

  /** Every substring that starts and ends at a word boundary. */
  function* boundedParts(value: string): Generator<string> {
    for (let start = 0; start <= value.length; start++) {
      for (let end = start; end <= value.length; end++) {
        const startsWell = start === 0 || !isWord(value, start - 1);
        const endsWell = end === value.length || !isWord(value, end);
        const part = value.slice(start, end);
        if (startsWell && endsWell && part.isWellFormed()) yield part;
      }
    }
  }

  it("means that some substring between word boundaries matches", () => {
    fc.assert(
      fc.property(pattern, text, (glob, value) => {
        const expression = byRegExp(glob);
        const expected = [...boundedParts(value)].some((part) => expression.test(part));
        expect(matchesGlobInWords(compileGlob(glob), value)).toBe(expected);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("isServerAllowed", () => {
  const server = trusted.serverName;

  it("allows all where there is no ACL", () => {
    expect(isServerAllowed(null, server("evil.com"))).toBe(true);
  });

  it.each([
    ["evil.com:8448", false],
    ["EVIL.com", false],
    ["notevil.com", true],
    ["1.2.3.4", false],
    ["1.2.3.4:80", false],
    ["[::1]", false],
    ["[::1]:8448", false],
    ["1.2.3.4.example.org", true],
    ["256.1.1.1", true],
  ])("judges %s: %s", (name, isAllowed) => {
    const acl = compileServerAcl({ allow: ["*"], deny: ["evil.COM"], allow_ip_literals: false });
    expect(isServerAllowed(acl, server(name))).toBe(isAllowed);
  });

  it.each<[JsonObject, boolean]>([
    [{}, false],
    [{ allow: "*" }, false],
    [{ allow: [1, null, "*"] }, true],
    [{ allow: ["*"], deny: "example.org" }, true],
    [{ allow: ["*"], allow_ip_literals: "no" }, true],
  ])("reads the odd content %j: %s", (content, isAllowed) => {
    expect(isServerAllowed(compileServerAcl(content), server("example.org"))).toBe(isAllowed);
  });

  it("checks a full ACL ten thousand times in less than a second", () => {
    const deny = Array.from({ length: 1_000 }, (_, index) => `*.bad-server-number-${index}.example.com`);
    const acl = compileServerAcl({ allow: ["*"], deny });
    const spent = cpuMsOf(() => {
      for (let round = 0; round < 1_000; round++) isServerAllowed(acl, server("a.good.server.example.com"));
    });
    expect(spent * 10).toBeLessThan(10_000);
  });
});

describeVectors<{ cases: { name?: string; acl: JsonObject | null; server: string; allowed: boolean }[] }>(
  "server-acl/ruma.json",
  ({ cases }) => {
    it.each(cases)("$server $name %#", (one) => {
      const acl = one.acl === null ? null : compileServerAcl(one.acl);
      expect(isServerAllowed(acl, trusted.serverName(one.server))).toBe(one.allowed);
    });
  },
);

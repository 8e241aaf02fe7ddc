import { describe, expect, it } from "vitest";
import { MatrixError } from "../../shared/errors.ts";
import { type JsonValue, maxJsonDepth, maxSignedJsonDepth } from "../../shared/json.ts";
import { parseEventLists, parseJson, parseSignedJson } from "../../shared/json-text.ts";
import { readJsonBody } from "../../workers/gateway/json-body.ts";

/** The errcode with which a parser refuses. */
function refusal(parse: () => unknown): string | null {
  try {
    parse();
    return null;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return thrown.errcode;
    throw thrown;
  }
}

const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;

describe.each<[string, (text: string) => JsonValue, number]>([
  ["parseJson", parseJson, maxJsonDepth],
  ["parseSignedJson", parseSignedJson, maxSignedJsonDepth],
])("%s", (_name, parse, maxDepth) => {
  it("takes what nests as deeply as is allowed, and no more", () => {
    expect(refusal(() => parse(nested(maxDepth)))).toBeNull();
    for (const depth of [maxDepth + 1, 10_000, 1_000_000]) {
      expect(refusal(() => parse(nested(depth)))).toBe("M_NOT_JSON");
      expect(refusal(() => parse("[".repeat(depth)))).toBe("M_NOT_JSON");
    }
  });

  it("does not take brackets in text for nesting", () => {
    const text = JSON.stringify([`${"[".repeat(500)}\\"${"{".repeat(500)}`]);
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ["a lone surrogate", '{"a":"\\ud800"}'],
    ["a lone surrogate in a name", '{"\\uDFFF":1}'],
    ["a number beyond what a double holds", '{"a":[1e400]}'],
  ])("refuses %s", (_what, text) => {
    expect(refusal(() => parse(text))).toBe("M_BAD_JSON");
  });

  it("takes a pair of surrogates, and a large number that a double holds", () => {
    expect(parse('["\\ud83d\\ude00"]')).toEqual(["😀"]);
    expect(refusal(() => parse("[1e300]"))).toBeNull();
  });

  it.each(["", "{", "nul", "{'a':1}", "[1,]"])("refuses %j", (text) => {
    expect(refusal(() => parse(text))).toBe("M_NOT_JSON");
  });
});

describe("parseJson", () => {
  it("refuses a number of very many digits, which those who are to check a signature keep", () => {
    const text = `[${"9".repeat(400)}]`;
    expect(refusal(() => parseJson(text))).toBe("M_BAD_JSON");
    expect(refusal(() => parseSignedJson(text))).toBeNull();
  });
});

describe("parseEventLists", () => {
  it("cuts off what nests too deeply, and keeps the rest", () => {
    const text = `{"pdus":[{"a":1},{"b":${nested(1_000_000)}},{"c":"\\ud800"}]}`;
    expect(parseEventLists(text)).toMatchObject({ pdus: [{ a: 1 }, {}, { c: "\ud800" }] });
  });
});

describe("readJsonBody", () => {
  const limits = { maxBytes: 100, allowsEmpty: false, isSigned: false };
  const post = (body: BodyInit): Request => new Request("https://one.test", { method: "POST", body });
  const ofBytes = (bytes: number): string => JSON.stringify("x".repeat(bytes - 2));

  /** With no length declared. */
  const streaming = (body: ReadableStream<Uint8Array> | null): Request => {
    const init: RequestInit & { duplex: "half" } = { method: "POST", body, duplex: "half" };
    return new Request("https://one.test", init);
  };
  const streamed = (text: string): Request => streaming(new Response(text).body);

  it.each([post, streamed])("takes as many bytes as are allowed, and no more", async (request) => {
    await expect(readJsonBody(request(ofBytes(100)), limits)).resolves.toHaveLength(98);
    await expect(readJsonBody(request(ofBytes(101)), limits)).rejects.toMatchObject({ errcode: "M_TOO_LARGE" });
  });

  it("stops reading what has no end", async () => {
    let read = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        read += 1_048_576;
        controller.enqueue(new Uint8Array(1_048_576));
      },
    });
    await expect(readJsonBody(streaming(body), limits)).rejects.toMatchObject({ errcode: "M_TOO_LARGE" });
    expect(read).toBeLessThan(16 * 1_048_576);
  });

  it("refuses what is not UTF-8, and nothing at all where something is needed", async () => {
    const bytes = new Uint8Array([0x22, 0xff, 0x22]);
    await expect(readJsonBody(post(bytes), limits)).rejects.toMatchObject({ errcode: "M_NOT_JSON" });
    await expect(readJsonBody(post(""), limits)).rejects.toMatchObject({ errcode: "M_NOT_JSON" });
    await expect(readJsonBody(post(""), { ...limits, allowsEmpty: true })).resolves.toEqual({});
  });
});

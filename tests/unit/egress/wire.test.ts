import { describe, expect, it } from "vitest";
import { parseSrvAnswer, srvQuery } from "../../../workers/egress/dns.ts";
import { readAnswer, requestHead } from "../../../workers/egress/http1.ts";

/** A connection on which bytes arrive in pieces of a size. */
function connection(text: string, pieceBytes: number): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(text, "latin1");
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(new Uint8Array(bytes.subarray(at, at + pieceBytes)));
      at += pieceBytes;
    },
  });
}

async function read(text: string, pieceBytes = 7) {
  let closed = 0;
  const answer = await readAnswer(connection(text, pieceBytes), () => {
    closed += 1;
  });
  const body = await new Response(answer.body).text();
  return { status: answer.status, headers: answer.headers, body, closed };
}

const head = "HTTP/1.1 200 OK\r\n";

describe("readAnswer", () => {
  it.each([1, 2, 3, 7, 1000])("reads all framings, whatever pieces of %i bytes they come in", async (pieceBytes) => {
    const bodies = {
      length: `${head}Content-Length: 5\r\n\r\nhello and more`,
      chunks: `${head}Transfer-Encoding: Chunked\r\n\r\n3;a=b\r\nhel\r\n02\r\nlo\r\n0\r\nTrailer: x\r\n\r\n`,
      end: `${head}\r\nhello`,
      interim: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n${head}Content-Length: 5\r\n\r\nhello`,
      bareLines: "HTTP/1.0 200\nContent-Length: 5\n\nhello",
    };
    for (const text of Object.values(bodies)) {
      expect(await read(text, pieceBytes)).toMatchObject({ status: 200, body: "hello", closed: 1 });
    }
  });

  it("reads headers by any case and with any space around them", async () => {
    const { headers, status } = await read(
      "HTTP/1.1 429 Wait\r\nRETRY-after:\t 5 \r\nX: a\r\nX: b\xe9\r\nContent-Length: 0\r\n\r\n",
    );
    expect([status, headers.get("Retry-After"), headers.get("x")]).toEqual([429, "5", "a, b\xe9"]);
  });

  it("expects no body where there is none", async () => {
    expect(await read("HTTP/1.1 204 No Content\r\n\r\nrest")).toMatchObject({ status: 204, body: "" });
  });

  it.each([
    ["no HTTP", "SSH-2.0\r\n\r\n"],
    ["another version", "HTTP/2 200\r\n\r\n"],
    ["no status", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["nothing", ""],
    ["half a head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"],
    ["a folded header", `${head}X: a\r\n b\r\n\r\n`],
    ["a header with a space in its name", `${head}Content-Length : 5\r\n\r\nhello`],
    ["a header without a name", `${head}: 5\r\n\r\n`],
    ["two lengths", `${head}Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello`],
    ["a length and chunks", `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ["a length that is none", `${head}Content-Length: +5\r\n\r\nhello`],
    ["another transfer encoding", `${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
    ["an encoding that was not asked for", `${head}Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello`],
    ["a body that is cut short", `${head}Content-Length: 6\r\n\r\nhello`],
    ["chunks that are cut short", `${head}Transfer-Encoding: chunked\r\n\r\n6\r\nhello`],
    ["no last chunk", `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`],
    ["a chunk longer than it says", `${head}Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n`],
    ["a chunk without a length", `${head}Transfer-Encoding: chunked\r\n\r\nhello\r\n0\r\n\r\n`],
    ["a chunk of negative length", `${head}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n`],
    ["an enormous chunk", `${head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n`],
    ["a head that is too long", `${head}X: ${"x".repeat(65_536)}\r\n\r\n`],
    ["too many interim answers", `${"HTTP/1.1 100 Continue\r\n\r\n".repeat(20)}${head}\r\n`],
    ["another protocol", "HTTP/1.1 101 Switching\r\n\r\n"],
  ])("refuses %s", async (_what, text) => {
    await expect(read(text, 1000)).rejects.toThrow();
  });
});

describe("requestHead", () => {
  const target = { host: "a.test", port: 1, hostHeader: "b.test", tlsName: "b.test" };
  const request = {
    method: "PUT",
    path: "/x?y",
    headers: { Accept: "application/json" },
    body: "é",
    signal: new AbortController().signal,
  } as const;

  it("names the host that is meant, and the body's length", () => {
    expect(requestHead(target, request, 2)).toBe(
      "PUT /x?y HTTP/1.1\r\nHost: b.test\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nConnection: close\r\nContent-Length: 2\r\n\r\n",
    );
    expect(requestHead(target, request, null)).not.toContain("Content-Length");
  });

  it("lets nothing be put into it", () => {
    for (const path of ["/x\r\nX: y", "/x y", "/x\n", "/é"])
      expect(() => requestHead(target, { ...request, path }, null)).toThrow();
    expect(() => requestHead({ ...target, hostHeader: "a\r\nX: y" }, request, null)).toThrow();
    expect(() => requestHead(target, { ...request, headers: { A: "b\r\nX: y" } }, null)).toThrow();
  });
});

describe("SRV records", () => {
  const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
  const question = "055f68747470 045f746370 0161 0474657374 00 0021 0001";
  /** `_http._tcp.a.test`: 10 60 5060 b.a.test (compressed), and 20 0 5061 c (in full). */
  const answer = `0000 8180 0001 0002 0000 0000 ${question}
    c00c 0021 0001 0000012c 000a 000a 003c 13c4 0162 c017
    c00c 0021 0001 00000e10 0009 0014 0000 13c5 0163 00`;

  it("are asked for in the wire's format", () => {
    expect(Buffer.from(srvQuery("_http._tcp.a.test")).toString("hex")).toBe(
      `0000010000010000000000 00${question}`.replaceAll(" ", ""),
    );
    expect(() => srvQuery("a..b")).toThrow();
    expect(() => srvQuery(`${"a".repeat(64)}.b`)).toThrow();
  });

  it("are read with compressed names and without", () => {
    expect(parseSrvAnswer(hex(answer.replace("000a 000a", "000a 000a")))).toEqual([
      { priority: 10, weight: 60, port: 5060, host: "b.a.test", ttlMs: 300_000 },
      { priority: 20, weight: 0, port: 5061, host: "c", ttlMs: 3_600_000 },
    ]);
  });

  it("are none when the name does not exist, and unknown when the resolver failed", () => {
    expect(parseSrvAnswer(hex(`0000 8183 0001 0000 0000 0000 ${question}`))).toEqual([]);
    expect(parseSrvAnswer(hex(`0000 8180 0001 0000 0000 0000 ${question}`))).toEqual([]);
    for (const flags of ["8182", "8185", "0100"]) {
      expect(() => parseSrvAnswer(hex(`0000 ${flags} 0001 0000 0000 0000 ${question}`))).toThrow();
    }
  });

  it("are passed over where something else is in the answer", () => {
    const alias = "c00c 0005 0001 0000012c 0003 0162 00";
    expect(parseSrvAnswer(hex(`0000 8180 0001 0001 0000 0000 ${question} ${alias}`))).toEqual([]);
  });

  it("never make the reader run in circles or past the end", () => {
    const self = `0000 8180 0001 0001 0000 0000 ${question} c023 0021 0001 0000012c 0008 000a 003c 13c4 c023`;
    expect(() => parseSrvAnswer(hex(self))).toThrow();
    const bytes = hex(answer);
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => parseSrvAnswer(bytes.subarray(0, length))).toThrow();
    for (let index = 0; index < 20_000; index += 1) {
      const broken = bytes.slice();
      const [at, value] = [(index * 7919) % bytes.length, (index * 104_729) % 256];
      broken[at] = value;
      try {
        expect(parseSrvAnswer(broken).length).toBeLessThanOrEqual(100);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(Error);
      }
    }
  });
});

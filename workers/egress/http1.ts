/**
 * HTTP/1.1 as a client, for one request on a connection. Strict where answers could be taken in two ways.
 * @see https://www.rfc-editor.org/rfc/rfc9112
 */
import type { Answered, Exchange, Target } from "./context.ts";

const maxHeadBytes = 64 * 1024;
const maxChunkLineBytes = 4 * 1024;
/** Answers that only say that another one will come. */
const maxInterimAnswers = 5;

/** The head of a request. @param bodyBytes null: no body */
export function requestHead(target: Target, request: Exchange, bodyBytes: number | null): string {
  const lines = [`${request.method} ${request.path} HTTP/1.1`, `Host: ${target.hostHeader}`];
  for (const [name, value] of Object.entries(request.headers)) lines.push(`${name}: ${value}`);
  lines.push("Accept-Encoding: identity", "Connection: close");
  if (bodyBytes !== null) lines.push(`Content-Length: ${bodyBytes}`);
  if (lines.some((line) => !/^[\t -~]*$/.test(line)) || /\s/.test(request.path)) {
    throw new Error("a request's head holds what it must not");
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/**
 * Reads the head of an answer and gives its body as a stream.
 *
 * @param close ends the connection; called once the body is over or not wanted.
 * @throws Error when it is no HTTP/1.1, or could be read in two ways
 */
export async function readAnswer(readable: ReadableStream<Uint8Array>, close: () => void): Promise<Answered> {
  const input = new ByteReader(readable);
  for (let read = 0; read <= maxInterimAnswers; read += 1) {
    const { status, headers } = await readHead(input);
    if (status >= 200) return { status, headers, body: bodyStream(bodyParts(input, status, headers), close) };
    if (status === 101) break;
  }
  throw new Error("the answer does not come");
}

async function readHead(input: ByteReader): Promise<{ status: number; headers: Headers }> {
  const budget = { left: maxHeadBytes };
  const statusLine = await input.line(budget);
  const status = /^HTTP\/1\.[01] ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*)?$/.exec(statusLine)?.[1];
  if (status === undefined) throw new Error("the answer is no HTTP/1.1");
  const headers = new Headers();
  for (let line = await input.line(budget); line !== ""; line = await input.line(budget)) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Error("a header of the answer is malformed");
    headers.append(name, value);
  }
  return { status: Number(status), headers };
}

/** The body's bytes, by the framing that the head says. @see https://www.rfc-editor.org/rfc/rfc9112#section-6.3 */
async function* bodyParts(input: ByteReader, status: number, headers: Headers): AsyncGenerator<Uint8Array> {
  const transfer = headers.get("Transfer-Encoding");
  const length = headers.get("Content-Length");
  const encoding = headers.get("Content-Encoding") ?? "identity";
  if (encoding !== "identity")
    throw new Error(`the answer is encoded as ${encoding.slice(0, 20)}, which was not asked for`);
  if (status === 204 || status === 304) return;
  if (transfer !== null && (length !== null || transfer.toLowerCase() !== "chunked")) {
    throw new Error("the length of the answer is not clear");
  }
  if (transfer !== null) yield* chunks(input);
  else if (length === null) yield* input.rest();
  else if (/^[0-9]{1,15}$/.test(length)) yield* input.exactly(Number(length));
  else throw new Error("the length of the answer is not clear");
}

async function* chunks(input: ByteReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const size = /^([0-9A-Fa-f]{1,12})(?:[ \t]*;.*)?$/.exec(await input.line({ left: maxChunkLineBytes }))?.[1];
    if (size === undefined) throw new Error("a chunk of the answer has no length");
    const bytes = Number.parseInt(size, 16);
    // What may follow the last chunk is of no interest: the connection ends here.
    if (bytes === 0) return;
    yield* input.exactly(bytes);
    if ((await input.line({ left: 2 })) !== "")
      throw new Error("a chunk of the answer has another length than it says");
  }
}

function bodyStream(parts: AsyncGenerator<Uint8Array>, close: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await parts.next();
          if (done) {
            close();
            controller.close();
          } else controller.enqueue(value);
        } catch (thrown) {
          close();
          controller.error(thrown);
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}

const lineFeed = 10;

/** Lines and bytes of a connection, in order. */
class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Received, not yet given. */
  #left: Uint8Array = new Uint8Array();

  constructor(readable: ReadableStream<Uint8Array>) {
    this.#reader = readable.getReader();
  }

  /** Whether there are bytes to give; false at the end of the connection. */
  async #fill(): Promise<boolean> {
    while (this.#left.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return false;
      this.#left = value;
    }
    return true;
  }

  #take(length: number): Uint8Array {
    const taken = this.#left.subarray(0, length);
    this.#left = this.#left.subarray(length);
    return taken;
  }

  /** The next line without its end. @param budget bytes that lines may still have, together */
  async line(budget: { left: number }): Promise<string> {
    let text = "";
    for (;;) {
      if (!(await this.#fill())) throw new Error("the connection ended too early");
      const found = this.#left.indexOf(lineFeed);
      const part = this.#take(found === -1 ? this.#left.length : found + 1);
      budget.left -= part.length;
      if (budget.left < 0) throw new Error("the head of the answer is too long");
      text += latin1(part);
      if (found !== -1) return text.replace(/\r?\n$/, "");
    }
  }

  async *exactly(length: number): AsyncGenerator<Uint8Array> {
    for (let missing = length; missing > 0; ) {
      if (!(await this.#fill())) throw new Error("the connection ended too early");
      const part = this.#take(missing);
      missing -= part.length;
      yield part;
    }
  }

  async *rest(): AsyncGenerator<Uint8Array> {
    while (await this.#fill()) yield this.#take(this.#left.length);
  }
}

/** Each byte as the character of its number: headers are not UTF-8. */
function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

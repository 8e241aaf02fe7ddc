import type { BodyLimits } from "../../shared/endpoint.ts";
import { errors } from "../../shared/errors.ts";
import type { JsonValue } from "../../shared/json.ts";
import { parseJson, parseSignedJson } from "../../shared/json-text.ts";

/** How much of a body that is too large is read and dropped, so that the client gets to read the answer. */
const maxDiscardedBytes = 8_388_608;

/**
 * Reads a request's JSON body. Size, encoding and nesting are checked before anything is parsed.
 *
 * @throws MatrixError M_TOO_LARGE; M_NOT_JSON when it is not JSON, not UTF-8 or nested too deeply; M_BAD_JSON for a lone
 *   surrogate, or a number beyond what a double holds
 * @see https://spec.matrix.org/v1.19/client-server-api/#api-standards
 */
export async function readJsonBody(request: Request, limits: BodyLimits): Promise<JsonValue> {
  const text = decodeUtf8(await readBytes(request, limits.maxBytes));
  if (text === "") {
    if (limits.allowsEmpty) return {};
    throw errors.notJson("The body is empty: a JSON object is needed");
  }
  return limits.isSigned ? parseSignedJson(text) : parseJson(text);
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const declared = request.headers.get("Content-Length");
  // HTTP itself holds a body to its declared length, so a small one needs no counting.
  if (declared !== null && Number(declared) <= maxBytes) return new Uint8Array(await request.arrayBuffer());
  return await readCounted(request.body, maxBytes);
}

async function readCounted(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length <= maxBytes) chunks.push(chunk);
    else chunks.length = 0;
    if (length > maxBytes + maxDiscardedBytes) break;
  }
  if (length > maxBytes) throw errors.tooLarge(`The body is larger than ${maxBytes} bytes`);
  return concat(chunks, length);
}

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw errors.notJson("The body is not UTF-8");
  }
}

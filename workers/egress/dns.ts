/**
 * SRV records by DNS over HTTPS, in the format that every such service speaks.
 * @see https://www.rfc-editor.org/rfc/rfc8484
 */
import { encodeBase64Url } from "../../shared/base64.ts";
import type { SrvRecord } from "./context.ts";

const typeSrv = 33;
const classIn = 1;
const headerBytes = 12;
const nameError = 3;
/** Longer than any answer over the wire can be. */
const maxMessageBytes = 65_535;
const maxRecords = 100;

/**
 * Looks up the SRV records of a name.
 *
 * @param ask gives the answer to a query, which is base64url.
 * @returns what there is, in no order; empty when the name or the records do not exist.
 * @throws Error when the resolver could not say, or what it said is no answer.
 * @see https://www.rfc-editor.org/rfc/rfc2782
 */
export async function lookUpSrv(name: string, ask: (query: string) => Promise<Uint8Array>): Promise<SrvRecord[]> {
  return parseSrvAnswer(await ask(encodeBase64Url(srvQuery(name))));
}

/** The query message for the SRV records of a name. Its id is 0, so that answers can be cached. */
export function srvQuery(name: string): Uint8Array {
  const header = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  const labels = name.split(".").flatMap((label) => {
    const bytes = [...new TextEncoder().encode(label)];
    if (bytes.length < 1 || bytes.length > 63) throw new Error("a label of the name is empty or too long");
    return [bytes.length, ...bytes];
  });
  return Uint8Array.from([...header, ...labels, 0, 0, typeSrv, 0, classIn]);
}

/** The SRV records of an answer message. @throws Error when it is none, or says that the resolver failed */
export function parseSrvAnswer(message: Uint8Array): SrvRecord[] {
  if (message.length < headerBytes || message.length > maxMessageBytes) throw new Error("not a DNS message");
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const [flags, questions, answers] = [view.getUint16(2), view.getUint16(4), view.getUint16(6)];
  const code = flags & 15;
  if (flags < 0x8000 || (code !== 0 && code !== nameError)) throw new Error(`the resolver failed with code ${code}`);
  let offset = headerBytes;
  for (let index = 0; index < questions; index += 1) offset = readName(view, offset).end + 4;
  const records: SrvRecord[] = [];
  for (let index = 0; index < Math.min(answers, maxRecords); index += 1) {
    const start = readName(view, offset).end;
    const [type, ttl, length] = [view.getUint16(start), view.getUint32(start + 4), view.getUint16(start + 8)];
    const data = start + 10;
    if (type === typeSrv) records.push(readSrv(view, data, ttl));
    offset = data + length;
  }
  return records;
}

function readSrv(view: DataView, offset: number, ttl: number): SrvRecord {
  return {
    priority: view.getUint16(offset),
    weight: view.getUint16(offset + 2),
    port: view.getUint16(offset + 4),
    host: readName(view, offset + 6).name,
    ttlMs: ttl * 1000,
  };
}

/** Reads a name, which may go on elsewhere in the message. Each jump leads backwards, so there is an end. */
function readName(view: DataView, offset: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = offset;
  let end: number | null = null;
  for (let lowest = offset; ; ) {
    const length = view.getUint8(at);
    if (length === 0) return { name: labels.join("."), end: end ?? at + 1 };
    if (length >= 0xc0) {
      const target = view.getUint16(at) & 0x3fff;
      if (target >= lowest) throw new Error("a name that goes round in a circle");
      end ??= at + 2;
      at = target;
      lowest = target;
    } else {
      if (length > 63) throw new Error("a label of an unknown kind");
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at + 1, length);
      labels.push(new TextDecoder().decode(bytes));
      at += length + 1;
      if (labels.length > 127) throw new Error("a name that is too long");
    }
  }
}

/** @see https://spec.matrix.org/v1.19/server-server-api/#transactions */
import { field, isObject, type JsonObject, maxSignedJsonDepth, objectField } from "../../shared/json.ts";
import { parseSignedJson } from "../../shared/json-text.ts";
import { describeError } from "../../shared/log.ts";
import { canonicalJson } from "../../shared/matrix/canonical-json.ts";
import { maxEventBytes } from "../../shared/matrix/event-format.ts";
import type { OutboundTransaction, PeerRequest } from "../../shared/rpc/egress.ts";
import type { PduText } from "../../shared/rpc/room-peers.ts";
import type { DeliveryOutcome } from "../../shared/rpc/server-peer.ts";
import { readText } from "./bounded-body.ts";
import type { EgressContext } from "./context.ts";
import { startDeadline } from "./deadline.ts";
import { type OpenedAnswer, openOver } from "./request.ts";

const timeoutMs = 60 * 1000;
/** One line for each PDU is what a peer answers. */
const maxAnswerBytes = 256 * 1024;
/** A peer cannot ask for silence longer than this. */
const maxRetryAfterMs = 24 * 60 * 60 * 1000;

/**
 * Sends a transaction and tells the destination's actor how it ended.
 * @see https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid
 */
export async function deliver(egress: EgressContext, transaction: OutboundTransaction): Promise<void> {
  const { destination, txnId, originServerTs: sentTs } = transaction;
  const outcome = await send(egress, transaction).catch((thrown: unknown): DeliveryOutcome => {
    egress.log.error("a transaction could not be sent", { destination, txn_id: txnId, error: describeError(thrown) });
    return { kind: "failed", reason: "an error of our own", retryAfterMs: null, requests: 0 };
  });
  await egress.actors.server(destination).transactionEnded({ txnId, sentTs, outcome });
}

async function send(egress: EgressContext, transaction: OutboundTransaction): Promise<DeliveryOutcome> {
  const request: PeerRequest = {
    destination: transaction.destination,
    method: "PUT",
    path: `/_matrix/federation/v1/send/${encodeURIComponent(transaction.txnId)}`,
    content: transactionText(egress, transaction),
    isSigned: true,
    timeoutMs: Math.min(timeoutMs, egress.maxBackgroundMs ?? timeoutMs),
    maxBytes: maxAnswerBytes,
  };
  const deadline = startDeadline(request.timeoutMs);
  const { opened, requests } = await openOver(egress, request, { route: transaction.route, deadline });
  if (opened.kind === "unreachable") return { kind: "failed", reason: opened.reason, retryAfterMs: null, requests };
  // Whatever the body turns out to be, the status says whether the transaction was taken.
  const text = await readText(opened.body).catch(() => "");
  const answer = parseObject(text);
  if (opened.status === 200) return delivered(egress, transaction, answer);
  const reason = `status ${opened.status} ${String(field(answer, "errcode") ?? "")}`.trim().slice(0, 100);
  if (opened.status === 429 || opened.status >= 500) {
    const inVain = opened.status === 429 ? 0 : Math.max(1, requests);
    return { kind: "failed", reason, retryAfterMs: retryAfter(egress, opened, answer), requests: inVain };
  }
  return { kind: "refused", status: opened.status, reason };
}

function delivered(egress: EgressContext, { destination }: OutboundTransaction, answer: JsonObject): DeliveryOutcome {
  const results = Object.values(objectField(answer, "pdus") ?? {});
  const refused = results.filter((result) => isObject(result) && field(result, "error") !== undefined).length;
  if (refused > 0) egress.log.warn("a server refused some of our events", { destination, refused });
  return { kind: "delivered" };
}

/**
 * The body. The events' text is put in as it is: parsing would change numbers that rooms of versions 1 to 5 allow. What
 * cannot be signed is left out, so that it holds up nothing else.
 */
function transactionText(egress: EgressContext, transaction: OutboundTransaction): string {
  const { destination, txnId, originServerTs } = transaction;
  const pdus = transaction.pdus.map((pdu) => withAge(pdu, originServerTs));
  const edus = transaction.edus.map((edu) => JSON.stringify(edu));
  const text = bodyOf(egress, transaction, { pdus, edus });
  if (canBeSigned(text)) return text;
  const sound = { pdus: pdus.filter(canBeSigned), edus: edus.filter(canBeSigned) };
  const dropped = pdus.length - sound.pdus.length + edus.length - sound.edus.length;
  egress.log.error("left out of a transaction what cannot be sent", { destination, txn_id: txnId, dropped });
  return bodyOf(egress, transaction, sound);
}

function bodyOf(
  egress: EgressContext,
  { originServerTs }: OutboundTransaction,
  { pdus, edus }: { pdus: readonly string[]; edus: readonly string[] },
): string {
  const origin = JSON.stringify(egress.config.serverName);
  return `{"origin":${origin},"origin_server_ts":${originServerTs},"pdus":[${pdus.join(",")}],"edus":[${edus.join(",")}]}`;
}

/** `,"unsigned":{"age":…}`, with room for any age. */
const ageBytes = 48;

/**
 * The event with how old it was when the transaction was made. Each server is to work that out for its clients, but Synapse
 * tells its clients only what the sender said: without it, theirs take a call of an hour ago for one that rings. Nobody
 * signs it.
 */
function withAge(pdu: PduText, nowMs: number): PduText {
  const sentTs = field(parseObject(pdu), "origin_server_ts");
  // What is as large as an event may be has no room for more.
  const hasRoom = pdu.length * 3 + ageBytes <= maxEventBytes || Buffer.byteLength(pdu) + ageBytes <= maxEventBytes;
  if (typeof sentTs !== "number" || !Number.isSafeInteger(nowMs - sentTs) || !hasRoom) return pdu;
  return `${pdu.slice(0, -1)},"unsigned":{"age":${Math.max(0, nowMs - sentTs)}}}`;
}

function canBeSigned(text: string): boolean {
  try {
    canonicalJson(parseSignedJson(text), [], "lenient", maxSignedJsonDepth);
    return true;
  } catch {
    return false;
  }
}

function parseObject(text: string): JsonObject {
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

/** How long a peer asks to be left alone, by the header or, of older servers, the body. */
function retryAfter(egress: EgressContext, opened: OpenedAnswer, answer: JsonObject): number | null {
  const header = opened.kind === "answered" ? opened.headers.get("Retry-After") : null;
  const inBody = field(answer, "retry_after_ms");
  const asked = parseRetryAfter(header, egress.clock.now()) ?? (typeof inBody === "number" ? inBody : null);
  return asked === null ? null : Math.min(Math.max(0, asked), maxRetryAfterMs);
}

/** @see https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function parseRetryAfter(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^[0-9]{1,9}$/.test(header)) return Number(header) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : at - now;
}

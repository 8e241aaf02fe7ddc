import { type Answer, Page, StreamedJson } from "../../shared/endpoint.ts";
import { errors, MatrixError } from "../../shared/errors.ts";
import { field, type JsonObject, type JsonValue } from "../../shared/json.ts";
import { UiaChallenge } from "./uia.ts";

/**
 * Sent with every answer, refusals included: a browser shows a client nothing without them.
 * @see https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients
 */
const corsHeaders = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
  "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization",
  "Access-Control-Expose-Headers": "Retry-After",
} as const;

const jsonHeaders = { ...corsHeaders, "Content-Type": "application/json", "Cache-Control": "no-store" } as const;

/** How long a browser may keep the answer to a preflight. */
const preflightSeconds = 86_400;

/** An endpoint's answer as a response. */
export function respond(answer: Answer): Response {
  if (answer instanceof Page) {
    const headers = { ...corsHeaders, "Content-Type": answer.contentType, ...answer.headers };
    return new Response(answer.text, { status: 200, headers });
  }
  if (answer instanceof StreamedJson) {
    return new Response(streamOf(answer.parts), { status: 200, headers: jsonHeaders });
  }
  return json(200, answer, {});
}

/** Text as bytes, a part at a time: the next is asked for when the one before is on its way. */
function streamOf(parts: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const next = await iterator.next();
      if (next.done === true) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
    cancel: async () => {
      await iterator.return?.();
    },
  });
}

/** The answer to `OPTIONS`, for any path; no endpoint's logic is run. */
export function respondToPreflight(): Response {
  return new Response(null, {
    status: 204,
    headers: { ...corsHeaders, "Access-Control-Max-Age": String(preflightSeconds) },
  });
}

/** What was thrown as a response. Whatever is not a refusal is a bug, and tells the client nothing of itself. */
export function respondToError(thrown: unknown): Response {
  if (thrown instanceof UiaChallenge) return json(401, thrown.body, {});
  const error = isRefusal(thrown) ? thrown : unexpected(thrown);
  const body = { ...error.extra, errcode: error.errcode, error: error.message };
  return json(error.status, body, error.status === 429 ? retryAfter(error.extra) : {});
}

/** Names the methods that a path has, as HTTP asks of status 405. */
export function respondMethodNotAllowed(methods: readonly string[]): Response {
  const response = respondToError(errors.methodNotAllowed("This endpoint does not have this method"));
  response.headers.set("Allow", [...methods, "OPTIONS"].join(", "));
  return response;
}

/** Whether the thrown value is an answer meant for the client. */
export function isRefusal(thrown: unknown): thrown is MatrixError {
  return thrown instanceof MatrixError;
}

/** How long a client should wait for an actor that has too much to do. */
const overloadRetryMs = 1000;

function unexpected(thrown: unknown): MatrixError {
  if (isOverload(thrown)) return errors.limitExceeded(overloadRetryMs);
  return errors.internal("Internal server error");
}

/** Whether the platform says that an actor's queue is full. */
export function isOverload(thrown: unknown): boolean {
  return thrown instanceof Error && "overloaded" in thrown && thrown.overloaded === true;
}

function retryAfter(extra: JsonObject): Record<string, string> {
  const milliseconds = field(extra, "retry_after_ms");
  return typeof milliseconds === "number" ? { "Retry-After": String(Math.max(1, Math.ceil(milliseconds / 1000))) } : {};
}

function json(status: number, body: JsonValue, headers: Record<string, string>): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...jsonHeaders, ...headers },
  });
}

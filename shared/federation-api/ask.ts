/** Asking another server, and checking what it answers. */
import * as v from "valibot";
import { MatrixError } from "../errors.ts";
import type { JsonValue } from "../json.ts";
import { parseSignedJson } from "../json-text.ts";
import type { EgressRpc, PeerRequest } from "../rpc/egress.ts";
import type { Client } from "../rpc/reply.ts";
import type { Schema } from "../validate.ts";

/** What another server answered, checked; or why there is nothing. `status` is null where no answer could be understood. */
export type Asked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: number | null; readonly reason: string };

/**
 * Makes a signed request. Whatever the other server does, this only says so.
 * @param request `path` percent-encoded, with its query
 * @param parse `parseJson` for what is handed on to clients: numbers need not be kept as they were written.
 */
export async function askPeer<T>(
  egress: Client<Pick<EgressRpc, "request">>,
  request: Omit<PeerRequest, "isSigned">,
  schema: Schema<T>,
  parse: (text: string) => JsonValue = parseSignedJson,
): Promise<Asked<T>> {
  const answer = await egress.request({ ...request, isSigned: true });
  if (answer.kind === "unreachable") return { ok: false, status: null, reason: answer.reason };
  if (answer.status !== 200) return { ok: false, status: answer.status, reason: `it answered ${answer.status}` };
  const parsed = v.safeParse(schema, parseAnswer(answer.text, parse), { abortEarly: true });
  return parsed.success
    ? { ok: true, value: parsed.output }
    : { ok: false, status: null, reason: "its answer is not what the specification says" };
}

/** Undefined for what is not JSON. */
function parseAnswer(text: string, parse: (text: string) => JsonValue): JsonValue | undefined {
  try {
    return parse(text);
  } catch (thrown) {
    if (thrown instanceof MatrixError) return undefined;
    throw thrown;
  }
}

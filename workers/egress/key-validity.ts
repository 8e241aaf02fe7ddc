/** @see https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-20 */

import { MatrixError } from "../../shared/errors.ts";
import { field, isObject } from "../../shared/json.ts";
import { parseJson } from "../../shared/json-text.ts";
import { boundedBody, readText } from "./bounded-body.ts";
import type { EgressContext } from "./context.ts";
import { startDeadline } from "./deadline.ts";
import { exchangeWith, Unreachable } from "./exchange.ts";
import { userAgent } from "./user-agent.ts";
import { targetOf } from "./well-known.ts";

const timeoutMs = 10_000;
const maxBytes = 4_096;
const maxUrlLength = 2_000;

/**
 * Asks an identity server whether a key is still good, "using the provided URL rather than constructing a new one". The
 * address is somebody's claim in a room: over HTTPS only, under the address policy, and no redirect is followed.
 *
 * @returns null where it is no such address, nobody answers, or says something else.
 * @see https://spec.matrix.org/v1.19/identity-service-api/#get_matrixidentityv2pubkeyisvalid
 */
export async function isKeyValid(
  egress: EgressContext,
  input: { url: string; publicKey: string },
): Promise<boolean | null> {
  const url = input.url.length <= maxUrlLength && URL.canParse(input.url) ? new URL(input.url) : null;
  if (url === null || url.protocol !== "https:" || url.username !== "" || url.password !== "") return null;
  url.searchParams.set("public_key", input.publicKey);
  const deadline = startDeadline(timeoutMs);
  try {
    const headers = { Accept: "application/json", "User-Agent": userAgent };
    const request = { method: "GET", path: `${url.pathname}${url.search}`, headers, body: null } as const;
    const answered = await exchangeWith(egress, targetOf(url), { ...request, signal: deadline.signal });
    const body = boundedBody(answered.body, { maxBytes, signal: deadline.signal, onEnd: () => undefined });
    if (answered.status === 200) return validIn(await readText(body).catch(() => ""));
    await body.cancel();
    return null;
  } catch (thrown) {
    if (thrown instanceof Unreachable) return null;
    throw thrown;
  } finally {
    deadline.stop();
  }
}

/** "a JSON object containing a boolean property named `valid`" */
function validIn(text: string): boolean | null {
  try {
    const answer = parseJson(text);
    const valid = isObject(answer) ? field(answer, "valid") : null;
    return typeof valid === "boolean" ? valid : null;
  } catch (thrown) {
    if (thrown instanceof MatrixError) return null;
    throw thrown;
  }
}

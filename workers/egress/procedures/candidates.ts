/** Asking several servers in turn, until one can help. */
import { errors, MatrixError } from "../../../shared/errors.ts";
import { parseAnswer } from "../../../shared/federation-api/handshakes.ts";
import { mayTalkTo } from "../../../shared/federation-api/peers.ts";
import type { ServerName } from "../../../shared/ids.ts";
import { isObject, stringField, withFields } from "../../../shared/json.ts";
import type { PeerAnswer } from "../../../shared/rpc/egress.ts";
import type { EgressContext } from "../context.ts";

/** Servers that are asked for one thing, at most. */
const maxServers = 10;
/** Characters of another server's explanation that are passed on. */
const maxReasonLength = 500;

/** One server could not help; another may. */
export class NextServer extends Error {
  /** What there is to say where no other could help either. */
  readonly refusal: MatrixError | null;

  constructor(reason: string, refusal: MatrixError | null = null) {
    super(reason);
    this.refusal = refusal;
  }
}

/** What a server says of the room that another may see otherwise. */
const commonFailover: ReadonlySet<string> = new Set(["M_NOT_FOUND"]);

/**
 * Tries servers in turn. What one of them says about the room itself is the answer, whatever the others would say.
 *
 * @param attempt throws {@link NextServer} where another server may do better.
 * @throws MatrixError of the first server that refuses; M_NOT_FOUND when there is no server to ask; M_UNKNOWN (502) when
 *   none could help, unless one of them gives a refusal for that
 */
export async function inTurn<T>(
  egress: EgressContext,
  what: { readonly action: string; readonly servers: readonly ServerName[] },
  attempt: (server: ServerName) => Promise<T>,
): Promise<T> {
  const servers = [...new Set(what.servers)].filter((server) => mayTalkTo(egress.config, server)).slice(0, maxServers);
  if (servers.length === 0) throw errors.notFound("No server is known that is in the room");
  let refusal: MatrixError | null = null;
  for (const server of servers) {
    try {
      return await attempt(server);
    } catch (thrown) {
      if (!(thrown instanceof NextServer)) throw thrown;
      refusal ??= thrown.refusal;
      egress.log.info("server could not help", { server, action: what.action, reason: thrown.message });
    }
  }
  throw refusal ?? errors.badGateway(`No server could be had to ${what.action}`);
}

/**
 * The body of a server's answer.
 *
 * @param failover errcodes with which a server sends us to another one.
 * @throws NextServer when it did not answer, or could not; MatrixError for its refusal
 */
export function answerText(answer: PeerAnswer, failover: ReadonlySet<string> = commonFailover): string {
  if (answer.kind === "unreachable") throw new NextServer(answer.reason);
  if (answer.status === 200) return answer.text;
  throw refusalOf(answer.status, answer.text, failover);
}

/** A server's refusal: of the request, to be passed on to who asked; or only of this server. */
export function refusalOf(
  status: number,
  text: string,
  failover: ReadonlySet<string> = commonFailover,
): NextServer | MatrixError {
  const parsed = parseAnswer(text);
  const body = parsed !== undefined && isObject(parsed) ? parsed : {};
  const errcode = stringField(body, "errcode") ?? "";
  const isOfRoom = status >= 400 && status < 500 && status !== 401 && status !== 429;
  if (!isOfRoom || !/^[A-Z][A-Z0-9_.]{1,63}$/.test(errcode) || errcode === "M_UNRECOGNIZED" || failover.has(errcode)) {
    return new NextServer(`it answered ${status} ${errcode}`.trim());
  }
  const reason = (stringField(body, "error") ?? "").slice(0, maxReasonLength).toWellFormed();
  // "the Client-Server API request SHOULD fail with a 5xx error rather than being passed through"
  if (errcode === "M_MISSING_PARAM" || errcode === "M_INVALID_PARAM") {
    return errors.badGateway(`The other server refused the request: ${reason}`);
  }
  const extra = withFields({}, { room_version: stringField(body, "room_version") ?? undefined });
  return new MatrixError(status, errcode, reason, extra);
}

/** Whether a server does not know an endpoint, so that an older version of it may be tried. */
export function isUnknownEndpoint(status: number, text: string): boolean {
  if (status !== 404 && status !== 405) return false;
  const parsed = parseAnswer(text);
  const errcode = parsed !== undefined && isObject(parsed) ? stringField(parsed, "errcode") : null;
  return errcode === null || errcode === "M_UNRECOGNIZED";
}

/**
 * Sessions of user-interactive authentication. What proves a stage is the gateway's business; here is kept what has been
 * proven, for which request.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
 */
import { encodeBase64Url } from "../../shared/base64.ts";
import { errors } from "../../shared/errors.ts";
import { type JsonObject, withFields } from "../../shared/json.ts";
import type { UiaStageProof } from "../../shared/rpc/server.ts";
import type { ServerContext } from "./context.ts";
import type { ServerReader } from "./store/index.ts";
import type { UiaSession } from "./store/uia.ts";

export const uiaLifetimeMs = 15 * 60 * 1000;
/** Sessions at the same time, at most: anybody can begin one. */
export const maxUiaSessions = 10_000;

const sessionBytes = 18;
/** Expired sessions that each new one clears away. */
const droppedOnStart = 8;

/** Begins a session that is good for `binding` only. */
export function startUia(server: ServerContext, binding: string): { session: string } {
  const session = encodeBase64Url(server.random.bytes(sessionBytes));
  const now = server.clock.now();
  server.store.transaction((tx) => {
    tx.uia.dropBefore(now - uiaLifetimeMs, droppedOnStart);
    tx.uia.insert({ session, binding, createdTs: now }, maxUiaSessions);
  });
  return { session };
}

/**
 * Records a proven stage; one that is recorded already stays so. A null binding is not compared: see {@link UiaStageProof}.
 * @throws MatrixError M_UNKNOWN for a session that is unknown, expired, or was begun for something else
 */
export function completeUiaStage(server: ServerContext, input: UiaStageProof): { completed: string[] } {
  return server.store.transaction((tx) => {
    const session = getSession(server, tx, input.session);
    if (input.binding !== null && session.binding !== input.binding) throw unknownSession();
    if (session.completed.includes(input.stage)) return { completed: session.completed };
    const completed = [...session.completed, input.stage];
    tx.uia.setCompleted(input.session, completed);
    return { completed };
  });
}

/** @throws MatrixError M_UNKNOWN for a session that is unknown or expired */
export function getUia(server: ServerContext, session: string): { completed: string[]; params: JsonObject } {
  const { completed, params } = getSession(server, server.store, session);
  return { completed, params };
}

/** Keeps what a stage brought along. @throws MatrixError M_UNKNOWN for a session that is unknown or expired */
export function setUiaParam(server: ServerContext, session: string, name: string, value: string): void {
  server.store.transaction((tx) => {
    const { params } = getSession(server, tx, session);
    tx.uia.setParams(session, withFields(params, { [name]: value }));
  });
}

function getSession(server: ServerContext, store: ServerReader, session: string): UiaSession {
  const found = store.uia.find(session);
  if (found === null || server.clock.now() - found.createdTs > uiaLifetimeMs) throw unknownSession();
  return found;
}

const unknownSession = () => errors.unknown("Unknown or expired authentication session");

import { createHash } from "node:crypto";
import { encodeBase64 } from "../../shared/base64.ts";
import type { Services } from "../../shared/endpoint.ts";
import { errors, MatrixError } from "../../shared/errors.ts";
import type { UserId } from "../../shared/ids.ts";
import { type JsonObject, type JsonValue, objectField, stringField } from "../../shared/json.ts";
import { passwordLoginUser } from "./login-identifier.ts";

/** A stage of user-interactive authentication that this server knows. */
export type UiaStage = "m.login.password" | "m.login.dummy" | "m.login.registration_token";

/** The 401 that asks a client for the next stage. @see https://spec.matrix.org/v1.19/client-server-api/#user-interactive-api-in-the-rest-api */
export class UiaChallenge extends Error {
  readonly body: JsonObject;

  constructor(body: JsonObject) {
    super("user-interactive authentication is needed");
    this.name = "UiaChallenge";
    this.body = body;
  }
}

/** What is asked, by whom, and what would prove it. */
export interface UiaRequest {
  /** The `auth` of the request's body. */
  readonly auth: JsonObject | null;
  /** Ways to prove it, each a list of stages in their order. */
  readonly flows: readonly (readonly UiaStage[])[];
  /**
   * What the session is bound to: the operation, the requester and what the request would do. A session never proves
   * anything else.
   */
  readonly bound: readonly JsonValue[];
  /** Whose password proves it; null where there is no account yet. */
  readonly userId: UserId | null;
}

/** What the proven stages brought along. */
export interface UiaOutcome {
  readonly registrationToken: string | null;
}

/** What a client has shown so far, as every challenge repeats it. */
interface Progress {
  readonly session: string;
  readonly completed: readonly string[];
}

/**
 * Lets the request pass once a flow is complete.
 *
 * @throws UiaChallenge while stages are missing or one failed
 * @throws MatrixError M_UNKNOWN for a session that is unknown, over, or bound to something else; M_LIMIT_EXCEEDED
 * @see https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
 */
export async function requireUia(services: Services, request: UiaRequest): Promise<UiaOutcome> {
  const server = services.actors.server(services.config.serverName);
  const binding = encodeBase64(createHash("sha256").update(JSON.stringify(request.bound)).digest());
  const stage = stringField(request.auth ?? {}, "type");
  const given = stringField(request.auth ?? {}, "session");
  // A first request names no session; some clients know the flows and prove a stage at once.
  const session = given ?? (await server.startUia(binding)).session;
  if (given === null && stage === null) throw challenge(request, { session, completed: [] });
  const { completed } = given === null ? { completed: [] } : await server.getUia(session);
  if (stage !== null) await proveStage(services, request, { session, completed });
  // The first stage that is done, done once more, checks what the session is bound to where no stage was sent.
  const done = stage ?? completed[0];
  if (done === undefined) throw challenge(request, { session, completed });
  const progress = { session, ...(await server.completeUiaStage({ session, binding, stage: done })) };
  const isComplete = request.flows.some((flow) => flow.every((needed) => progress.completed.includes(needed)));
  if (!isComplete) throw challenge(request, progress);
  const { params } = await server.getUia(session);
  return { registrationToken: stringField(params, "registration_token") };
}

/** Proves one stage. @throws UiaChallenge with the errcode when the client may try again. */
async function proveStage(services: Services, request: UiaRequest, progress: Progress): Promise<void> {
  const auth = request.auth ?? {};
  const stage = stringField(auth, "type") ?? "";
  const flow = request.flows.find((stages) => isNext(stages, stage, progress.completed));
  if (flow === undefined) {
    throw challenge(request, progress, errors.unrecognized(`${stage} is not a stage that can be proven now`));
  }
  if (stage === "m.login.password") assertRequesterIsNamed(services, request, auth);
  try {
    await stages[stage]?.(services, request, auth, progress.session);
  } catch (thrown) {
    // Too many tries is not a failed try: the client is told when to come back.
    if (!(thrown instanceof MatrixError) || thrown.status === 429 || thrown.status >= 500) throw thrown;
    throw challenge(request, progress, thrown);
  }
}

/**
 * Nobody acts for somebody else by knowing that one's password: trying again would not help.
 * @throws MatrixError M_FORBIDDEN
 */
function assertRequesterIsNamed({ config }: Services, { userId }: UiaRequest, auth: JsonObject): void {
  const named = passwordLoginUser(auth, config.serverName);
  // Without an identifier, the requester is who is meant: their token says so.
  if (named === userId || (named === null && objectField(auth, "identifier") === null)) return;
  throw errors.forbidden("The password is not asked of that user");
}

/** Whether a flow has this stage and everything before it is done. A stage that is done may be repeated. */
function isNext(flow: readonly string[], stage: string, completed: readonly string[]): boolean {
  const position = flow.indexOf(stage);
  return position !== -1 && flow.slice(0, position).every((earlier) => completed.includes(earlier));
}

type StageProof = (services: Services, request: UiaRequest, auth: JsonObject, session: string) => Promise<void>;

const stages: Readonly<Record<string, StageProof>> = {
  "m.login.dummy": async () => undefined,
  "m.login.password": async (services, request, auth) => {
    const password = stringField(auth, "password");
    if (password === null) throw errors.missingParam("auth.password: missing");
    if (request.userId === null) throw errors.forbidden("Invalid username or password");
    await services.actors.user(request.userId).checkPassword(password);
  },
  "m.login.registration_token": async (services, _request, auth, session) => {
    const token = stringField(auth, "token");
    if (token === null) throw errors.missingParam("auth.token: missing");
    await proveRegistrationToken(services, token, session);
  },
};

/**
 * Checks a registration token and keeps it in the session, for the registration to use up.
 * @throws MatrixError M_UNAUTHORIZED, M_LIMIT_EXCEEDED
 */
export async function proveRegistrationToken(
  { actors, config, clientAddress }: Services,
  token: string,
  session: string,
): Promise<void> {
  const server = actors.server(config.serverName);
  if (clientAddress !== null) await server.limitAddress("rc_registration_token_validity", clientAddress);
  if (!(await server.isRegistrationTokenValid(token))) throw errors.unauthorized("Invalid registration token");
  await server.setUiaParam(session, "registration_token", token);
}

function challenge(request: UiaRequest, progress: Progress, failure?: MatrixError): UiaChallenge {
  const body: JsonObject = {
    flows: request.flows.map((flow) => ({ stages: [...flow] })),
    params: {},
    session: progress.session,
  };
  if (progress.completed.length > 0) body.completed = [...progress.completed];
  if (failure !== undefined) {
    body.errcode = failure.errcode;
    body.error = failure.message;
  }
  return new UiaChallenge(body);
}

import type { JsonObject } from "../../../shared/json.ts";
import type { SessionTokens } from "../../../shared/rpc/user.ts";

/** A new session as login and registration answer it. */
export function sessionAnswer(session: SessionTokens): JsonObject {
  return { user_id: session.userId, device_id: session.deviceId, ...tokensAnswer(session) };
}

/** The tokens alone, as `POST /refresh` answers them. */
export function tokensAnswer(session: SessionTokens): JsonObject {
  const answer: JsonObject = { access_token: session.accessToken };
  if (session.refreshToken !== null) answer.refresh_token = session.refreshToken;
  if (session.expiresInMs !== null) answer.expires_in_ms = session.expiresInMs;
  return answer;
}

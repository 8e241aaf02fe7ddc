import { endpoint, type Services } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import type { UserId } from "../../../shared/ids.ts";
import { field, isObject, type JsonObject, objectField } from "../../../shared/json.ts";

const rulePath = "/_matrix/client/v3/pushrules/global/:kind/:ruleId";
const ruleAliases = ["/_matrix/client/r0/pushrules/global/:kind/:ruleId"];

/** The user's rules, or the default ones: they are the account data `m.push_rules`. */
async function globalRules({ actors }: Services, userId: UserId): Promise<JsonObject> {
  return objectField(await actors.user(userId).getAccountData(null, "m.push_rules"), "global") ?? {};
}

/** @throws MatrixError M_NOT_FOUND */
async function findRule(services: Services, userId: UserId, { kind, ruleId }: { kind: string; ruleId: string }) {
  const rules = field(await globalRules(services, userId), kind);
  const found = Array.isArray(rules)
    ? rules.filter(isObject).find((rule) => field(rule, "rule_id") === ruleId)
    : undefined;
  if (found === undefined) throw errors.notFound("No such push rule");
  return found;
}

/** `GET /_matrix/client/v3/pushrules/` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules */
export const getPushRules = endpoint(
  {
    operationId: "getPushRules",
    method: "GET",
    path: "/_matrix/client/v3/pushrules/",
    aliases: ["/_matrix/client/r0/pushrules/"],
    auth: "accessToken",
  },
  async (context) => ({ global: await globalRules(context, context.auth.userId) }),
);

/** `GET /_matrix/client/v3/pushrules/global/` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal */
export const getPushRulesGlobal = endpoint(
  {
    operationId: "getPushRulesGlobal",
    method: "GET",
    path: "/_matrix/client/v3/pushrules/global/",
    aliases: ["/_matrix/client/r0/pushrules/global/"],
    auth: "accessToken",
  },
  (context) => globalRules(context, context.auth.userId),
);

/** `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid */
export const getPushRule = endpoint(
  { operationId: "getPushRule", method: "GET", path: rulePath, aliases: ruleAliases, auth: "accessToken" },
  (context) => findRule(context, context.auth.userId, context.params),
);

/** `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidenabled */
export const isPushRuleEnabled = endpoint(
  {
    operationId: "isPushRuleEnabled",
    method: "GET",
    path: `${rulePath}/enabled`,
    aliases: ruleAliases.map((alias) => `${alias}/enabled`),
    auth: "accessToken",
  },
  async (context) => {
    const rule = await findRule(context, context.auth.userId, context.params);
    return { enabled: field(rule, "enabled") === true };
  },
);

/** `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleidactions */
export const getPushRuleActions = endpoint(
  {
    operationId: "getPushRuleActions",
    method: "GET",
    path: `${rulePath}/actions`,
    aliases: ruleAliases.map((alias) => `${alias}/actions`),
    auth: "accessToken",
  },
  async (context) => {
    const rule = await findRule(context, context.auth.userId, context.params);
    return { actions: field(rule, "actions") ?? [] };
  },
);

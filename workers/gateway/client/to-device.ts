import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import { parseUserId } from "../../../shared/ids.ts";
import { define, isObject, type JsonObject } from "../../../shared/json.ts";
import { anyObject } from "../../../shared/validate.ts";

/** `PUT /_matrix/client/v3/sendToDevice/{eventType}/{txnId}` — https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid */
export const sendToDevice = endpoint(
  {
    operationId: "sendToDevice",
    method: "PUT",
    path: "/_matrix/client/v3/sendToDevice/:eventType/:txnId",
    aliases: ["/_matrix/client/r0/sendToDevice/:eventType/:txnId"],
    auth: "accessToken",
    body: v.object({ messages: anyObject }),
  },
  async ({ params, auth, body, actors }) => {
    await actors.user(auth.userId).sendToDevice({
      deviceId: auth.deviceId,
      txnId: params.txnId,
      type: params.eventType,
      messages: messagesOf(body.messages),
    });
    return {};
  },
);

/** user id → device id or `*` → content, checked; the keys are a client's, so each is defined and none assigned. */
function messagesOf(object: JsonObject): Record<string, Record<string, JsonObject>> {
  return Object.fromEntries(
    Object.entries(object).map(([userId, devices]) => {
      if (parseUserId(userId) === null) throw errors.invalidParam("body.messages: a key is not a user id");
      if (!isObject(devices)) throw errors.badJson("body.messages: expected an object of devices for each user");
      return [userId, contentsOf(devices)];
    }),
  );
}

function contentsOf(devices: JsonObject): Record<string, JsonObject> {
  const contents: Record<string, JsonObject> = {};
  for (const [deviceId, content] of Object.entries(devices)) {
    if (!isObject(content)) throw errors.badJson("body.messages: expected an object as each message");
    define(contents, deviceId, content);
  }
  return contents;
}

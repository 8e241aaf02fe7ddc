import * as v from "valibot";
import { endpoint } from "../../../shared/endpoint.ts";
import { errors, MatrixError } from "../../../shared/errors.ts";
import { textsOf } from "../../../shared/federation-api/pdu-lists.ts";
import { isObject, type JsonObject, type JsonValue } from "../../../shared/json.ts";
import { parseJson } from "../../../shared/json-text.ts";

/** "they can have at most 50 PDUs and 100 EDUs" */
const maxPdus = 50;
const maxEdus = 100;
/** What a transaction can have at most, with room for what is not part of the events' size. */
const maxBytes = 200 * 65_536;

const list: v.GenericSchema<unknown, JsonValue[]> = v.custom<JsonValue[]>(Array.isArray);

/** `PUT /_matrix/federation/v1/send/{txnId}` — https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid */
export const sendTransaction = endpoint(
  {
    operationId: "sendTransaction",
    method: "PUT",
    path: "/_matrix/federation/v1/send/:txnId",
    auth: "serverSignature",
    body: v.object({ pdus: v.optional(list, []), edus: v.optional(list, []) }),
    maxBodyBytes: maxBytes,
  },
  async ({ params, auth, body, actors }) => {
    if (body.pdus.length > maxPdus) throw errors.badJson(`A transaction has at most ${maxPdus} PDUs`);
    if (body.edus.length > maxEdus) throw errors.badJson(`A transaction has at most ${maxEdus} EDUs`);
    const transaction = { txnId: params.txnId, pdus: textsOf(body.pdus), edus: body.edus.flatMap(plainEdu) };
    return await actors.server(auth.origin).receiveTransaction(transaction);
  },
);

/** An EDU without numbers that were kept as they were written, or nested too deeply; none where it is no such thing. */
function plainEdu(value: JsonValue): JsonObject[] {
  try {
    const edu = parseJson(JSON.stringify(value));
    return isObject(edu) ? [edu] : [];
  } catch (thrown) {
    if (thrown instanceof MatrixError) return [];
    throw thrown;
  }
}

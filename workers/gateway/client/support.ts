import { endpoint, type SupportContact } from "../../../shared/endpoint.ts";
import { errors } from "../../../shared/errors.ts";
import type { JsonObject } from "../../../shared/json.ts";

/** `GET /.well-known/matrix/support` — https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixsupport */
export const getWellknownSupport = endpoint(
  { operationId: "getWellknownSupport", method: "GET", path: "/.well-known/matrix/support", auth: "none" },
  ({ support }) => supportOf(support),
);

function supportOf({ contact, page }: SupportContact): JsonObject {
  if (contact === null && page === null) throw errors.notFound("The operator of this server has named no contact");
  const answer: JsonObject = {};
  if (contact !== null) {
    const way: JsonObject = contact.startsWith("@") ? { matrix_id: contact } : { email_address: contact };
    answer.contacts = [{ ...way, role: "m.role.admin" }];
  }
  if (page !== null) answer.support_page = page;
  return answer;
}

import { describe, it } from "vitest";
import { text } from "../../support/client.ts";
import { expectError, expectOk, path, useHomeserver } from "../homeserver.ts";

const server = useHomeserver();

describe("filters", () => {
  it("are stored and read back", async () => {
    const alice = await server.user("alice");
    const filter = { room: { timeline: { limit: 5, types: ["m.room.*"] } }, event_fields: ["content.body"] };
    const filterId = text(await alice.post(path`v3/user/${alice.userId}/filter`, filter), "filter_id");
    expectOk(await alice.get(path`v3/user/${alice.userId}/filter/${filterId}`), filter);
    expectOk(await alice.get(`v3/sync?filter=${filterId}`));
  });

  it("are one's own, and unknown ones are not found", async () => {
    const bob = await server.user("bob");
    const carol = await server.user("carol");
    const filterId = text(await bob.post(path`v3/user/${bob.userId}/filter`, {}), "filter_id");
    expectError(await carol.get(path`v3/user/${bob.userId}/filter/${filterId}`), 403, "M_FORBIDDEN");
    expectError(await carol.post(path`v3/user/${bob.userId}/filter`, {}), 403, "M_FORBIDDEN");
    for (const unknown of ["999", "nonsense", "-1", "{}"]) {
      expectError(await bob.get(path`v3/user/${bob.userId}/filter/${unknown}`), 404, "M_NOT_FOUND");
    }
  });

  it("have at most 64 KiB", async () => {
    const dora = await server.user("dora");
    const of = (bytes: number) => ({ raw: `{"a":"${"x".repeat(bytes - 8)}"}` });
    const at = path`v3/user/${dora.userId}/filter`;
    expectOk(await dora.request("POST", at, of(65_535)));
    expectOk(await dora.request("POST", at, of(65_536)));
    expectError(await dora.request("POST", at, of(65_537)), 413, "M_TOO_LARGE");
  });
});

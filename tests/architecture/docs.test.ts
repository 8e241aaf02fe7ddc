import { describe, expect, it } from "vitest";
import { endpointDocs, functionDocs } from "./rules.ts";
import { readSources } from "./sources.ts";

const project = readSources(["workers", "actors", "shared", "schema"]);
const file = (text: string, path = "workers/gateway/client/whoami.ts") => [{ path, text }];

describe("the project", () => {
  it("links the spec at every endpoint", () => expect(endpointDocs(project)).toEqual([]));
  it("says what every exported function does", () => expect(functionDocs(project)).toEqual([]));
});

describe("endpointDocs", () => {
  const definition = 'export const getWhoami = endpoint({ operationId: "getWhoami" }, answer);';
  const link = "https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami";

  it("refuses an endpoint without a docstring, without a link, or with a link to another version", () => {
    const old = link.replace("v1.19", "v1.18");
    for (const docs of ["", "/** Who am I? */\n", `/** Who? ${old} */\n`, `// ${link}\n`]) {
      expect(endpointDocs(file(docs + definition))).toHaveLength(1);
    }
  });

  it("does not take the docstring of something else for the endpoint's", () => {
    expect(endpointDocs(file(`/** A limit. ${link} */\nconst limit = 1;\n${definition}`))).toHaveLength(1);
  });

  it("takes a docstring with the link, on one line or on several", () => {
    expect(endpointDocs(file(`/** Who am I? ${link} */\n${definition}`))).toEqual([]);
    expect(endpointDocs(file(`/**\n * Who am I?\n * @see ${link}\n */\n${definition}`))).toEqual([]);
  });

  it("asks unstable endpoints for their proposal", () => {
    const path = "workers/gateway/client/unstable/msc4186-sliding-sync.ts";
    const proposal = "https://github.com/matrix-org/matrix-spec-proposals/pull/4186";
    expect(endpointDocs(file(`/** Sliding sync. ${proposal} */\n${definition}`, path))).toEqual([]);
    expect(endpointDocs(file(`/** Sliding sync. ${link} */\n${definition}`, path))).toHaveLength(1);
  });
});

describe("functionDocs", () => {
  it("refuses an exported function without a docstring", () => {
    expect(functionDocs(file("export function a(): void {}"))).toHaveLength(1);
    expect(functionDocs(file("/** A. */\nexport function a() {}\nexport async function b() {}"))).toHaveLength(1);
  });

  it("leaves functions of a file's own alone", () => {
    expect(functionDocs(file("function a(): void {}\n/** B. */\nexport function b(): void {}"))).toEqual([]);
  });
});

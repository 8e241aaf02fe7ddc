/** What this server calls itself; the version is package.json's, which a test holds it to. */
export const serverSoftware = { name: "Tessera", version: "0.1.0" } as const;

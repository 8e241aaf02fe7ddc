import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { ConfigError } from "../../shared/env.ts";
import { isObject, type JsonObject } from "../../shared/json.ts";

const namespace = v.object({
  exclusive: v.boolean(),
  regex: v.pipe(v.string(), v.check(isRegex, "not a regular expression")),
});
const namespaceList = v.optional(v.nullable(v.array(namespace)));
const secret = v.pipe(v.string(), v.minLength(1, "must not be empty"));

/** @see https://spec.matrix.org/v1.19/application-service-api/#registration */
const registration = v.looseObject({
  id: secret,
  url: v.nullable(v.pipe(v.string(), v.check(isHttpUrl, "must be an http or https URL, or null"))),
  as_token: secret,
  hs_token: secret,
  sender_localpart: v.pipe(v.string(), v.regex(/^[a-z0-9._=/+-]+$/, "must be a localpart")),
  namespaces: v.looseObject({ users: namespaceList, rooms: namespaceList, aliases: namespaceList }),
  rate_limited: v.optional(v.boolean()),
  receive_ephemeral: v.optional(v.boolean()),
  protocols: v.optional(v.nullable(v.array(v.string()))),
});

/** What must be one application service's own. */
const uniqueFields = ["id", "as_token", "sender_localpart"] as const;

/**
 * Reads the registrations of all application services: each `*.yaml` or `*.yml` file of a folder, in the order of their
 * names. Fields beyond the spec's are kept.
 *
 * @throws ConfigError APPSERVICE_DIR, naming the file and the field, never a token.
 * @see https://spec.matrix.org/v1.19/application-service-api/#registration
 */
export function readRegistrations(folder: string): readonly JsonObject[] {
  const files = listFolder(folder).filter((name) => /\.ya?ml$/i.test(name));
  const registrations = files.map((file) => ({ file, content: readRegistration(folder, file) }));
  for (const name of uniqueFields) {
    const owners = new Map<unknown, string>();
    for (const { file, content } of registrations) {
      const other = owners.get(content[name]);
      if (other !== undefined) throw new ConfigError("APPSERVICE_DIR", `${other} and ${file} have the same ${name}`);
      owners.set(content[name], file);
    }
  }
  return registrations.map(({ content }) => content);
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    throw new ConfigError("APPSERVICE_DIR", `cannot read the folder ${folder}`);
  }
}

function readRegistration(folder: string, file: string): JsonObject {
  const content = readYaml(folder, file);
  const result = v.safeParse(registration, content);
  if (!result.success) {
    const [issue] = result.issues;
    const path = v.getDotPath(issue) ?? "the file";
    // The message of a failed type check quotes what was received: never a token.
    const complaint = issue.kind === "schema" ? `must be ${issue.expected ?? "given"}` : issue.message;
    throw new ConfigError("APPSERVICE_DIR", `${file}: ${path}: ${complaint}`);
  }
  if (!isObject(content)) throw new ConfigError("APPSERVICE_DIR", `${file}: not a registration`);
  return content;
}

/** Reads one YAML document as JSON: what JSON cannot say (dates, tags, cycles) has no meaning in a registration. */
function readYaml(folder: string, file: string): JsonObject {
  try {
    const parsed: unknown = parse(readFileSync(join(folder, file), "utf8"), { schema: "core", maxAliasCount: 100 });
    const plain: unknown = JSON.parse(JSON.stringify(parsed ?? null));
    return v.parse(v.custom<JsonObject>(isPlainObject), plain);
  } catch {
    throw new ConfigError("APPSERVICE_DIR", `${file}: not a YAML document with a registration`);
  }
}

function isPlainObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isRegex(source: string): boolean {
  try {
    return new RegExp(source, "u") instanceof RegExp;
  } catch {
    // Patterns written for Python or Go escape more than the `u` flag allows; without it they compile.
    return isLooseRegex(source);
  }
}

function isLooseRegex(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && ["http:", "https:"].includes(new URL(value).protocol);
}

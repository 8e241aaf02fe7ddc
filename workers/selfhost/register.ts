/** `npm run register`: makes an account on the server that runs on this machine, with the secret in its data folder. */
import { createHmac } from "node:crypto";
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { parseArgs } from "node:util";
import * as v from "valibot";
import { readRegistrationSecret } from "./data-folder.ts";

const usage = `npm run register -- --user NAME [--admin] [--password PASSWORD] [--server URL]

Makes an account on the running server. Asks for the password if it is not given. Reads the variables of npm start
(PORT, BIND, DATA_DIR, REGISTRATION_SHARED_SECRET), so give it the same.`;

const nonceAnswer = v.object({ nonce: v.string() });
const accountAnswer = v.object({ user_id: v.string() });
const errorAnswer = v.object({ errcode: v.string(), error: v.string() });

/** An account to be made. */
interface Account {
  readonly user: string;
  readonly password: string;
  readonly admin: boolean;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      user: { type: "string" },
      password: { type: "string" },
      admin: { type: "boolean", default: false },
      server: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || values.user === undefined) {
    process.stdout.write(`${usage}\n`);
    process.exit(values.help ? 0 : 1);
  }
  const url = new URL("/_synapse/admin/v1/register", values.server ?? serverOnThisMachine());
  const secret = process.env.REGISTRATION_SHARED_SECRET || savedSecret();
  const password = values.password ?? (await askPassword(values.user));
  const userId = await register(url, secret, { user: values.user, password, admin: values.admin });
  process.stdout.write(`Made ${userId}${values.admin ? ", an administrator" : ""}.\n`);
}

function serverOnThisMachine(): string {
  const bind = process.env.BIND || "127.0.0.1";
  const host = bind === "0.0.0.0" ? "127.0.0.1" : bind === "::" ? "[::1]" : bind.includes(":") ? `[${bind}]` : bind;
  return `http://${host}:${process.env.PORT || "8008"}`;
}

function savedSecret(): string {
  const dataDir = resolve(process.env.DATA_DIR || "./data");
  try {
    return readRegistrationSecret(dataDir);
  } catch {
    throw new Error(
      `no registration secret in ${dataDir}: is DATA_DIR the one of the server, and was it ever started?`,
    );
  }
}

/** Asks twice on a terminal, without showing what is typed; otherwise reads one line, so that a script can pipe it. */
async function askPassword(user: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = process.stdin.isTTY === true;
  const reader = createInterface({ input: process.stdin, output: silent, terminal });
  const ask = async (question: string) => {
    process.stderr.write(question);
    const answer = await reader.question("");
    process.stderr.write("\n");
    return answer;
  };
  const password = await ask(`Password for ${user}: `);
  const again = terminal ? await ask("Once more: ") : password;
  reader.close();
  if (password === "") throw new Error("the password is empty");
  if (password !== again) throw new Error("the two passwords differ");
  return password;
}

/** Does what Synapse documents as shared-secret registration. @returns the new user's id. */
async function register(url: URL, secret: string, account: Account): Promise<string> {
  const { nonce } = v.parse(nonceAnswer, await request(url, null));
  const role = account.admin ? "admin" : "notadmin";
  const mac = createHmac("sha1", secret).update([nonce, account.user, account.password, role].join("\0")).digest("hex");
  const body = { nonce, username: account.user, password: account.password, admin: account.admin, mac };
  return v.parse(accountAnswer, await request(url, body)).user_id;
}

async function request(url: URL, body: object | null): Promise<unknown> {
  const init = body === null ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(url, { ...init, headers: { "Content-Type": "application/json" } }).catch(() => {
    throw new Error(`no server answers at ${url.origin}: start it with npm start, or name it with --server`);
  });
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer;
  const refusal = v.safeParse(errorAnswer, answer);
  const reason = refusal.success ? `${refusal.output.error} (${refusal.output.errcode})` : `status ${response.status}`;
  throw new Error(`the server refused: ${reason}`);
}

await main().catch((thrown) => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exit(1);
});

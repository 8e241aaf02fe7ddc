/**
 * `npm run test:interop`: this server and a real Synapse in the same rooms. Arguments choose files by a part of their name.
 * Without Python, pip or the package it says so and ends with the status 69: that is no verdict on this server.
 */
import { dirname } from "node:path";
import { startVitest, type TestCase } from "vitest/node";
import { findSynapse, synapseVersion } from "./python.ts";

async function main(): Promise<void> {
  console.log(`Looking for Synapse ${synapseVersion}; the first time this downloads it.`);
  const found = findSynapse(process.env);
  if ("missing" in found) {
    console.log(`SKIPPED: there is no Synapse to be had (${found.missing})`);
    console.log("0 passed, 0 failed, all skipped");
    process.exit(69);
  }
  process.env.SYNAPSE_PYTHON = found.python;
  const config = `${dirname(import.meta.filename)}/vitest.config.ts`;
  const vitest = await startVitest("test", process.argv.slice(2), { config, watch: false, run: true });
  const modules = vitest.state.getTestModules();
  const tests: TestCase[] = modules.flatMap((module) => [...module.children.allTests()]);
  const passed = tests.filter((test) => test.result().state === "passed").length;
  const skipped = tests.filter((test) => test.result().state === "skipped").length;
  const failed = tests.length - passed - skipped + modules.filter((module) => module.errors().length > 0).length;
  const hadErrors = vitest.state.getUnhandledErrors().length > 0;
  await vitest.close();
  console.log(`${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`);
  process.exit(failed > 0 || hadErrors || passed === 0 ? 1 : 0);
}

await main();

/** Milliseconds of processor time that `run` takes on this thread: what other processes do does not count. */
export function cpuMsOf(run: () => void): number {
  const before = process.threadCpuUsage();
  run();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

/**
 * What a monitor hears of a logger that cannot write, or not as it is to.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { Errno, strerror } from "../ffi/libc.ts";
import { TAG_STEP, TROUBLE_STEP, TROUBLES } from "../ffi/log_trouble.ts";
import type { MonitorState } from "./monitor_state.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("daemon_unix");

/** Errors of a write that more room would mend. */
const NO_ROOM: readonly number[] = [Errno.ENOSPC, Errno.EDQUOT, Errno.EFBIG];

/**
 * Notes and logs what a logger has told, once for each trouble: it is told when
 * that begins and when it is over. Who may signal the monitor could lie here.
 *
 * @param state What the monitor knows.
 * @param value What came with the signal.
 */
export function hearOfTrouble(
  { command, loggers }: MonitorState,
  value: bigint | undefined,
): void {
  if (value === undefined || value > BigInt(2 * TAG_STEP)) return;
  const told = Number(value) % TAG_STEP;
  const isStderr = Number(value) >= TAG_STEP;
  const files = command?.outputs?.files ?? [];
  const index = files.findIndex(({ streams }) =>
    (streams === "stderr") === isStderr
  );
  const logger = loggers[index];
  const kind = Math.floor(told / TROUBLE_STEP);
  if (logger === undefined || !KINDS.has(kind)) return;
  const file = fromBytes(files[index]!.file);
  const others = logger.troubles.filter((trouble) => trouble.kind !== kind);
  const errno = told % TROUBLE_STEP;
  if (errno === 0) {
    logger.troubles = others;
    vlog.info(`logging to ${file}: ${KINDS.get(kind)} works again`);
    return;
  }
  const next = kind === TROUBLES.write && NO_ROOM.includes(errno)
    ? "waiting for room"
    : "trying again";
  const text = `logging to ${file}: ${KINDS.get(kind)} failed (${
    strerror(errno)
  }), ${next}`;
  logger.troubles = [...others, { kind, text }];
  vlog.warn(text);
}

const KINDS: ReadonlyMap<number, string> = new Map([
  [TROUBLES.write, "write"],
  [TROUBLES.rotate, "rotation"],
  [TROUBLES.reopen, "reopening"],
]);

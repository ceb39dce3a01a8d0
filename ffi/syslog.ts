/**
 * The system's log.
 *
 * @module
 */
import { cString } from "./c_string.ts";
import { bind } from "./libc.ts";

const libc = bind({
  openlog: {
    parameters: [
      "buffer", // const char *ident
      "i32", // int option
      "i32", // int facility
    ],
    result: "void",
  },
  syslog: {
    parameters: [
      "i32", // int priority
      "buffer", // const char *format
      "buffer", // const char *
    ],
    result: "void",
  },
  closelog: { parameters: [], result: "void" },
});

/** Priorities of messages. */
export const LOG_ALERT = 1;
/** An error. */
export const LOG_ERR = 3;
/** A warning. */
export const LOG_WARNING = 4;
/** Normal but worth telling. */
export const LOG_NOTICE = 5;
/** For developers. */
export const LOG_DEBUG = 7;

const LOG_PID = 1;
const LOG_DAEMON = 3 << 3;
const FORMAT = cString("%s");

/**
 * Sends a message to the system's log. The socket is closed again, so that no
 * descriptor is left for a later `fork()` to copy.
 *
 * @param ident The program's name.
 * @param priority `LOG_ERR` and its like.
 * @param message The message, without NULs.
 */
export function syslog(ident: string, priority: number, message: string): void {
  const name = cString(ident);
  const text = cString(message);
  const { openlog, syslog, closelog } = libc;
  openlog(name, LOG_PID, LOG_DAEMON); // keeps the pointer until closelog
  syslog(priority, FORMAT, text);
  closelog();
}

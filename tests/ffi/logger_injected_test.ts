import { assertEquals } from "@std/assert/equals";
import { loggerImage } from "../../ffi/logger.ts";
import { lacks } from "../binutils.ts";
import { Sandbox } from "../sandbox.ts";
import { makeFifo } from "../sleepers.ts";
import "../open_libc.ts";

const ignore = await lacks(["strace"]);

/** What fails, in which call. */
const ERRORS: Record<string, readonly string[]> = {
  "write": ["ENOSPC", "EINTR", "EIO"],
  "read": ["EINTR", "EAGAIN"],
  "ppoll": ["EINTR", "ENOMEM"],
  "openat": ["EMFILE", "ENOSPC"],
  "renameat": ["EACCES", "EIO"],
  "newfstatat": ["EACCES", "ENOMEM"],
  "close": ["EIO"],
  "clock_gettime": ["EINVAL"],
  "fchmod": ["EPERM"],
  "madvise": ["ENOMEM"],
  "lseek": ["ESPIPE"],
  "mmap": ["ENOMEM"],
};
/** Which of a call's fail: the sixth may be the first to look for `log.1`. */
const TIMES = ["1", "4", "6..9+3", "1..5+2"];
const LINES = Array.from({ length: 40 }, (_, i) => `${i + 100}\n`);

for (const [call, errors] of Object.entries(ERRORS)) {
  for (const error of errors) {
    Deno.test({
      name: `loggerImage() loses nothing when ${call}() fails with ${error}`,
      ignore,
      fn: async () => {
        await using box = await Sandbox.create();
        const cases = TIMES.flatMap((when) =>
          [false, true].map((timestamps) => ({ when, timestamps }))
        );
        // Side by side, for a logger waits for a second when it cannot write.
        await Promise.all(cases.map(async ({ when, timestamps }) => {
          const inject = `--inject=${call}:error=${error}:when=${when}`;
          const files = await written(
            box,
            `${when} ${timestamps}`,
            timestamps,
            [
              "strace",
              "-o/dev/null",
              inject,
            ],
          );
          assertEquals(files.join(""), LINES.join(""), `${inject}: ${files}`);
        }));
      },
    });
  }
}

/** Has a logger write, in a directory; returns what its files hold. */
async function written(
  box: Sandbox,
  dir: string,
  timestamps: boolean,
  under: readonly string[],
): Promise<string[]> {
  const path = box.path(dir);
  Deno.mkdirSync(path);
  const image = loggerImage({
    name: "logger",
    ...{ input: 0, output: 1, signals: 3, ack: 3 },
    file: `${path}/log`,
    rotation: { size: timestamps ? 100 : 12, count: 99 },
    timestamps,
  });
  Deno.writeFileSync(`${path}/image`, image, { mode: 0o755 });
  await makeFifo(box, `${dir}/none`);
  const script = `for i in ${LINES.join("").replaceAll("\n", " ")}; do
      echo $i
    done | "$@" ./image >>log 3<>none`;
  const { code } = await box.run(["sh", "-c", script, "sh", ...under], {
    cwd: path,
  });
  assertEquals(code, 0);
  const files = [...Deno.readDirSync(path)].map(({ name }) => name)
    .filter((name) => name.startsWith("log"));
  const age = (name: string) => Number(name.split(".")[1] ?? 0);
  return files.sort((a, b) => age(b) - age(a)).map((name) =>
    Deno.readTextFileSync(`${path}/${name}`)
      .replaceAll(/^\d{4}-[\d:.T-]+Z /mg, "")
  );
}

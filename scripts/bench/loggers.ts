/** How much loggers take from a pipe, and whether tend's loses any of it. */
import { loggerImage } from "../../ffi/logger.ts";
import { Failure } from "../failure.ts";
import { run } from "../command.ts";
import { present, type Wanted } from "./present.ts";
import { marked, pidsMarked, pidsRunning, pssOf } from "./processes.ts";
import { figure, median, table } from "./table.ts";
import { type Verdict, verdict } from "./verdict.ts";
import { sleep } from "./wait.ts";

/** A logger that reads its stdin, in a directory of its own. */
interface Contender extends Wanted {
  /** What there has to be. */
  prepare?(directory: string, wanted: Rotating): void;
  /** The shell's words for it. */
  command(directory: string, wanted: Rotating): string;
}

/** What a logger is to do. */
interface Rotating {
  readonly timestamps: boolean;
  /** In bytes. */
  readonly size: number;
  readonly count: number;
}

/** What was measured of a logger, with or without timestamps. */
export interface Logged {
  readonly name: string;
  readonly timestamps: boolean;
  /** Bytes a second, in each round. */
  readonly rates: number[];
  /** The most that it weighed while it wrote, in KiB of PSS. */
  pssKib: number;
}

/** What became of a stream. */
export interface Kept {
  readonly bytes: number;
  readonly rotations: number;
  /** Whether its files, one after the other, are what was written. */
  readonly isSame: boolean;
}

/** The name of ours, in the table and for the targets. */
export const TEND_LOGGER = "tend";
/** How many rotations a stream is to survive, at least. */
const ROTATIONS = 50;
const MEBIBYTE = 2 ** 20;
/** What part of all that is written in each round. */
const ROUND = 1 / 8;

const CONTENDERS: Contender[] = [
  {
    name: TEND_LOGGER,
    needs: ["sh", "cat", "mkfifo"],
    from: "",
    prepare: (directory, { timestamps, size, count }) =>
      Deno.writeFileSync(
        `${directory}/logger`,
        loggerImage({
          name: "logger",
          file: `${directory}/log`,
          ...{ input: 0, output: 1, signals: 3, ack: 3 },
          rotation: { size, count },
          timestamps,
        }),
        { mode: 0o755 },
      ),
    // No signal comes from a pipe that nobody writes to.
    command: () =>
      "mkfifo none && exec 3<>none && { cat $0 | ./logger >>log; }",
  },
  {
    name: "svlogd",
    needs: ["svlogd"],
    from: "Debian's runit",
    prepare: (directory, { size, count }) =>
      Deno.writeTextFileSync(`${directory}/config`, `s${size}\nn${count}\n`),
    command: (_, { timestamps }) =>
      `cat $0 | svlogd ${timestamps ? "-ttt" : ""} . 2>messages`,
  },
  {
    name: "s6-log",
    needs: ["s6-log"],
    from: "Debian's s6",
    command: (_, { timestamps, size, count }) =>
      `cat $0 | s6-log n${count} s${size} ${timestamps ? "T" : ""} ./logs`,
  },
];

export interface LoggerOptions {
  readonly rounds: number;
  /** How much is written to see whether all is kept, in MiB. */
  readonly mebibytes: number;
}

/**
 * Measures loggers on the same pipe, in turn.
 *
 * @param directory One that does not exist.
 */
export async function measureLoggers(
  directory: string,
  { rounds, mebibytes }: LoggerOptions,
): Promise<Verdict[]> {
  Deno.mkdirSync(directory);
  const lines = `${directory}/lines`;
  Deno.writeTextFileSync(lines, someLines());
  const stream = Array<string>(Math.ceil(mebibytes * ROUND)).fill(lines);
  const rotating = { size: MEBIBYTE, count: 10 };
  const all = present(CONTENDERS).flatMap((contender) =>
    [false, true].map((timestamps) => ({
      contender,
      logged: {
        name: contender.name,
        timestamps,
        rates: [],
        pssKib: NaN,
      } as Logged,
    }))
  );
  for (let round = 0; round <= rounds; round++) {
    for (const { contender, logged } of all) {
      const wanted = { ...rotating, timestamps: logged.timestamps };
      const place = `${directory}/round`;
      const weighs = round === rounds;
      const took = await log(place, contender, wanted, stream, weighs);
      // Weighing takes time; so that is a round of its own.
      if (weighs) logged.pssKib = took.pssKib;
      else logged.rates.push(stream.length * MEBIBYTE / took.seconds);
    }
  }
  const measured = all.map(({ logged }) => logged);
  printLoggers(measured);
  return [
    ...judgeRates(measured),
    judgeKept(await keep(`${directory}/kept`, mebibytes)),
  ];
}

/** 1 MiB of lines of 20 to 180 bytes, each of them another. */
function someLines(): string {
  let text = "";
  for (let i = 0; text.length < MEBIBYTE; i++) {
    text += `${i} ${"abcdefghij".repeat(16).slice(0, 20 + (i * 37) % 150)}\n`;
  }
  return `${text.slice(0, MEBIBYTE - 1)}\n`;
}

/** Has a logger take a stream; says how long that took, or what it weighed. */
async function log(
  directory: string,
  contender: Contender,
  wanted: Rotating,
  stream: readonly string[],
  weighs: boolean,
): Promise<{ seconds: number; pssKib: number }> {
  Deno.mkdirSync(directory);
  contender.prepare?.(directory, wanted);
  // The file's name is there as often as it is read.
  const command = contender.command(directory, wanted)
    .replace("$0", '"$@"');
  const begin = performance.now();
  const child = new Deno.Command("sh", {
    args: ["-c", command, "sh", ...stream],
    cwd: directory,
    env: marked(directory),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let hasEnded = false;
  const status = child.status.then((status) => {
    hasEnded = true;
    return status;
  });
  let pssKib = NaN;
  while (weighs && !hasEnded) {
    for (const pid of loggersIn(directory, contender)) {
      pssKib = Math.max(pssKib || 0, pssOf(pid) || 0);
    }
    await sleep(20);
  }
  const { success } = await status;
  const seconds = (performance.now() - begin) / 1000;
  if (!success) throw new Failure(`${contender.name} failed`);
  Deno.removeSync(directory, { recursive: true });
  return { seconds, pssKib };
}

function loggersIn(directory: string, { name }: Contender): number[] {
  if (name === TEND_LOGGER) return pidsRunning(`${directory}/logger`);
  const others = new Set(
    ["sh", "dash", "bash", "cat", "coreutils"].flatMap((program) =>
      ["/bin", "/usr/bin"].flatMap((bin) => pidsRunning(`${bin}/${program}`))
    ),
  );
  return pidsMarked(directory).filter((pid) => !others.has(pid));
}

/** Has tend's logger write numbers, and looks whether all are there. */
async function keep(directory: string, mebibytes: number): Promise<Kept> {
  Deno.mkdirSync(directory);
  const bytes = mebibytes * MEBIBYTE;
  const size = Math.floor(bytes / (ROTATIONS + 0.5));
  const count = ROTATIONS + 10;
  const [tend] = CONTENDERS;
  tend?.prepare?.(directory, { timestamps: false, size, count });
  const text = `seq 100000000 999999999 | head -c ${bytes}`;
  const script = `mkfifo none && exec 3<>none && ${text} | ./logger >>log &&
    ${text} | sha256sum &&
    for i in $(seq ${count} -1 1); do
      [ ! -e log.$i ] || cat log.$i
    done | cat - log | sha256sum`;
  const { success, stdout, output } = await run("sh", ["-c", script], {
    cwd: directory,
    env: marked(directory),
  });
  if (!success) throw new Failure(`tend's logger failed: ${output}`);
  const [written, kept] = stdout.trim().split("\n");
  const files = [...Deno.readDirSync(directory)]
    .filter(({ name }) => name.startsWith("log."));
  Deno.removeSync(directory, { recursive: true });
  return { bytes, rotations: files.length, isSame: written === kept };
}

function rateOf(
  all: readonly Logged[],
  name: string,
  timestamps: boolean,
): number {
  return median(
    all.find((logged) =>
      logged.name === name && logged.timestamps === timestamps
    )?.rates ?? [],
  );
}

function printLoggers(all: readonly Logged[]): void {
  const rows = all.map(({ name, timestamps, rates, pssKib }) => {
    const rate = median(rates);
    return [
      name,
      timestamps ? "yes" : "no",
      figure(rate / 1e6),
      figure(rate / rateOf(all, TEND_LOGGER, timestamps)),
      `${pssKib}`,
    ];
  });
  console.log("\nLoggers on one pipe, which rotate every MiB.");
  console.log(
    table(["logger", "timestamps", "MB/s", "to tend's", "PSS KiB"], rows),
  );
}

/** Says whether tend's logger takes no less than each other. */
export function judgeRates(all: readonly Logged[]): Verdict[] {
  return [false, true].map((timestamps) => {
    const ours = rateOf(all, TEND_LOGGER, timestamps);
    const others = all.filter((logged) =>
      logged.name !== TEND_LOGGER && logged.timestamps === timestamps
    ).map(({ name }) => ({ name, rate: rateOf(all, name, timestamps) }));
    return verdict(
      others.length === 0
        ? undefined
        : others.every(({ rate }) => ours >= rate),
      `logger, ${timestamps ? "with" : "without"} timestamps: ${
        figure(ours / 1e6)
      } MB/s${
        others.map(({ name, rate }) => `, ${name} ${figure(rate / 1e6)}`)
          .join("")
      }`,
    );
  });
}

/** Says whether tend's logger has kept each byte. */
export function judgeKept({ bytes, rotations, isSame }: Kept): Verdict {
  return verdict(
    isSame && rotations >= ROTATIONS,
    `logger: ${figure(bytes / 1e6)} MB over ${rotations} rotations, by their ` +
      `checksum ${isSame ? "the same" : "NOT THE SAME"}`,
  );
}

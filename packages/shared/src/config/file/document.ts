import { settingTable } from '../setting-table.ts'
import { configurationSchema } from './schema.ts'

/** As much of a JSON schema as is told of. */
interface Node {
  readonly description?: string
  readonly examples?: readonly string[]
  readonly properties?: Readonly<Record<string, Node>>
  readonly additionalProperties?: Node | false
  readonly anyOf?: readonly Node[]
}

const intro = `## The configuration file

One database needs no file: the variables above describe it. For several there is \`backup.config.yaml\` in the working
directory, or the file that \`BACKUP_CONFIG\` names. Three commands write it, and keep its remarks and its order:

\`\`\`
npx --no securyflex-backup init
npx --no securyflex-backup source add postgresql://backup:secret@db.example.com:5432/wiki
npx --no securyflex-backup destination add nas --directory /mnt/nas/backups
\`\`\`

Each tries what it is given, writes passwords to \`.env\` and \`\${NAME}\` to the file (both 0600), and writes nothing if
something is wrong. \`source add\` prints the SQL of a role that may make backups and no more. With \`--all\`, or the
database \`*\` (\`"postgresql://backup@db.example.com/*"\`), it adds [every database of a server](queues.md#every-database-of-a-server),
but for those that \`--exclude\` names, and says which ones that are now. By hand: an
[example with everything](backup.config.example.yaml), and the [JSON schema](backup.config.schema.json), which editors
with the YAML language server follow from the file’s first line, \`# yaml-language-server: $schema=…\`.

\`config check\` connects to everything and tells the next times of each schedule; \`config show\` tells of each value
which line or variable said it. What is wrong is named with file, line, key and a valid example, all at once.

### Who has the last word

A source’s own line, then \`defaults\` of the file, then the variable, then what is built in. \`DATABASE_URL\` describes
one source more, beside those of the file; its name must be another. A list takes the place of the one before it.

### Settings of a source

In \`defaults\` for all, or below a source for that one. Single values may be given where a list is meant. A schedule is
five fields as in crontab(5), or \`@hourly\`, \`@daily\` (\`@midnight\`), \`@weekly\`, \`@monthly\`, \`@yearly\`. Where clocks are
changed, a time of day that does not exist comes later by the change, of one that exists twice the first counts, and a
schedule of every hour follows the clock.
`

const between = `
### The rest of the file
`

const closing = `
### Secrets and other variables

\`\${NAME}\` in any value is replaced by that variable of the environment or \`.env\`; where \`NAME_FILE\` is set instead, by
the content of the file that it names, without its last newline. A variable that is not set is an error. \`$\${\` stands
for \`\${\` itself. What is wrong with such a value is told of the variable, and its value is not repeated.

### Changes while it runs

At SIGHUP, \`npm start\` and each producer, worker and dashboard read file and \`.env\` again; \`source add\` and
\`destination add\` see to it where \`npm start\` runs on the same \`BACKUP_DIR\`. Elsewhere signal all of them:
\`docker compose kill -s HUP worker dashboard producer\`. Sources, schedules, settings and destinations change for what
begins from then on; runs under way go on as they began. If the file is wrong, what held before goes on and the log says
why. So it does where a file is empty or gone, be it \`.env\`, or names no database any more: who means that writes
\`sources: {}\`, or starts the process again. \`REDIS_…\`, \`BACKUP_DIR\`, the spool, the logs, \`WORKER_…\` and \`DASHBOARD_…\` count from the next start on, which is
said. A backup under way at a destination whose directory changes fails there, and only there.
`

/** The part of docs/configuration.md that tells of the configuration file, from its grammar. */
export function fileDocument(): string {
  const root = configurationSchema() as Node
  const settings = settingTable.map(({ path, variables, builtIn }) => {
    const node = nodeAt(root, ['defaults', ...path.split('.')])
    const without = variables.length === 0 ? builtIn : variables.map((name) => `\`${name}\``).join(', ')
    return row([`\`${path}\``, node?.description ?? '', without, exampleOf(node)])
  })
  const told = new Set(settingTable.map(({ path }) => path))
  const rest = leavesOf(root).flatMap(({ path, node }) => {
    const own = path.replace(/^sources\.<name>\./, '')
    if (path.startsWith('defaults.') || told.has(own)) return []
    return [row([`\`${path}\``, node.description ?? '', exampleOf(node)])]
  })
  return [
    intro,
    table(['setting', 'what it is', 'without it', 'for example'], settings),
    between,
    table(['where', 'what it is', 'for example'], rest),
    closing,
  ].join('\n')
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

function table(headings: readonly string[], rows: readonly string[]): string {
  return [row(headings), row(headings.map(() => '---')), ...rows].join('\n')
}

function exampleOf(node: Node | undefined): string {
  const [example] = node?.examples ?? []
  return example === undefined ? '' : `\`${example}\``
}

function propertiesOf({ properties, anyOf }: Node): Readonly<Record<string, Node>> {
  return properties ?? anyOf?.find((one) => one.properties !== undefined)?.properties ?? {}
}

function nodeAt(root: Node, keys: readonly string[]): Node | undefined {
  return keys.reduce<Node | undefined>(
    (node, key) => (node === undefined ? node : propertiesOf(node)[key]),
    root,
  )
}

/** Every single value that may be said, by its way from the root. */
function leavesOf(node: Node, way: readonly string[] = []): { path: string; node: Node }[] {
  const below = Object.entries(propertiesOf(node))
  if (node.additionalProperties) return leavesOf(node.additionalProperties, [...way, '<name>'])
  if (below.length === 0) return [{ path: way.join('.'), node }]
  return below.flatMap(([key, one]) => leavesOf(one, [...way, key]))
}

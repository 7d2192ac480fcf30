import { fileDocument } from './file/document.ts'
import { sections } from './variable.ts'
import { variables } from './variables.ts'

const opening = `# Configuration

One database is described by environment variables alone; several by [a file](#the-configuration-file) besides. Variables that are not set are looked for in \`.env\` in the working
directory. An empty variable counts as not set. All wrong values are reported at once; a \`BACKUP_…\`,
\`DASHBOARD_…\` or \`WORKER_…\` variable that is not in these tables is an error, too.

Variables marked ◆ are secret: they are never shown, and may be given as a file instead. \`BACKUP_ENCRYPTION_KEY_FILE=/run/secrets/key\`
is read, without the newline at its end, as if \`BACKUP_ENCRYPTION_KEY\` were set.
`

const closing = `## Connection strings

\`DATABASE_URL\` means what it means to \`psql\`: \`sslmode\`, certificates, \`~/.postgresql\`, several hosts, Unix sockets,
service files, \`~/.pgpass\` and the \`PG…\` variables all work. It differs in this:

- Parameters for applications (\`schema\`, \`connection_limit\`, \`pgbouncer\`, …) are dropped with a notice; other unknown ones are errors.
- A named certificate file that does not exist is an error, also where libpq would go on without it.
- Several hosts must share one password, \`host\` and \`hostaddr\` exclude each other, and abstract sockets are not supported.

Special characters in a password must be percent-encoded: \`@\` as \`%40\`, \`/\` as \`%2F\`, \`#\` as \`%23\`, \`%\` as \`%25\`,
\`?\` as \`%3F\`, a space as \`%20\`. A password in \`~/.pgpass\`, or in the file that \`PGPASSFILE\` names, needs none of this. Of a
group each database has the password of the first line that names it, or \`*\`; the line of the database in the group’s own
connection string is needed, too.

A server on another machine should be reached with \`sslmode=verify-full\`: with libpq's default, \`prefer\`, the connection
may be unencrypted without anyone noticing, which draws a warning.
`

/** docs/configuration.md, from the table of variables. Print it with `node packages/shared/src/config/document.ts`. */
export function configurationDocument(): string {
  const parts = sections.map((section) => {
    const rows = Object.entries(variables).filter(([, variable]) => variable.section === section)
    const lines = rows.map(([name, { about, shownDefault, example, secret }]) => {
      return `| \`${name}\`${secret ? ' ◆' : ''} | ${about} | ${shownDefault} | \`${name}=${example}\` |`
    })
    return `## ${section}\n\n| variable | what it is | default | for example |\n| --- | --- | --- | --- |\n${lines.join('\n')}\n`
  })
  return [opening, ...parts, fileDocument(), closing].join('\n')
}

if (import.meta.main) process.stdout.write(configurationDocument())
